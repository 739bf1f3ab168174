"""What a student says of people's rows that it has not seen."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.protocols import FittedStudent
from llm_al.students._material import rows_of
from llm_al.students.calibration import fit_temperature, logits_from, out_of_fold, pooled
from llm_al.types import Proba, TrainingSet
from llm_al.views import FIRST, view_of, views_for

__all__ = ["cross_fitted", "has_temperature", "human_rows", "n_human", "temperature_of", "uncalibrated"]


def human_rows(training: TrainingSet) -> NDArray[np.intp]:
    """Return the rows that people labelled."""
    return np.arange(len(training)) if training.is_human is None else np.flatnonzero(training.is_human)


def n_human(training: TrainingSet) -> int:
    """Return how many rows people labelled."""
    return len(human_rows(training))


def cross_fitted(student: Any, human: TrainingSet, labels: Any, *, n_folds: int, seed: int) -> Proba:
    """Return probabilities of people's rows, (n, c), each by a student that learned from other folds.

    The folds depend on `seed` alone, so that several students are tested on the same. A student that chooses views of
    the vectors is tested in those that it will choose: a part of the labels may be too few to tell.
    """
    if human.embeddings is None:
        return _cross_fitted(student, human, labels, n_folds, seed)
    chooses = getattr(student, "layers", False)
    views = views_for(human.embeddings, human.targets, human.view) if chooses else (FIRST,)
    return pooled(*(_cross_fitted(student, _in_view(human, view), labels, n_folds, seed) for view in views))


def _cross_fitted(student: Any, human: TrainingSet, labels: Any, n_folds: int, seed: int) -> Proba:
    def fit_predict(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> Proba:
        tested = rows_of(human, held_out)
        fitted: FittedStudent = student.fit(rows_of(human, fit_on), labels=labels, seed=seed)
        return fitted.predict_proba(tested.texts, embeddings=tested.embeddings)

    return out_of_fold(fit_predict, human.targets, n_folds=n_folds, rng=np.random.default_rng(seed))


def _in_view(human: TrainingSet, view: int) -> TrainingSet:
    vectors, names = human.embeddings, human.label_embeddings
    return replace(
        human,
        embeddings=None if vectors is None else view_of(vectors, view),
        label_embeddings=None if names is None else view_of(names, view),
        view=None,
    )


def temperature_of(usual: float, proba: Proba, human: TrainingSet) -> float:
    """Return the temperature that predictions of held-out rows at the usual one ask for."""
    logits = usual * logits_from(proba)
    likeliest = np.eye(human.targets.shape[1])[human.targets.argmax(axis=1)]
    return fit_temperature(logits, likeliest, human.weights, expected=usual)


def has_temperature(student: Any) -> bool:
    """Whether its temperature is a setting; a student without one measures its own in every fit."""
    return hasattr(student, "temperature")


def uncalibrated(student: Any) -> Any:
    """Return the student without the trainings that would measure its temperature."""
    return replace(student, n_folds=0) if has_temperature(student) and hasattr(student, "n_folds") else student
