"""NeST: self-training on rows that are predicted like the labelled rows around them."""

from dataclasses import dataclass

import numpy as np

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Floats, check, nothing, one_hot, sub_pool
from llm_al.pseudo_labels._neighbours import nearest_of
from llm_al.types import Positions, Proba

__all__ = ["Nest"]

_LEAST = 1e-12
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Nest:
    """Take the rows whose prediction diverges least from those of their labelled neighbours [1]_.

    For a row with prediction p, and q_1 ... q_k those of its nearest labelled rows, the divergence is
    ``mean_i KL(p || q_i) + beta * mean_{i != j} KL(q_i || q_j)``. The `n_per_label` rows a label that diverge least are
    taken; those with a probability of at most `min_confidence` are then left out. Kept rows weigh as much as a
    person's label.

    Differs from the paper: neighbours are found by the fixed encoder of the pool instead of the current student; the
    least divergent rows are taken, where the paper draws at random by divergence; and the divergence is that of this
    round alone. The paper averages it with the last round's, which would have to outlive a restart.

    Parameters
    ----------
    n_neighbours : int
        Labelled rows that are compared with; fewer where there are fewer.
    beta : float
        Share of the neighbours' own disagreement; 0 leaves it out.
    n_per_label : float
        Rows taken for each labelled row.
    min_confidence : float
        The student's probability must be greater.
    n_sample : int
        Size of the random sub-pool.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Xu et al. (2023). Neighborhood-Regularized Self-Training for Learning with Few Labels. AAAI 37.
    """

    n_neighbours: int = 7
    beta: float = 0.1
    n_per_label: float = 10.0
    min_confidence: float = 0.9
    n_sample: int = 16384

    def __post_init__(self) -> None:
        check(self, n_neighbours=1, beta=0, n_per_label=1, min_confidence=0, n_sample=1)

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return kept rows (m,) in ascending order, one-hot targets (m, c) and weights of 1.

        m is 0 before the first student and without a labelled row.
        """
        rows, labelled = sub_pool(view, self.n_sample, rng), np.flatnonzero(view.is_labeled)
        if view.proba is None or not len(rows) or not len(labelled):
            return nothing(view)
        divergence = self._divergences(view, rows, labelled)
        least = np.argsort(divergence, kind="stable")[: int(self.n_per_label * len(labelled))]
        kept = rows[least][view.proba[rows[least]].max(axis=1) > self.min_confidence]
        return one_hot(view, kept, view.proba[kept].argmax(axis=1), np.ones(len(kept)))

    def _divergences(self, view: PoolView, rows: Positions, labelled: Positions) -> Floats:
        near = labelled[nearest_of(view.embeddings[rows], view.embeddings[labelled], self.n_neighbours)]
        proba = np.zeros((0, view.n_classes)) if view.proba is None else np.maximum(view.proba, _LEAST)
        parts = []
        for start in range(0, len(rows), _BLOCK_ROWS):
            block = slice(start, start + _BLOCK_ROWS)
            parts.append(self._divergence(proba[rows[block]], proba[near[block]]))
        return np.concatenate(parts)

    def _divergence(self, own: Proba, others: Floats) -> Floats:
        """Return the divergence of rows, (b, c), from their neighbours, (b, k, c)."""
        k, log_others = others.shape[1], np.log(others)
        from_own = (own * np.log(own)).sum(axis=1) - np.einsum("bc,bkc->bk", own, log_others).mean(axis=1)
        cross = np.einsum("bic,bjc->bij", others, log_others)
        # KL of each pair: the diagonal holds what a neighbour says of itself.
        among = (np.einsum("bii->bi", cross)[:, :, None] - cross).sum(axis=(1, 2)) / max(k * (k - 1), 1)
        return np.asarray(from_own + self.beta * among, dtype=np.float64)
