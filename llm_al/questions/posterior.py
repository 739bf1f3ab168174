"""What the student believes about a text that is asked about, made honest by the answers so far."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from llm_al.questions.conformal import Asked
from llm_al.types import Proba

__all__ = ["fit_sharpness", "sharpened"]

_WINDOW = 300
_LEAST = 1e-6
_PULL = 2.0
"""Strength of the pull towards 1, in answers."""
_BOUND = np.log(10.0)


def fit_sharpness(rounds: Sequence[Asked]) -> float:
    """Return the power to which probabilities are raised so that the latest answers become likeliest.

    A student is calibrated on what it learned from. The texts that people are asked about are those that it finds hard,
    and there its probabilities may be too sure (a power below 1) or not sure enough (above 1).

    Parameters
    ----------
    rounds : sequence of Asked
        Oldest first.

    Returns
    -------
    float
        In [.1, 10]; 1 without answers, near 1 with few.
    """
    asked = [one for one in rounds if len(one)]
    if not asked:
        return 1.0
    logs = np.log(np.maximum(np.concatenate([one.proba for one in asked])[-_WINDOW:], _LEAST))
    labels = np.concatenate([one.labels for one in asked])[-_WINDOW:]

    def loss(log_power: float) -> float:
        raised = np.exp(log_power) * logs
        raised -= raised.max(axis=1, keepdims=True)
        right = raised[np.arange(len(labels)), labels] - np.log(np.exp(raised).sum(axis=1))
        return float(_PULL * log_power**2 - right.sum())

    return float(np.exp(minimize_scalar(loss, bounds=(-_BOUND, _BOUND), method="bounded").x))


def sharpened(proba: Proba, power: float) -> Proba:
    """Return probabilities raised to a power, shape (n, c), rows sum to 1; none is 0."""
    raised = np.maximum(proba, _LEAST) ** power
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float64)
