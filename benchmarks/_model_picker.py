"""Model Picker, a peer for choosing among labelers (Karimi et al. 2021, AISTATS)."""

import numpy as np
from numpy.typing import NDArray

EPSILON = 0.46
"""Presumed error rate; the weight of a candidate grows by (1 - epsilon) / epsilon for each right answer."""


class ModelPicker:
    """Posterior proportional to gamma ** right answers; asks where the expected posterior entropy is least.

    The true class of an example is taken to be uniform, as in the paper.
    """

    def __init__(self, predictions: NDArray[np.int64], n_classes: int) -> None:
        self._said, self._c = predictions, n_classes
        self._gamma = (1.0 - EPSILON) / EPSILON
        self._n_right = np.zeros(len(predictions))
        self._is_open = (predictions != predictions[0]).any(axis=0)

    @property
    def p_best(self) -> NDArray[np.float64]:
        weights = self._gamma ** (self._n_right - self._n_right.max())
        return np.asarray(weights / weights.sum(), dtype=np.float64)

    def next_item(self, rng: np.random.Generator) -> int | None:
        rows = np.flatnonzero(self._is_open)
        if not len(rows):
            return None
        said, now = self._said[:, rows], self.p_best
        expected = np.zeros(len(rows))
        for label in range(self._c):
            weights = now[:, None] * np.where(said == label, self._gamma, 1.0)
            weights /= weights.sum(axis=0)
            expected -= (weights * np.log(weights)).sum(axis=0)
        return int(rng.choice(rows[expected <= expected.min() + 1e-9]))

    def update(self, item: int, label: int) -> None:
        self._is_open[item] = False
        self._n_right += self._said[:, item] == label
