"""How far annotators agree beyond chance."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError

__all__ = ["Agreement", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha"]


@dataclass(frozen=True)
class Agreement:
    """A coefficient, or None with the reason why it is undefined."""

    value: float | None
    reason: str = ""


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> Agreement:
    """Return Cohen's kappa of two annotators, ``(p_o - p_e) / (1 - p_e)`` [1]_.

    Raises
    ------
    ShapeError
        If the two differ in length.

    References
    ----------
    .. [1] Cohen (1960). A coefficient of agreement for nominal scales. Educ. Psychol. Meas. 20(1), 37-46.

    Examples
    --------
    >>> cohen_kappa(["a", "a", "b", "b"], ["a", "a", "b", "a"]).value
    0.5
    """
    if len(first) != len(second):
        raise ShapeError(f"got {len(first)} and {len(second)} answers; give one answer of each annotator an example")
    if not first:
        return Agreement(None, "undefined because no example was answered by both")
    index = {label: i for i, label in enumerate(dict.fromkeys([*first, *second]))}
    if len(index) == 1:
        return Agreement(None, "undefined because only one label occurs")
    table = np.zeros((len(index), len(index)))
    np.add.at(table, ([index[a] for a in first], [index[b] for b in second]), 1.0 / len(first))
    observed, expected = float(np.trace(table)), float(table.sum(axis=1) @ table.sum(axis=0))
    return Agreement((observed - expected) / (1.0 - expected))


def fleiss_kappa(counts: NDArray[np.int64]) -> Agreement:
    """Return Fleiss' kappa [1]_.

    Parameters
    ----------
    counts : ndarray of shape (n, c)
        How many annotators gave each label to each example; the same number, at least 2, for each example.

    Raises
    ------
    ShapeError
        If `counts` is not two-dimensional or its rows differ in sum.

    References
    ----------
    .. [1] Fleiss (1971). Measuring nominal scale agreement among many raters. Psychol. Bull. 76(5), 378-382.
    """
    if counts.ndim != 2:
        raise ShapeError(f"counts has {counts.ndim} dimensions; expected 2: examples by labels")
    if not len(counts):
        return Agreement(None, "undefined because there are no examples")
    n_raters = counts.sum(axis=1)
    if np.ptp(n_raters):
        raise ShapeError(
            f"examples have {n_raters.min()} to {n_raters.max()} answers; use krippendorff_alpha for unequal counts"
        )
    m = int(n_raters[0])
    if m < 2:
        return Agreement(None, f"undefined because examples have {m} answers; at least 2 are needed")
    shares = counts.sum(axis=0) / counts.sum()
    expected = float((shares**2).sum())
    if np.count_nonzero(shares) == 1:
        return Agreement(None, "undefined because only one label occurs")
    observed = float(((counts.astype(np.float64) ** 2).sum(axis=1) - m).mean() / (m * (m - 1)))
    return Agreement((observed - expected) / (1.0 - expected))


def krippendorff_alpha(counts: NDArray[np.int64]) -> Agreement:
    """Return Krippendorff's alpha for nominal labels, ``1 - D_o / D_e`` [1]_.

    Parameters
    ----------
    counts : ndarray of shape (n, c)
        How many annotators gave each label to each example; examples with fewer than 2 answers are ignored.

    Raises
    ------
    ShapeError
        If `counts` is not two-dimensional.

    References
    ----------
    .. [1] Krippendorff (2011). Computing Krippendorff's alpha-reliability. Univ. of Pennsylvania.
    """
    if counts.ndim != 2:
        raise ShapeError(f"counts has {counts.ndim} dimensions; expected 2: examples by labels")
    paired = counts[counts.sum(axis=1) > 1].astype(np.float64)
    if not len(paired):
        return Agreement(None, "undefined because no example has two answers")
    totals = paired.sum(axis=0)
    if np.count_nonzero(totals) == 1:
        return Agreement(None, "undefined because only one label occurs")
    m, n = paired.sum(axis=1), totals.sum()
    observed = float(((m**2 - (paired**2).sum(axis=1)) / (m - 1)).sum() / n)
    expected = float((n**2 - (totals**2).sum()) / (n * (n - 1)))
    return Agreement(1.0 - observed / expected)
