"""A small student that learns the soft labels of an ensemble."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from llm_al.errors import ConfigError, StudentError
from llm_al.protocols import FittedStudent, Student
from llm_al.students._onnx_export import check_export, export
from llm_al.students.head import Head
from llm_al.students.transformer import Transformer
from llm_al.types import Embeddings, Positions, Proba, TrainingSet

__all__ = [
    "SMALL",
    "Distilled",
    "check_export",
    "ensemble_proba",
    "export",
    "small_student",
    "soft_training_set",
]

SMALL = ("head", "transformer")
"""Kinds of students that can be distilled into and exported."""

_CHUNK = 4096
# Soft labels of a calibrated ensemble are calibrated targets, so nothing divides the logits afterwards. The whole pool
# is many rows: few passes are enough, and a floor keeps a training set of a hundred rows from ending after ten steps.
_PASSES: Mapping[str, Mapping[str, Any]] = {
    # What a graph can hold: one linear map, without the rows that it learned from.
    "head": {"kind": "logistic", "n_neighbours": 0, "n_folds": 0, "layers": False},
    # So many targets teach every layer.
    "transformer": {
        "epochs": 2,
        "batch_size": 32,
        "min_steps": 200,
        "temperature": 1.0,
        "n_folds": 0,
        "n_frozen_layers": 0,
    },
}


@dataclass(frozen=True)
class Distilled:
    """Train an ensemble on the labels and a small student on what the ensemble says [1]_.

    Parameters
    ----------
    model : str
        Encoder of the small student: a hub name, a local folder, or ``offline``.
    student : str
        ``transformer`` or ``head``.
    teacher : str
        ``transformer`` or ``head``. A head does not depend on its seed, so that one is as good as several.
    teacher_model : str or None
        Encoder of the teachers; None takes `model`.
    n_teachers : int
        Teachers, each trained with a seed of its own.
    human_weight : float
        Weight of a row that a person labelled, which keeps that label; rows with soft labels weigh 1.
    options, teacher_options : mapping
        Constructor fields of the small student and of the teachers.

    Notes
    -----
    Teachers are calibrated and their probabilities averaged, which takes the place of the raised temperature in [1]_.
    What comes out is an ordinary student of the chosen kind, and is saved as one.

    References
    ----------
    .. [1] Hinton, Vinyals & Dean (2015). Distilling the knowledge in a neural network. arXiv:1503.02531.
    """

    model: str
    student: str = "transformer"
    teacher: str = "transformer"
    teacher_model: str | None = None
    n_teachers: int = 3
    human_weight: float = 3.0
    options: Mapping[str, Any] = field(default_factory=dict)
    teacher_options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _known("student", self.student)
        _known("teacher", self.teacher)
        if self.n_teachers < 1:
            raise ConfigError(f"distilled n_teachers is {self.n_teachers}; it must be at least 1")
        if not self.human_weight > 0:
            raise ConfigError(f"distilled human_weight is {self.human_weight}; it must be above 0")

    @property
    def has_own_encoder(self) -> bool:
        """Whether what it trains changes its encoder, so that frozen vectors know less than that does."""
        return self.student != "head"

    def fit(
        self, training: TrainingSet, *, labels: Sequence[str], seed: int, unlabelled: Sequence[str] = ()
    ) -> FittedStudent:
        """Train the teachers and the small student.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the seeds of all of them.
        unlabelled : sequence of str
            More texts to learn the ensemble's soft labels on. Without any, they are learned on the training set.

        Raises
        ------
        StudentError
            If there is no example, or training diverges.
        ConfigError, MissingExtraError
            If an encoder cannot be found.
        """
        if len(training) == 0:
            raise StudentError("the distilled student got no example to train on; label at least one")
        is_human = np.ones(len(training), np.bool_) if training.is_human is None else training.is_human
        teachers = self._teachers(training, labels, seed)
        # Without any other text, people's own rows carry the soft labels beside their labels.
        rows = np.flatnonzero(~is_human if len(unlabelled) or not is_human.all() else is_human)
        texts = [training.texts[int(row)] for row in rows]
        vectors = None if training.embeddings is None else training.embeddings[rows]
        soft = [ensemble_proba(teachers, texts, self._for_teachers(vectors))]
        soft.append(ensemble_proba(teachers, unlabelled, None))
        given = soft_training_set(
            _rows(training, np.flatnonzero(is_human)),
            [*texts, *unlabelled],
            np.concatenate(soft),
            self.human_weight,
            vectors=None if len(unlabelled) else vectors,
        )
        return small_student(self.student, self.model, self.options).fit(given, labels=labels, seed=seed)

    def _for_teachers(self, vectors: Embeddings | None) -> Embeddings | None:
        """Return vectors if they are of the teachers' encoder."""
        return vectors if self.teacher_model in (None, self.model) else None

    def _teachers(self, training: TrainingSet, labels: Sequence[str], seed: int) -> list[FittedStudent]:
        make = Head if self.teacher == "head" else Transformer
        recipe: Student = make(self.teacher_model or self.model, **self.teacher_options)
        if self.teacher_model not in (None, self.model):
            training = replace(training, embeddings=None, label_embeddings=None)
        n = 1 if self.teacher == "head" else self.n_teachers
        seeds = np.random.SeedSequence(seed).generate_state(n)
        return [recipe.fit(training, labels=labels, seed=int(each)) for each in seeds]


def small_student(kind: str, model: str, options: Mapping[str, Any]) -> Student:
    """Return the recipe of a student that learns from many rows with soft labels.

    Parameters
    ----------
    kind : str
        ``transformer`` or ``head``.
    model : str
        Its encoder.
    options : mapping
        Constructor fields that replace what suits distillation.

    Raises
    ------
    ConfigError
        If the kind is unknown.
    """
    _known("student", kind)
    fields = {**_PASSES[kind], **options}
    made: Student = Head(model, **fields) if kind == "head" else Transformer(model, **fields)
    return made


def ensemble_proba(teachers: Sequence[FittedStudent], texts: Sequence[str], embeddings: Embeddings | None) -> Proba:
    """Return the mean of the teachers' probabilities, shape (n, c); texts are read in chunks.

    Parameters
    ----------
    teachers : sequence of FittedStudent
        At least one; all of them with the same labels in the same order.
    texts : sequence of str, length n
        May be lazy.
    embeddings : ndarray of shape (n, d) or None
        Vectors for teachers that work on them.
    """
    proba = np.zeros((len(texts), len(teachers[0].labels)))
    for start in range(0, len(texts), _CHUNK):
        part = slice(start, min(start + _CHUNK, len(texts)))
        given, vectors = texts[part], None if embeddings is None else embeddings[part]
        for teacher in teachers:
            proba[part] += teacher.predict_proba(given, embeddings=vectors) / len(teachers)
    return proba


def soft_training_set(
    human: TrainingSet, texts: Sequence[str], soft: Proba, human_weight: float, *, vectors: Embeddings | None = None
) -> TrainingSet:
    """Return people's rows with their own labels, and others with soft labels.

    Parameters
    ----------
    human : TrainingSet
        Rows that people labelled; their weights are multiplied by `human_weight`.
    texts : sequence of str, length m
    soft : ndarray of shape (m, c)
        What the ensemble says of them; each weighs 1.
    human_weight : float
    vectors : ndarray of shape (m, d), optional
        Embeddings of `texts`. The result has embeddings only if these and those of `human` are given.
    """
    embeddings = None
    if human.embeddings is not None and vectors is not None:
        embeddings = np.concatenate([np.asarray(human.embeddings, np.float32), np.asarray(vectors, np.float32)])
    return TrainingSet(
        [*human.texts, *texts],
        np.concatenate([human.targets, soft]),
        np.concatenate([human.weights * human_weight, np.ones(len(texts))]),
        embeddings,
    )


def _rows(training: TrainingSet, rows: Positions) -> TrainingSet:
    return TrainingSet(
        [training.texts[int(row)] for row in rows],
        training.targets[rows],
        training.weights[rows],
        None if training.embeddings is None else training.embeddings[rows],
    )


def _known(what: str, kind: str) -> None:
    if kind not in SMALL:
        raise ConfigError(f"distilled {what} is {kind!r}; choose from: {', '.join(SMALL)}")
