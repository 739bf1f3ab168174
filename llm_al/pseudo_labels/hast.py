"""HAST: self-training on rows whose neighbours are predicted alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.types import Positions, Proba

__all__ = ["Hast"]

_BLOCK_ROWS = 512
_MAX_EXPONENT = 50.0


@dataclass(frozen=True)
class Hast:
    """Keep a row when the student and the neighbours agree on its label [1]_.

    A random sub-pool is indexed. A row is kept when the label that most of its neighbours are predicted to have is
    its own prediction, with more than half of the neighbours and a probability above one half. It weighs ``a_c *
    beta``; for a class with n_c kept rows, and n the mean over classes rounded down, ``a_c = 10 / (1 + exp((n_c - n)
    / n_c))``, so that rare classes weigh more. Weights are relative to 1 for a person's label; they are not divided
    by their sum.

    Differs from the authors' code: neighbours are found by the fixed encoder of the pool instead of the current
    student; the row itself is left out by its position, not as the first hit, which fails on exact duplicates.
    ``labelled_weight`` and ``max_per_class`` are additions, off by default.

    Parameters
    ----------
    n_neighbours : int
        Neighbours searched, the row itself among them: 15 means that 14 vote. At least 2.
    n_sample : int
        Size of the random sub-pool.
    min_confidence, min_share : float
        The student's probability and the share of neighbours must be greater.
    beta : float
        Weight of a pseudo-label.
    class_weights : bool
        Whether a_c is used; without it ``a_c = 1``.
    labelled_weight : float
        Votes of a labelled neighbour, with its known label; 0 leaves labelled rows out of the index.
    max_per_class : int or None
        Most rows kept for one class, the most confident first.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Schroeder & Heyer (2024). Self-Training for Sample-Efficient Active Learning for Text Classification with
           Pre-Trained Language Models. Findings of EMNLP.
    """

    n_neighbours: int = 15
    n_sample: int = 16384
    min_confidence: float = 0.5
    min_share: float = 0.5
    beta: float = 0.1
    class_weights: bool = True
    labelled_weight: float = 0.0
    max_per_class: int | None = None

    def __post_init__(self) -> None:
        lowest = {"n_neighbours": 2, "n_sample": 1, "min_confidence": 0, "min_share": 0, "labelled_weight": 0}
        lowest |= {} if self.max_per_class is None else {"max_per_class": 1}
        for name, low in lowest.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is {low} or more; correct it")
        if self.beta <= 0:
            raise ConfigError(f"beta is {self.beta}; allowed is more than 0; to do without pseudo-labels choose none")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> tuple[Positions, Proba, NDArray[np.float64]]:
        """Return kept rows (m,) in ascending order, one-hot targets (m, c) and weights (m,).

        Only rows without a label are kept. m is 0 before the first student.
        """
        unlabelled = np.flatnonzero(~view.is_labeled)
        if view.proba is None or len(unlabelled) < 2:
            return np.zeros(0, dtype=np.intp), np.zeros((0, view.n_classes)), np.zeros(0)
        rows = np.sort(rng.choice(unlabelled, min(self.n_sample, len(unlabelled)), replace=False))
        share, vote = self._vote(view, rows)
        confidence, predicted = view.proba[rows].max(axis=1), view.proba[rows].argmax(axis=1)
        is_kept = (vote == predicted) & (confidence > self.min_confidence) & (share > self.min_share)
        if self.max_per_class is not None:
            is_kept &= _is_among_best(predicted, np.where(is_kept, confidence, -1.0), self.max_per_class)
        kept, classes = rows[is_kept], predicted[is_kept]
        return kept, np.eye(view.n_classes)[classes], self._weights(classes, view.n_classes)

    def _vote(self, view: PoolView, rows: Positions) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Return the largest share of one label among the neighbours of each row, and that label."""
        labelled = np.flatnonzero(view.is_labeled) if self.labelled_weight > 0 else np.zeros(0, dtype=np.intp)
        indexed = np.concatenate([rows, labelled])
        known = view.labels[indexed]
        predicted = np.zeros(len(indexed), dtype=np.int64) if view.proba is None else view.proba[indexed].argmax(axis=1)
        label = np.where(known >= 0, known, predicted)
        weight = np.where(known >= 0, self.labelled_weight, 1.0)
        nearest = _nearest(np.asarray(view.embeddings[indexed], dtype=np.float32), len(rows), self.n_neighbours - 1)
        histogram = np.zeros((len(rows), view.n_classes))
        owner = np.repeat(np.arange(len(rows)), nearest.shape[1])
        np.add.at(histogram, (owner, label[nearest].ravel()), weight[nearest].ravel())
        return histogram.max(axis=1) / histogram.sum(axis=1), histogram.argmax(axis=1)

    def _weights(self, classes: NDArray[np.intp], n_classes: int) -> NDArray[np.float64]:
        if not self.class_weights or not len(classes):
            return np.full(len(classes), self.beta)
        counts = np.bincount(classes, minlength=n_classes).astype(np.float64)
        mean = np.floor(counts.sum() / n_classes)
        exponent = np.minimum((counts - mean) / np.maximum(counts, 1.0), _MAX_EXPONENT)
        factor = 10.0 / (1.0 + np.exp(np.maximum(exponent, -_MAX_EXPONENT)))
        return np.asarray(factor[classes] * self.beta, dtype=np.float64)


def _nearest(embeddings: NDArray[np.float32], n_queries: int, k: int) -> NDArray[np.intp]:
    """Return the k nearest other rows of each of the first `n_queries` rows, in blocks, so memory stays linear."""
    k = min(k, len(embeddings) - 1)
    nearest = np.empty((n_queries, k), dtype=np.intp)
    for start in range(0, n_queries, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, n_queries)
        similarity = embeddings[start:stop] @ embeddings.T
        similarity[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        nearest[start:stop] = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    return nearest


def _is_among_best(classes: NDArray[np.intp], confidence: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    order = np.lexsort((-confidence, classes))
    first_of_class = np.searchsorted(classes[order], classes[order], side="left")
    is_best = np.zeros(len(classes), dtype=np.bool_)
    is_best[order] = np.arange(len(classes)) - first_of_class < k
    return is_best
