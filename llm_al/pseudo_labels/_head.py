"""A quick softmax head on frozen embeddings, for comparisons within the guard."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from llm_al.types import Embeddings, Proba

Floats = NDArray[np.float64]

_C = 10.0
_MAX_STEPS = 40


def fit_head(embeddings: Embeddings, targets: Proba, weights: Floats, start: Floats | None = None) -> Floats:
    """Fit a softmax regression to soft targets.

    Minimises ``C * sum of weighted cross-entropy + |coefficients|^2 / 2`` with C = 10, which suits unit-length rows.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
    targets : ndarray of shape (n, c)
    weights : ndarray of shape (n,)
    start : ndarray of shape (d + 1, c) or None
        Coefficients to start from; None is zeros.

    Returns
    -------
    ndarray of shape (d + 1, c)
        Coefficients, the intercept in the last row.
    """
    x = np.asarray(embeddings, dtype=np.float64)
    shape = (x.shape[1] + 1, targets.shape[1])
    w = _C * weights[:, None]

    def objective(flat: Floats) -> tuple[float, Floats]:
        coefficients = flat.reshape(shape)
        logits = x @ coefficients[:-1] + coefficients[-1]
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(axis=1, keepdims=True)
        loss = -float((w * targets * (logits - np.log(total))).sum())
        error = w * (odds / total * targets.sum(axis=1, keepdims=True) - targets)
        gradient = np.vstack([x.T @ error + coefficients[:-1], error.sum(axis=0)])
        return loss + 0.5 * float((coefficients[:-1] ** 2).sum()), gradient.ravel()

    first = np.zeros(shape) if start is None else start
    options = {"maxiter": _MAX_STEPS, "ftol": 1e-5}
    found = minimize(objective, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(found.x, dtype=np.float64).reshape(shape)


def predict_head(coefficients: Floats, embeddings: Embeddings) -> Proba:
    """Return probabilities, shape (n, c)."""
    logits = np.asarray(embeddings, dtype=np.float64) @ coefficients[:-1] + coefficients[-1]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)
