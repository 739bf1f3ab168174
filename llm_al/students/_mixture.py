"""Two linear classifiers as one: how much of each, measured on rows that neither has seen."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax

from llm_al.students._linear import Linear
from llm_al.students._prototypes import Rows
from llm_al.students.calibration import out_of_fold

__all__ = ["Mixture", "fit_mixture", "mixed"]

_Floats = NDArray[np.float64]
# In the unit of a label: few labels move share and temperature little.
_STRENGTH = 2.0
_BOUNDS = ((-4.0, 4.0), (float(np.log(0.1)), float(np.log(10.0))))


@dataclass(frozen=True)
class Mixture:
    """The share of the second classifier's logits, in [0, 1], and the temperature of the sum."""

    share: float = 0.5
    temperature: float = 1.0


def mixed(first: Linear, second: Linear, share: float) -> Linear:
    """Return the classifier whose logits are those of two, in shares of ``1 - share`` and `share`.

    Both have the same classes with examples.
    """
    return Linear(
        (1 - share) * first.coef + share * second.coef,
        (1 - share) * first.intercept + share * second.intercept,
        first.is_present,
        first.absent_share,
    )


def fit_mixture(
    fit: Callable[[Rows], tuple[Linear, Linear]], rows: Rows, *, n_folds: int, rng: np.random.Generator
) -> Mixture:
    """Return the share and temperature that make held-out labels likeliest.

    Parameters
    ----------
    fit : callable
        Takes rows to learn from, returns the two classifiers.
    rows : Rows
        n >= 2.

    Notes
    -----
    Stacking [1]_ of two models, with a pull towards equal shares and a temperature of 1 that weighs as much as two
    labels. A soft target holds the doubt about the annotators; what is measured is the student's own, so the
    likeliest class counts.

    References
    ----------
    .. [1] Wolpert (1992). Stacked generalization. Neural Networks 5(2), 241-259.
    """
    c = rows.targets.shape[1]

    def fit_predict(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> _Floats:
        return np.stack([linear.logits(rows.vectors[held_out]) for linear in fit(rows.at(fit_on))], axis=-1)

    both = _both_out_of_fold(fit_predict, rows, n_folds, rng)
    likeliest = np.eye(c)[rows.targets.argmax(axis=1)] * rows.weights[:, None]

    def loss(point: _Floats) -> float:
        share, temperature = expit(point[0]), np.exp(point[1])
        logits = ((1 - share) * both[0] + share * both[1]) / temperature
        return float(-(likeliest * log_softmax(logits, axis=1)).sum() + _STRENGTH * (point**2).sum())

    best = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=_BOUNDS).x
    return Mixture(float(expit(best[0])), float(np.exp(best[1])))


def _both_out_of_fold(
    fit_predict: Callable[[NDArray[np.intp], NDArray[np.intp]], _Floats],
    rows: Rows,
    n_folds: int,
    rng: np.random.Generator,
) -> tuple[_Floats, _Floats]:
    """Return logits of both classifiers, shape (n, c) each, from one fit a fold."""
    second = np.zeros(rows.targets.shape)

    def first(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> _Floats:
        logits = fit_predict(fit_on, held_out)
        second[held_out] = logits[..., 1]
        return logits[..., 0]

    return out_of_fold(first, rows.targets, n_folds=n_folds, rng=rng), second
