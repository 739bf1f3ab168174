"""A student as one more voter: its calibrated probabilities as the prior of an example."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._student import read_student, scaled, temperature_of
from llm_al.consensus._votes import Votes
from llm_al.types import Known

Floats = NDArray[np.float64]

_FLOOR = 1e-4
"""Least probability that a student is believed to give; no student is calibrated beyond it."""
_DOUBT = 10.0
"""Examples with votes that the student's skill has to outweigh."""


@dataclass(frozen=True)
class Opinion:
    """What a student holds of n examples.

    Parameters
    ----------
    prior : ndarray of shape (n, c + 1)
        Log priors over outcomes, all 0 where it is not heard.
    is_heard : ndarray of shape (n,), bool
    skill : float
        In [0, 1]: the share of the errors of always saying the commonest label that it avoids, where votes say what
        an error is.
    """

    prior: Floats
    is_heard: NDArray[np.bool_]
    skill: float


def read_opinion(votes: Votes, known: Known | None, *, may_speak: NDArray[np.bool_]) -> Opinion:
    """Return what the student holds of the examples that it may speak of, shape (n,).

    The student's weight is learned: one temperature at which it foretells the votes best. The maximum of the
    likelihood of the votes and the hidden labels together would be another one, and a worse: EM then takes the
    student's own opinion for the truth and trusts it more with each step. The student cannot say `none_of_these`,
    which stands at ``log(1 / c)``: below what it holds likely and above what it rules out.

    Raises
    ------
    ShapeError
        If there are not as many probabilities as labels.
    """
    proba, has_proba = read_student(votes, known)
    is_heard = has_proba & may_speak
    prior = np.zeros((len(votes.example_ids), votes.n_outcomes))
    if is_heard.any():
        temperature = temperature_of(votes, proba, has_proba)
        prior[is_heard, :-1] = np.log(np.maximum(scaled(proba[is_heard, :-1], temperature), _FLOOR))
        prior[is_heard, -1] = -np.log(len(votes.labels))
    return Opinion(prior, is_heard, _skill(votes, proba, has_proba))


def _skill(votes: Votes, proba: Floats, has_proba: NDArray[np.bool_]) -> float:
    counts = votes.clamped(votes.totals(votes.share))
    rows = np.flatnonzero(has_proba & (counts.sum(axis=1) > 0.0))
    shares = counts[rows] / counts[rows].sum(axis=1, keepdims=True)
    own = (1.0 - shares[np.arange(len(rows)), proba[rows].argmax(axis=1)]).sum()
    commonest = len(rows) - shares.sum(axis=0).max(initial=0.0)
    return float(np.clip(1.0 - (own + _DOUBT) / (commonest + _DOUBT), 0.0, 1.0))
