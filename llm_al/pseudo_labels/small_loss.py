"""Which labels of an LLM are clean, judged by a student that learned from all of them."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from llm_al.errors import ShapeError
from llm_al.types import Proba

__all__ = ["CLEAN", "clean_probability"]

CLEAN = 0.7
"""A row is taken for clean above this probability, as in the paper."""

_LEAST = 1e-12


def clean_probability(proba: Proba, labels: NDArray[np.int64], *, seed: int = 0) -> NDArray[np.float64]:
    """Return the probability that each label is clean, from the student's loss on it [1]_.

    A student learns what labels have in common before it learns their mistakes, so a mistake has a large loss. The
    cross-entropies ``-log p(label)`` are scaled to 0 ... 1 within each label, because hard classes have larger losses
    throughout; a mixture of two Gaussians is fitted to them; the answer is the posterior of the component with the
    smaller mean.

    Differs from the paper: made for probabilities of a student that did not see the row (out-of-fold), where the
    paper stops training early. A label alone in its class has loss 0. With fewer than four labels, or equal losses,
    nothing speaks against any of them.

    Parameters
    ----------
    proba : ndarray of shape (n, c)
        The student's probabilities.
    labels : ndarray of shape (n,), int64
        Class index of the LLM's label; -1 where it gave none.
    seed : int
        Start of the mixture.

    Returns
    -------
    ndarray of shape (n,)
        In [0, 1]; 0 where there is no label.

    Raises
    ------
    ShapeError
        If the two differ in length, or a label is no column of `proba`.

    References
    ----------
    .. [1] Xiao et al. (2023). FreeAL: Towards Human-Free Active Learning in the Era of Large Language Models. EMNLP.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.85, 0.15], [0.1, 0.9], [0.9, 0.1]])
    >>> clean_probability(proba, np.array([0, 0, 0, 0, -1])).round(2)
    array([1., 1., 1., 0., 0.])
    """
    if proba.ndim != 2 or len(labels) != len(proba) or (len(labels) and labels.max() >= proba.shape[1]):
        raise ShapeError(
            f"proba has shape {proba.shape} and there are {len(labels)} labels; give one row a label, "
            "one column a class"
        )
    known = np.flatnonzero(labels >= 0)
    clean = np.zeros(len(labels))
    if not len(known):
        return clean
    loss = -np.log(np.maximum(proba[known, labels[known]], _LEAST))
    clean[known] = _low_component(_scaled_by_class(loss, labels[known]), seed)
    return clean


def _scaled_by_class(loss: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    n_classes = int(labels.max()) + 1
    low, high = np.full(n_classes, np.inf), np.full(n_classes, -np.inf)
    np.minimum.at(low, labels, loss)
    np.maximum.at(high, labels, loss)
    spread = np.where(high > low, high - low, 1.0)
    return np.asarray((loss - low[labels]) / spread[labels], dtype=np.float64)


def _low_component(scaled: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    if len(scaled) < 4 or np.ptp(scaled) < _LEAST:
        return np.ones(len(scaled))
    mixture = GaussianMixture(2, tol=1e-2, reg_covar=5e-4, random_state=seed)
    with warnings.catch_warnings():
        # Two points far apart are a valid answer for two Gaussians.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(scaled[:, None])
    return np.asarray(mixture.predict_proba(scaled[:, None])[:, mixture.means_[:, 0].argmin()], dtype=np.float64)
