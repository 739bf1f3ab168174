"""Which given labels are likely wrong, by what a student that has not learned from them says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.types import Proba

__all__ = ["Suspect", "class_thresholds", "find_label_errors"]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A label that is likely wrong.

    Parameters
    ----------
    row : int
        Of the arrays that were handed in.
    given : int
        Class index of the label.
    likelier : int
        Class index that the student is confident of.
    margin : float
        Normalised margin of the given label, ``(p(given) - max of the other p + 1) / 2``, in [0, 1]; low is suspicious.
    """

    row: int
    given: int
    likelier: int
    margin: float


def class_thresholds(proba: Proba, given: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the mean probability of each class over the rows that are labelled with it, shape (c,).

    Infinite for a class without a row: nobody can be confident of it.
    """
    c = proba.shape[1]
    n = np.bincount(given, minlength=c)
    total = np.bincount(given, proba[np.arange(len(given)), given], minlength=c)
    return np.where(n > 0, total / np.maximum(n, 1), np.inf)


def find_label_errors(proba: Proba, given: NDArray[np.intp]) -> list[Suspect]:
    """Return the likely label errors by confident learning [1]_, most suspicious first.

    A row is confidently of the class with the largest probability among those that reach their threshold, the class's
    mean probability over the rows labelled with it. It is suspect when that class is not the given one, and the given
    one is not the likeliest either: with unequal thresholds the first alone would accuse the student's own choice.

    Parameters
    ----------
    proba : ndarray of shape (n, c)
        Out-of-fold: of students that have not learned from the row. Rows sum to 1.
    given : ndarray of shape (n,), int
        Class indices.

    Returns
    -------
    list of Suspect
        By margin; ties in row order.

    Raises
    ------
    ShapeError
        If the two do not fit together, or a value is not finite.

    References
    ----------
    .. [1] Northcutt, Jiang & Chuang (2021). Confident learning: estimating uncertainty in dataset labels. JAIR 70,
           1373-1411.

    Examples
    --------
    >>> proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.95, 0.05]])
    >>> [(s.row, s.likelier) for s in find_label_errors(proba, np.array([0, 0, 1, 1]))]
    [(3, 0)]
    """
    _check(proba, given)
    n = len(given)
    if not n:
        return []
    rows = np.arange(n)
    confident = np.where(proba >= class_thresholds(proba, given) - 1e-6, proba, -1.0)
    likelier = confident.argmax(axis=1)
    is_suspect = (confident[rows, likelier] >= 0) & (likelier != given) & (proba.argmax(axis=1) != given)
    others = proba.copy()
    others[rows, given] = -1.0
    margin = (proba[rows, given] - others.max(axis=1) + 1.0) / 2.0
    found = np.flatnonzero(is_suspect)
    found = found[np.argsort(margin[found], kind="stable")]
    return [Suspect(int(row), int(given[row]), int(likelier[row]), float(margin[row])) for row in found]


def _check(proba: Proba, given: NDArray[np.intp]) -> None:
    if proba.ndim != 2 or len(proba) != len(given):
        raise ShapeError(
            f"proba has shape {proba.shape} for {len(given)} labels; give one row of class probabilities a label"
        )
    if not np.isfinite(proba).all():
        raise ShapeError("proba holds values that are not finite; give probabilities")
    if len(given) and not 0 <= given.min() <= given.max() < proba.shape[1]:
        raise ShapeError(
            f"labels run from {given.min()} to {given.max()}; give class indices from 0 to {proba.shape[1] - 1}"
        )
