"""Which labels of an LLM are in doubt by confident learning."""

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.types import Proba

__all__ = ["class_thresholds", "in_doubt"]


def class_thresholds(proba: Proba, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean probability of each class over the rows that have it as label, shape (c,); 1 without such a row.

    Parameters
    ----------
    proba : ndarray of shape (n, c)
        Of a student that did not learn from these labels.
    labels : ndarray of shape (n,), int64
        -1 where there is none.

    Raises
    ------
    ShapeError
        If the two differ in length, or a label is no column of `proba`.
    """
    if proba.ndim != 2 or len(labels) != len(proba) or (len(labels) and labels.max() >= proba.shape[1]):
        raise ShapeError(
            f"proba has shape {proba.shape} and there are {len(labels)} labels; give each row a label, "
            "each class a column"
        )
    known = np.flatnonzero(labels >= 0)
    counts = np.bincount(labels[known], minlength=proba.shape[1])
    total = np.bincount(labels[known], proba[known, labels[known]], minlength=proba.shape[1])
    return np.where(counts > 0, total / np.maximum(counts, 1), 1.0)


def in_doubt(proba: Proba, labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark the labels that confident learning counts off the diagonal [1]_.

    With ``t_c`` from `class_thresholds`, a row is likely of class k if k has the largest probability among the classes
    with ``p(k) >= t_k``; its label is in doubt if there is such a k and it is another class. Hard classes have low
    thresholds, so that they do not lose all of their labels.

    Parameters
    ----------
    proba : ndarray of shape (n, c)
        Of a student that did not learn from these labels.
    labels : ndarray of shape (n,), int64
        -1 where there is none; these are not in doubt.

    Returns
    -------
    ndarray of shape (n,), bool

    References
    ----------
    .. [1] Northcutt, Jiang & Chuang (2021). Confident Learning: Estimating Uncertainty in Dataset Labels. JAIR 70.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.9, 0.1]])
    >>> in_doubt(proba, np.array([0, 0, 1, 1]))
    array([False, False, False,  True])
    """
    is_likely = proba >= class_thresholds(proba, labels)
    likeliest = np.where(is_likely, proba, -1.0).argmax(axis=1) if len(proba) else np.zeros(0, dtype=np.intp)
    is_other: NDArray[np.bool_] = is_likely.any(axis=1) & (labels >= 0) & (likeliest != labels)
    return is_other
