"""HAST: self-training on rows whose neighbours are predicted alike."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, check, is_among_best, nothing, sub_pool
from llm_al.pseudo_labels._neighbours import nearest_others
from llm_al.types import Positions

__all__ = ["Hast"]

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
        check(self, n_neighbours=2, n_sample=1, min_confidence=0, min_share=0, labelled_weight=0)
        if self.max_per_class is not None:
            check(self, max_per_class=1)
        if self.beta <= 0:
            raise ConfigError(f"beta is {self.beta}; allowed is more than 0; to do without pseudo-labels choose none")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return kept rows (m,) in ascending order, one-hot targets (m, c) and weights (m,).

        Only rows without a label are kept. m is 0 before the first student.
        """
        if view.proba is None or np.count_nonzero(~view.is_labeled) < 2:
            return nothing(view)
        rows = sub_pool(view, self.n_sample, rng)
        share, vote = self._vote(view, rows)
        confidence, predicted = view.proba[rows].max(axis=1), view.proba[rows].argmax(axis=1)
        is_kept = (vote == predicted) & (confidence > self.min_confidence) & (share > self.min_share)
        if self.max_per_class is not None:
            is_kept &= is_among_best(predicted, np.where(is_kept, confidence, -1.0), self.max_per_class)
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
        nearest = nearest_others(view.embeddings[indexed], len(rows), self.n_neighbours - 1)
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
