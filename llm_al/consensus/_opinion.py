"""A student as one more voter: its calibrated probabilities as the prior of an example."""

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._student import read_student, scaled, temperature_of
from llm_al.consensus._votes import Votes
from llm_al.types import Known

Floats = NDArray[np.float64]

_FLOOR = 1e-4
"""Least probability that a student is believed to give; no student is calibrated beyond it."""


def student_prior(
    votes: Votes, known: Known | None, *, is_heard: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return log priors over outcomes, shape (n, c + 1), all 0 where the student is not heard, and where it is.

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
    has_voice = has_proba & is_heard
    prior = np.zeros((len(votes.example_ids), votes.n_outcomes))
    if has_voice.any():
        temperature = temperature_of(votes, proba, has_proba)
        prior[has_voice, :-1] = np.log(np.maximum(scaled(proba[has_voice, :-1], temperature), _FLOOR))
        prior[has_voice, -1] = -np.log(len(votes.labels))
    return prior, has_voice
