"""The student that a cross-validation on people's labels finds best, round by round."""

import importlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from llm_al.errors import ConfigError, StudentError
from llm_al.protocols import FittedStudent
from llm_al.students._cross_fit import (
    cross_fitted,
    has_temperature,
    human_rows,
    n_human,
    temperature_of,
    uncalibrated,
)
from llm_al.students._folder import Header, new_folder, read_header, write_header
from llm_al.students._material import rows_of
from llm_al.students._parts import make_part
from llm_al.students._verdict import Verdict, compare, untested
from llm_al.students.saved import load
from llm_al.types import Embeddings, Proba, TrainingSet

__all__ = ["Auto", "FittedAuto"]

_log = logging.getLogger(__name__)
_KIND = "auto"
_WINNER = "winner"

# By name, so that an extra that is not asked for need not be installed.
_CANDIDATES = {
    "head": "llm_al.students.head:Head",
    "setfit": "llm_al.students.setfit:SetFit",
    "transformer": "llm_al.students.transformer:Transformer",
}


@dataclass(frozen=True)
class Auto:
    """Choose between students by cross-validation on people's labels, then train the best on everything.

    All candidates are tested on the same stratified folds, by the share of held-out labels of people that they get
    right. A dearer candidate wins if its mean paired gain is at least `min_gain_se` standard errors.

    Parameters
    ----------
    model : str
        Encoder of every candidate: a hub name, a local folder, or ``offline``.
    candidates : sequence of {'head', 'setfit', 'transformer'}
        From cheap to dear.
    options : mapping of str to mapping
        Constructor fields of a candidate by its name.
    n_folds : int
        At least 2.
    min_gain_se : float
        Standard errors that a dearer candidate must gain.
    min_labels, min_labels_per_class : float
        With fewer labels of people than either allows, the first candidate is taken without a test.
    recheck_growth : float
        With `fit_from`, the verdict of an earlier round holds until there are this many times as many labels as at
        its test; 1 tests in every round.
    device : str or None
        Of every candidate. None takes CUDA where there is one.

    Notes
    -----
    Folds are fitted on people's labels alone: pseudo-labels know the rows that are held out. Labels that an uncertain
    student asked for are harder than the pool, so accuracies of the verdict are lower than on a test split; the
    candidates are compared on equal terms all the same.

    Fine-tuning needs about three labels a class before it can win: with fewer, most classes have no example in some
    fold, which a new head cannot predict and a frozen one can, from the label's name. Measured on held-out rows of
    the train splits with labels at cluster centres, head against transformer, one seed: banking77 at 2 a class .73
    and .71; trec6 at 5 a class .46 and .65; agnews at 7 a class .83 and .77; subj at 15 a class .82 and .76. So no
    number of labels decides it, and the folds have to.

    A test costs `n_folds` trainings of every candidate. From 30 to 130 labels by tens, a test in each round makes a run
    five times as dear as fine-tuning alone; a growth of 1.5 tests at 30, 50, 80 and 120 and makes it 2.3 times as dear,
    a growth of 2 twice.
    """

    model: str
    candidates: Sequence[str] = ("head", "transformer")
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    n_folds: int = 5
    min_gain_se: float = 1.0
    min_labels: int = 20
    min_labels_per_class: float = 3.0
    recheck_growth: float = 1.5
    device: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "candidates", tuple(self.candidates))
        unknown = [name for name in (*self.candidates, *self.options) if name not in _CANDIDATES]
        if unknown or not self.candidates or len(set(self.candidates)) < len(self.candidates):
            raise ConfigError(
                f"auto candidates are {list(self.candidates)} with options for {list(self.options)}; "
                f"name one or more, each once, of: {', '.join(sorted(_CANDIDATES))}"
            )
        if self.n_folds < 2:
            raise ConfigError(f"auto n_folds is {self.n_folds}; it must be at least 2")
        for name, least in (("min_gain_se", 0), ("min_labels", 0), ("min_labels_per_class", 0), ("recheck_growth", 1)):
            if not getattr(self, name) >= least:
                raise ConfigError(f"auto {name} is {getattr(self, name)}; it must be at least {least}")
        for name in self.candidates:
            self._student(name)

    @property
    def learns_from_names(self) -> bool:
        """Whether the first candidate takes a training set without examples."""
        return bool(getattr(self._student(self.candidates[0]), "learns_from_names", False))

    @property
    def wants_previous(self) -> bool:
        """Whether `fit_from` makes use of an earlier student: its verdict, or its weights."""
        return self.recheck_growth > 1 or any(_wants_previous(self._student(name)) for name in self.candidates)

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedAuto":
        """Test the candidates and train the best.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples, or none where the first candidate learns from names. The final fit uses all of them.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the folds, and is handed to the candidates.

        Raises
        ------
        StudentError
            If there is nothing to learn from, or the winner cannot be trained. A candidate that cannot be trained on
            a fold loses.
        ConfigError, MissingExtraError
            If the encoder cannot be found.
        """
        return self._fit(self._judged(training, labels, seed), training, labels, seed)

    def fit_from(
        self, previous: FittedStudent, training: TrainingSet, *, labels: Sequence[str], seed: int
    ) -> "FittedAuto":
        """Train as `fit` does, with the verdict of an earlier student where it still holds.

        A winner of the same kind that goes on from its earlier weights is handed them.
        """
        if not isinstance(previous, FittedAuto) or previous.labels != tuple(labels):
            return self.fit(training, labels=labels, seed=seed)
        verdict = previous.verdict
        is_same = previous.student.candidates == self.candidates and previous.student.options == self.options
        if not is_same or not verdict.n_labels or n_human(training) >= self.recheck_growth * verdict.n_labels:
            verdict = self._judged(training, labels, seed)
        return self._fit(verdict, training, labels, seed, previous)

    def _fit(
        self,
        verdict: Verdict,
        training: TrainingSet,
        labels: Sequence[str],
        seed: int,
        previous: "FittedAuto | None" = None,
    ) -> "FittedAuto":
        student: Any = self._student(verdict.chosen)
        if verdict.temperature is not None:
            student = replace(uncalibrated(student), temperature=verdict.temperature)
        if previous is not None and previous.verdict.chosen == verdict.chosen and _wants_previous(student):
            winner = student.fit_from(previous.winner, training, labels=labels, seed=seed)
        else:
            winner = student.fit(training, labels=labels, seed=seed)
        return FittedAuto(winner, verdict, self)

    def _judged(self, training: TrainingSet, labels: Sequence[str], seed: int) -> Verdict:
        human = rows_of(training, human_rows(training))
        cheapest, n = self.candidates[0], len(human)
        if len(self.candidates) == 1:
            verdict = untested(cheapest, "it is the only candidate")
        elif n < max(2, self.min_labels, self.min_labels_per_class * len(labels)):
            needed = f"{self.min_labels} and {self.min_labels_per_class:g} a class"
            verdict = untested(cheapest, f"{n} labels of people for {len(labels)} classes are no test ({needed} are)")
        elif len(np.unique(human.targets.argmax(axis=1))) < 2:
            verdict = untested(cheapest, "people's labels are all of one class")
        else:
            verdict = self._tested(human, labels, seed)
        _log.info("student %s", verdict.reason)
        return verdict

    def _tested(self, human: TrainingSet, labels: Sequence[str], seed: int) -> Verdict:
        proba = {}
        for name in self.candidates:
            try:
                proba[name] = cross_fitted(
                    uncalibrated(self._student(name)), human, labels, n_folds=self.n_folds, seed=seed
                )
            except StudentError as exc:
                _log.warning("the candidate %s is out: %s", name, exc)
        if not proba:
            raise StudentError(f"none of {', '.join(self.candidates)} can be trained; see the log for the reasons")
        n_folds = min(self.n_folds, len(human))
        verdict = compare(proba, human.targets, order=self.candidates, min_gain_se=self.min_gain_se, n_folds=n_folds)
        winner = self._student(verdict.chosen)
        if not has_temperature(winner):
            return verdict
        return replace(verdict, temperature=temperature_of(winner.temperature, proba[verdict.chosen], human))

    def _student(self, name: str) -> Any:
        module, cls_name = _CANDIDATES[name].split(":")
        return make_part(self, _KIND, name, getattr(importlib.import_module(module), cls_name))


def _wants_previous(student: Any) -> bool:
    return bool(getattr(student, "wants_previous", False))


@dataclass(frozen=True, eq=False)
class FittedAuto:
    """The winner, with the verdict that made it one."""

    winner: FittedStudent
    verdict: Verdict
    student: Auto

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns."""
        return self.winner.labels

    @property
    def has_own_encoder(self) -> bool:
        """Whether it changed its encoder, so that frozen vectors know less than it does."""
        return bool(getattr(self.winner, "has_own_encoder", False))

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return the winner's calibrated probabilities, shape (n, c)."""
        return self.winner.predict_proba(texts, embeddings=embeddings)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return self.winner.predict(texts)

    def to_json(self) -> dict[str, Any]:
        """Return the verdict in plain values."""
        return self.verdict.to_json()

    def save(self, folder: Path) -> None:
        """Write the winner and the verdict.

        Raises
        ------
        StudentError
            If `folder` exists and holds something else.
        StorageFullError
            If the disk is full; an older student in `folder` is kept.
        """
        with new_folder(folder) as fresh:
            settings = {"student": asdict(self.student), "verdict": self.to_json()}
            write_header(fresh, Header(_KIND, self.labels, self.verdict.temperature or 1.0, settings))
            self.winner.save(fresh / _WINNER)

    @classmethod
    def load(cls, folder: Path) -> "FittedAuto":
        """Read a saved student.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        """
        header = read_header(folder)
        try:
            verdict, student = Verdict(**header.settings["verdict"]), Auto(**header.settings["student"])
        except (KeyError, TypeError) as exc:
            raise StudentError(f"{folder} holds no verdict that can be read ({exc}); train the student again") from exc
        return cls(load(Path(folder) / _WINNER), verdict, student)
