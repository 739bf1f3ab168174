"""Temperature scaling: one number that makes confidence mean what it says."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from llm_al.types import Proba

__all__ = ["fit_temperature", "folds", "logits_from", "out_of_fold", "pooled", "scaled_proba"]

_LOWEST, _HIGHEST = 0.1, 10.0
_LEAST_PROBA = 1e-12


def fit_temperature(
    logits: NDArray[np.float64],
    targets: Proba,
    weights: NDArray[np.float64],
    *,
    expected: float = 1.0,
    strength: float = 2.0,
) -> float:
    """Return the temperature that maximises the likelihood of held-out targets [1]_.

    Parameters
    ----------
    logits : ndarray of shape (n, c)
        Of a model that has not seen these examples.
    targets : ndarray of shape (n, c)
        Rows sum to 1.
    weights : ndarray of shape (n,)
        Non-negative; a human label weighs 1.
    expected : float
        Temperature that is usual for such a model.
    strength : float
        Strength of the pull towards `expected`, in the unit of a label: few labels move the temperature
        little. This is not in [1]_, which has thousands of held-out labels.

    Returns
    -------
    float
        In [0.1, 10]; `expected` when there is nothing to learn from.

    References
    ----------
    .. [1] Guo, Pleiss, Sun & Weinberger (2017). On calibration of modern neural networks. ICML 2017.

    Examples
    --------
    >>> sure = np.array([[4.0, 0.0]] * 100)
    >>> half_right = np.array([[1.0, 0.0], [0.0, 1.0]] * 50)
    >>> fit_temperature(sure, half_right, np.ones(100)) > 5
    True
    """
    if len(logits) == 0:
        return expected

    def loss(log_t: float) -> float:
        log_proba = log_softmax(logits / np.exp(log_t), axis=1)
        return float(-(weights[:, None] * targets * log_proba).sum() + strength * (log_t - np.log(expected)) ** 2)

    best = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(best.x))


def scaled_proba(logits: NDArray[np.float64], temperature: float) -> Proba:
    """Return the softmax of logits over a temperature, shape (n, c), rows sum to 1."""
    proba: Proba = softmax(np.asarray(logits, dtype=np.float64) / temperature, axis=1)
    return proba


def logits_from(proba: Proba) -> NDArray[np.float64]:
    """Return logits of probabilities, shape (n, c), up to what all classes share; a probability of 0 stays finite."""
    return np.asarray(np.log(np.maximum(proba, _LEAST_PROBA)), dtype=np.float64)


def folds(targets: Proba, n_folds: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return a fold number for each row, shape (n,); the likeliest class is spread evenly over the folds.

    With fewer rows than folds, every row has a fold of its own.
    """
    n = len(targets)
    # Sorting by class and dealing out in turn stratifies, whatever the size of a class.
    order = rng.permutation(n)
    order = order[np.argsort(targets.argmax(axis=1)[order], kind="stable")]
    number = np.empty(n, dtype=np.intp)
    number[order] = np.arange(n) % min(n_folds, max(n, 1))
    return number


def out_of_fold(
    fit_predict: Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float64]],
    targets: Proba,
    *,
    n_folds: int,
    rng: np.random.Generator,
    n_fits: int | None = None,
) -> NDArray[np.float64]:
    """Return logits of shape (n, c), each row from a fit that has not seen it.

    Parameters
    ----------
    fit_predict : callable
        Takes positions to fit on and positions to predict, returns logits of the latter.
    targets : ndarray of shape (n, c)
        n >= 2.
    n_fits : int or None
        Folds that are really held out, to save time; rows of the others are NaN. None takes all.
    """
    number = folds(targets, n_folds, rng)
    logits = np.full(targets.shape, np.nan)
    n_held_out = int(number.max()) + 1
    for fold in range(n_held_out if n_fits is None else min(n_fits, n_held_out)):
        held_out = np.flatnonzero(number == fold)
        logits[held_out] = fit_predict(np.flatnonzero(number != fold), held_out)
    return logits


def pooled(*opinions: Proba, shares: Sequence[float] | None = None) -> Proba:
    """Return the normalised geometric mean of opinions of shape (n, c), in equal shares unless others are given [1]_.

    References
    ----------
    .. [1] Genest & Zidek (1986). Combining probability distributions: a critique and an annotated bibliography.
           Statistical Science 1.
    """
    given = [1.0 / len(opinions)] * len(opinions) if shares is None else shares
    heard = [(opinion, share) for opinion, share in zip(opinions, given, strict=True) if share > 0]
    if len(heard) == 1:
        return heard[0][0]
    return scaled_proba(np.sum([share * logits_from(opinion) for opinion, share in heard], axis=0), 1.0)
