"""What machines propose to a person: the student of the last round, and the LLMs that have answered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_al.store.store import SqlStore
from llm_al.student_files import KeptPredictions
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, LabelScheme, Proba, Split

__all__ = ["Suggested", "Suggestions"]

STUDENT = "student"


@dataclass(frozen=True, slots=True)
class Suggested:
    """A label that a machine proposes.

    Parameters
    ----------
    score : float or None
        In [0, 1]: the student's probability, or the share of an LLM's runs that say so.
    by : str
        ``student``, or the model's name.
    """

    label: str
    score: float | None
    by: str


@dataclass(frozen=True)
class Suggestions:
    """What is proposed after one round; a new round needs a new object.

    Parameters
    ----------
    number : int
        The last finished round.
    """

    store: SqlStore
    students: KeptPredictions
    scheme: LabelScheme
    number: int

    @cached_property
    def _ordinals(self) -> NDArray[np.int64]:
        return self.store.ordinals(Split.POOL)

    @cached_property
    def _proba(self) -> Proba | None:
        return self.students.pool(self.number, self.scheme.names, len(self._ordinals))

    def proba(self, ordinal: int) -> Proba | None:
        """Return the student's probabilities of a text, shape (c,); None without a student, or for a new text."""
        if self._proba is None:
            return None
        position = int(np.searchsorted(self._ordinals, ordinal))
        is_there = position < len(self._ordinals) and self._ordinals[position] == ordinal
        return np.asarray(self._proba[position], dtype=np.float64) if is_there else None

    def of(self, ordinals: Mapping[str, int]) -> dict[str, tuple[Suggested, ...]]:
        """Return what is proposed for each example id, the surest first."""
        given: dict[str, list[Annotation]] = {id_: [] for id_ in ordinals}
        for annotation in self.store.annotations(ids=list(ordinals)) if ordinals else ():
            if annotation.kind is AnnotatorKind.LLM:
                given[annotation.example_id].append(annotation)
        found = {id_: [*self._students(ordinals[id_]), *_models(given[id_])] for id_ in ordinals}
        return {id_: tuple(sorted(some, key=lambda s: -(s.score or 0.0))) for id_, some in found.items()}

    def _students(self, ordinal: int) -> list[Suggested]:
        proba = self.proba(ordinal)
        if proba is None:
            return []
        best = int(proba.argmax())
        return [Suggested(self.scheme.names[best], round(float(proba[best]), 4), STUDENT)]


def _models(given: Sequence[Annotation]) -> list[Suggested]:
    """Return what each model says most often; a model that abstained says nothing."""
    runs: dict[str, list[str]] = {}
    for annotation in given:
        if annotation.label not in (None, SKIP, NONE_OF_THESE):
            runs.setdefault(annotation.model or annotation.source, []).append(str(annotation.label))
    most = {model: Counter(labels).most_common(1)[0] for model, labels in runs.items()}
    return [Suggested(label, round(n / len(runs[model]), 4), model) for model, (label, n) in most.items()]
