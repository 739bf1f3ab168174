"""Multinomial logistic regression on soft, weighted targets."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from llm_al.types import Proba

__all__ = ["fit_softmax"]

_Floats = NDArray[np.float64]
_MAX_ITERATIONS = 300
# Of the mean loss, so that it means the same for ten rows and for ten thousand.
_GRADIENT_TOLERANCE = 1e-5
_LOSS_TOLERANCE = 1e-9


def fit_softmax(vectors: _Floats, targets: Proba, weights: _Floats, *, C: float) -> tuple[_Floats, _Floats]:
    """Return coefficients of shape (c, d) and intercepts of shape (c,).

    They minimise ``sum_i w_i CE(t_i, softmax(W x_i + b)) + |W|^2 / (2 C)``. Soft targets enter as they are: no row is
    repeated for each of its classes. Intercepts are free, so every class needs a target above 0.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    targets : ndarray of shape (n, c)
        c >= 2. Rows sum to 1.
    weights : ndarray of shape (n,)
        Positive.
    C : float
        Inverse strength of the penalty, relative to a weight of 1 a row.

    Notes
    -----
    Two classes get a row each, of opposite sign. The penalty on the pair is that of a single row of their difference,
    which is how logistic regression of two classes is usually written.
    """
    (n_classes, n_dimensions), total = (targets.shape[1], vectors.shape[1]), weights.sum()
    weighted = targets * weights[:, None]
    penalty = (2.0 if n_classes == 2 else 1.0) / (C * total)

    def loss(flat: _Floats) -> tuple[float, _Floats]:
        coef, intercept = flat[:-n_classes].reshape(n_classes, n_dimensions), flat[-n_classes:]
        logits = vectors @ coef.T + intercept
        normaliser = logsumexp(logits, axis=1, keepdims=True)
        value = (weights @ normaliser[:, 0] - (weighted * logits).sum()) / total + penalty / 2 * (coef**2).sum()
        residual = (np.exp(logits - normaliser) * weights[:, None] - weighted) / total
        gradient = residual.T @ vectors + penalty * coef
        return float(value), np.concatenate([gradient.ravel(), residual.sum(axis=0)])

    options = {"maxiter": _MAX_ITERATIONS, "gtol": _GRADIENT_TOLERANCE, "ftol": _LOSS_TOLERANCE}
    start = np.zeros(n_classes * (n_dimensions + 1))
    flat = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return flat[:-n_classes].reshape(n_classes, n_dimensions), flat[-n_classes:]
