"""Evidence as numbers for a calibrator."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.routers.evidence import Evidence
from llm_al.types import Signal

__all__ = ["FeatureColumns"]

Floats = NDArray[np.float64]

_CLIP = 1e-3
_MAX_VOTERS = 20
_LEAST_SHARE = 0.05
_UNKNOWN = float("nan")


@dataclass(frozen=True)
class FeatureColumns:
    """Which columns a case is turned into: signals, one or two a voter, one a predicted class.

    Voters are the annotators, or the models when there are more than 20 annotators. Voters and classes that a fitted
    calibrator has not seen are left out of account.

    Parameters
    ----------
    voters : tuple of str
        Annotators with a column each for "agrees with the label" and for its own confidence, signed by that.
    models : tuple of str
        Models with a column each for the share of their answers that agree.
    classes : tuple of str
        Predicted labels with a column each.
    """

    voters: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, cases: Sequence[Evidence]) -> "FeatureColumns":
        """Return the columns that these cases fill; a voter needs an answer to one case in twenty."""
        voters = _frequent((case.votes for case in cases), len(cases))
        models: tuple[str, ...] = ()
        if len(voters) > _MAX_VOTERS:
            voters, models = (), _frequent((case.model_shares for case in cases), len(cases))
        classes = tuple(sorted({case.label for case in cases if case.label is not None}))
        return cls(voters if len(voters) > 1 else (), models, classes)

    @property
    def n_classes(self) -> int:
        """How many of the last columns are one-hot classes."""
        return len(self.classes)

    def matrix(self, cases: Sequence[Evidence]) -> Floats:
        """Return shape (n, k); NaN where a signal is unknown, never in the columns of classes."""
        signals = np.array([_signals(case) for case in cases], dtype=np.float64)
        votes = np.array([self._votes(case) for case in cases], dtype=np.float64)
        onehot = np.zeros((len(cases), len(self.classes)))
        index = {name: column for column, name in enumerate(self.classes)}
        known = [(row, index[case.label]) for row, case in enumerate(cases) if case.label in index]
        onehot[tuple(np.array(known, dtype=np.intp).reshape(-1, 2).T)] = 1.0
        return np.hstack([signals, votes.reshape(len(cases), -1), onehot])

    def _votes(self, case: Evidence) -> list[float]:
        agrees = {name: 1.0 if vote == case.label else -1.0 for name, vote in case.votes.items()}
        sure = {name: agrees[name] * _logit(p) for name, p in case.confidences.items() if name in agrees}
        shares = [2.0 * case.model_shares[name] - 1.0 if name in case.model_shares else 0.0 for name in self.models]
        # An annotator that gave no valid answer speaks neither for nor against the label.
        voters = [agrees.get(name, 0.0) for name in self.voters] + [sure.get(name, 0.0) for name in self.voters]
        return voters + shares


def _frequent(mentions: Iterable[Mapping[str, Any]], n: int) -> tuple[str, ...]:
    counts = Counter(name for mention in mentions for name in mention)
    return tuple(sorted(name for name, count in counts.items() if count >= _LEAST_SHARE * n))


def _signals(case: Evidence) -> list[float]:
    return [
        _logit(case.confidence),
        *(_logit(case.signals.get(name)) for name in Signal),
        case.agreement,
        _known(case.prompt_agreement),
        _known(case.model_agreement),
        _known(case.proba_margin),
        _known(case.proba_entropy),
        case.n_none_of_these / max(case.n_valid, 1),
        1.0 - case.n_valid / max(case.n_answers, 1),
        *_student(case),
        _known(case.neighbour_share),
        _known(case.neighbour_rival),
        float(np.log1p(case.n_chars)),
    ]


def _student(case: Evidence) -> list[float]:
    agrees = _UNKNOWN if case.student_agrees is None else float(case.student_agrees)
    votes: list[str | None] = list(case.votes.values())
    # How many of the LLM's answers take the student's side against the label.
    backing = votes.count(case.student_label) / len(votes) if votes and case.student_agrees is False else 0.0
    return [_logit(case.student_proba), _logit(case.student_rival), agrees, backing]


def _known(value: float | None) -> float:
    return _UNKNOWN if value is None else value


def _logit(p: float | None) -> float:
    if p is None:
        return _UNKNOWN
    clipped = min(max(p, _CLIP), 1.0 - _CLIP)
    return float(np.log(clipped / (1.0 - clipped)))
