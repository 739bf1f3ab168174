"""A head that begins at a logistic regression on the network's own features."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax

from llm_al.students._network import Network
from llm_al.types import Embeddings, Proba
from llm_al.views import FIRST, view_of

__all__ = ["map_head", "set_head"]

_STRENGTH = 0.1
_MAX_ITERATIONS = 200


def map_head(
    features: NDArray[np.float64], targets: Proba, weights: NDArray[np.float64], prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return coefficients (c, d) and intercepts (c,) that fit soft targets and stay near a prior mean.

    The loss is the weighted cross-entropy plus ``_STRENGTH / 2 * |W - prior|^2``; intercepts are free but for the
    same pull to zero, so that a class without examples has a finite one.

    Parameters
    ----------
    features : ndarray of shape (n, d)
    targets : ndarray of shape (n, c)
    weights : ndarray of shape (n,)
    prior : ndarray of shape (c, d)
    """
    c, d = prior.shape
    start = np.hstack([prior, np.zeros((c, 1))])
    inputs = np.hstack([features, np.ones((len(features), 1))])

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        coef = flat.reshape(c, d + 1)
        log_proba = log_softmax(inputs @ coef.T, axis=1)
        error = weights[:, None] * (np.exp(log_proba) - targets)
        value = -(weights[:, None] * targets * log_proba).sum() + _STRENGTH / 2 * ((coef - start) ** 2).sum()
        return float(value), (error.T @ inputs + _STRENGTH * (coef - start)).ravel()

    best = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _MAX_ITERATIONS})
    coef = best.x.reshape(c, d + 1)
    return coef[:, :d], coef[:, d]


def set_head(
    network: Network,
    features: NDArray[np.float64],
    targets: Proba,
    weights: NDArray[np.float64],
    label_embeddings: Embeddings | None,
) -> None:
    """Begin fine-tuning at a fitted head instead of at zeros [1]_.

    Parameters
    ----------
    network : Network
        Its head is overwritten.
    features : ndarray of shape (n, d)
        Unit vectors of the network's own encoder.
    targets : ndarray of shape (n, c)
    weights : ndarray of shape (n,)
    label_embeddings : ndarray of shape (c, d) or (c, v, d), or None
        Prior mean of the head's rows, so that a class without examples begins at its description. Vectors of
        another width came from another encoder and are left out.

    References
    ----------
    .. [1] Kumar, Raghunathan, Jones, Ma & Liang (2022). Fine-tuning can distort pretrained features and
           underperform out-of-distribution. ICLR 2022.
    """
    shape = tuple(network.head.weight.shape)
    prior = np.zeros(shape)
    own = None if label_embeddings is None else view_of(label_embeddings, FIRST)
    if own is not None and own.shape == shape:
        prior = np.asarray(own, dtype=np.float64)
    coef, intercept = map_head(features * network.scale, targets, weights, prior)
    with torch.no_grad():
        network.head.weight.copy_(torch.as_tensor(coef))
        network.head.bias.copy_(torch.as_tensor(intercept))
