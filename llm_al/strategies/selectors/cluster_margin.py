"""Cluster-Margin: a fixed clustering of the pool, visited from its rarest corner."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.strategies._candidates import Candidates, pick_distinct
from llm_al.strategies._kmeans import assign, sample_centres
from llm_al.types import Positions, Scores

__all__ = ["ClusterMargin"]


@dataclass(frozen=True)
class ClusterMargin:
    """Take the best-scored rows round-robin over clusters of the whole pool, smallest cluster first [1]_.

    Parameters
    ----------
    candidates_per_pick : float
        The ``candidates_per_pick * k`` best-scored rows are considered.
    n_clusters : int or None
        Clusters of the pool; None takes the square root of its size, at most 500.
    seed : int
        Of the clustering. It depends on nothing else, so every round sees the same clusters.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    Notes
    -----
    The paper clusters with average linkage and draws at random within a cluster; here it is k-means
    (which needs no n x n distances), and the best-scored row of the cluster.

    References
    ----------
    .. [1] Citovsky et al. (2021). Batch active learning at scale. NeurIPS 2021.
    """

    candidates_per_pick: float = 1.25
    n_clusters: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.candidates_per_pick < 1.0:
            raise ConfigError(f"candidates_per_pick is {self.candidates_per_pick}; allowed is 1 or more; raise it")
        if self.n_clusters is not None and self.n_clusters < 1:
            raise ConfigError(f"n_clusters is {self.n_clusters}; allowed is 1 or more; raise it")

    def select(self, view: PoolView, scores: Scores, k: int, rng: np.random.Generator) -> Positions:
        """Return min(k, available) distinct available rows, in round-robin order."""
        return pick_distinct(view, scores, k, rng, self._pick)

    def _pick(self, candidates: Candidates, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
        shortlist = candidates.best(int(np.ceil(self.candidates_per_pick * k)), rng)
        clusters = self._clusters(shortlist)
        n_rows = len(shortlist)
        sizes = np.bincount(clusters)[clusters]
        draw = rng.random(n_rows)
        order = np.lexsort((draw, -shortlist.scores, clusters))
        starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
        turn = np.empty(n_rows, dtype=np.intp)
        turn[order] = np.arange(n_rows) - np.repeat(starts, np.diff(starts, append=n_rows))
        chosen = np.lexsort((draw, -shortlist.scores, sizes, turn))[:k]
        return np.searchsorted(candidates.rows, shortlist.rows[chosen])

    def _clusters(self, shortlist: Candidates) -> NDArray[np.intp]:
        embeddings, n = shortlist.view.embeddings, len(shortlist.view)
        k = self.n_clusters or int(np.clip(np.sqrt(n), 2, 500))
        centres = sample_centres(embeddings, np.arange(n), k, np.random.default_rng(self.seed))
        return assign(embeddings, shortlist.rows, centres).assignment
