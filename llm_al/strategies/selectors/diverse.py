"""The best-scored rows, spread out by clustering."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.strategies._candidates import Candidates, best, pick_distinct
from llm_al.strategies._kmeans import assign, fit_centres, gather
from llm_al.types import Positions, Scores

__all__ = ["Diverse"]


@dataclass(frozen=True)
class Diverse:
    """Cluster the best-scored rows by weighted k-means and take one row of each cluster [1]_.

    Parameters
    ----------
    candidates_per_pick : float
        The m = max(candidates_per_pick * k, min_candidates) best-scored rows are clustered into k
        clusters, each row weighted by its score.
    min_candidates : int
        Keeps small queries from clustering a handful of near-ties.
    pick : {"best", "centre"}
        Take the best-scored row of each cluster, or the one nearest to its centre, as in [1]_.
    n_iterations : int
        Steps of k-means; 0 draws rows by weighted k-means++ alone (use it with ``pick="centre"``).

    Raises
    ------
    ConfigError
        If a setting is out of range.

    Notes
    -----
    Scores should be non-negative; a score below zero shifts all of them up by the lowest.

    References
    ----------
    .. [1] Zhdanov (2019). Diverse mini-batch active learning. arXiv:1901.05954.
    """

    candidates_per_pick: float = 10.0
    min_candidates: int = 250
    pick: Literal["best", "centre"] = "best"
    n_iterations: int = 20

    def __post_init__(self) -> None:
        if self.candidates_per_pick < 1.0:
            raise ConfigError(f"candidates_per_pick is {self.candidates_per_pick}; allowed is 1 or more; raise it")
        if self.n_iterations < 0:
            raise ConfigError(f"n_iterations is {self.n_iterations}; allowed is 0 or more; raise it")
        if self.pick not in ("best", "centre"):
            raise ConfigError(f"pick is {self.pick!r}; choose from: best, centre; correct it")

    def select(self, view: PoolView, scores: Scores, k: int, rng: np.random.Generator) -> Positions:
        """Return min(k, available) distinct available rows, best-scored first."""
        return pick_distinct(view, scores, k, rng, self._pick)

    def _pick(self, candidates: Candidates, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
        m = max(int(np.ceil(self.candidates_per_pick * k)), self.min_candidates)
        shortlist = candidates.best(m, rng)
        chosen = self._one_per_cluster(shortlist, k, rng)
        if len(chosen) < k:
            left = np.setdiff1d(np.arange(len(shortlist)), chosen)
            chosen = np.concatenate([chosen, left[best(shortlist.scores[left], k - len(chosen), rng)]])
        chosen = chosen[best(shortlist.scores[chosen], k, rng)]
        return np.searchsorted(candidates.rows, shortlist.rows[chosen])

    def _one_per_cluster(self, shortlist: Candidates, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
        embeddings, rows = shortlist.view.embeddings, shortlist.rows
        weights = shortlist.scores - min(0.0, float(shortlist.scores.min()))
        centres = fit_centres(gather(embeddings, rows), k, rng, weights=weights, n_iterations=self.n_iterations)
        clusters = assign(embeddings, rows, centres)
        wanted = -shortlist.scores if self.pick == "best" else clusters.distances
        order = np.lexsort((rng.random(len(rows)), wanted, clusters.assignment))
        _, first = np.unique(clusters.assignment[order], return_index=True)
        return order[first]
