"""Folds in which every class is spread evenly."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def deal(classes: NDArray[np.integer[Any]], n_folds: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
    """Deal shuffled rows to folds class by class, going on where the last class ended.

    Parameters
    ----------
    classes : ndarray of shape (n,)
    n_folds : int
        With fewer rows than folds, some folds are empty.

    Returns
    -------
    list of ndarray
        Ascending positions of each fold.
    """
    shuffled = rng.permutation(len(classes))
    dealt = shuffled[np.argsort(classes[shuffled], kind="stable")]
    return [np.sort(dealt[start::n_folds]) for start in range(n_folds)]
