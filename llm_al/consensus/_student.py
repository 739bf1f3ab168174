"""What a student says of annotated examples, as arrays beside the votes."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from llm_al.consensus._votes import Votes
from llm_al.errors import ShapeError
from llm_al.types import Known

Floats = NDArray[np.float64]

_LEAST = 1e-6
_LOWEST, _HIGHEST = 0.1, 10.0


def read_student(votes: Votes, known: Known | None) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the student's probabilities by outcome, shape (n, c + 1), and which rows have any.

    Raises
    ------
    ShapeError
        If there are not as many probabilities as labels.
    """
    n, c = len(votes.example_ids), len(votes.labels)
    proba, has_proba = np.zeros((n, c + 1)), np.zeros(n, dtype=np.bool_)
    for row, id_ in enumerate(votes.example_ids):
        if known is None or id_ not in known.proba:
            continue
        values = known.proba[id_]
        if len(values) != c:
            raise ShapeError(f"probabilities of {id_!r} have {len(values)} values; give one for each of {c} labels")
        proba[row, :-1], has_proba[row] = values, True
    return proba, has_proba


def scaled(proba: Floats, temperature: float) -> Floats:
    """Return probabilities, shape (n, c), as if their logits had been divided by a temperature."""
    return np.asarray(softmax(np.log(np.maximum(proba, _LEAST)) / temperature, axis=1), dtype=np.float64)


def temperature_of(votes: Votes, proba: Floats, has_proba: NDArray[np.bool_]) -> float:
    """Return the temperature, in [0.1, 10], at which the student fits the votes best; 1 with nothing to learn from.

    Pulled towards 1 as if by a vote or two.
    """
    counts = votes.clamped(votes.totals(votes.share))[:, :-1]
    rows = np.flatnonzero(has_proba & (counts.sum(axis=1) > 0))
    if not len(rows):
        return 1.0
    targets = counts[rows] / counts[rows].sum(axis=1, keepdims=True)
    logits = np.log(np.maximum(proba[rows, :-1], _LEAST))

    def loss(log_t: float) -> float:
        return float(-(targets * log_softmax(logits / np.exp(log_t), axis=1)).sum() + log_t**2)

    best = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(best.x))
