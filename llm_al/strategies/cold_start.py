"""First queries without a student: rows that stand for the regions of the pool."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.strategies._candidates import Candidates, pick_distinct
from llm_al.strategies._kmeans import BLOCK_ROWS, Clustering, Float32s, cluster, gather, squared_distances
from llm_al.types import Positions, Scores

__all__ = ["Centres", "Typical", "typicality"]

# Typicality compares at most this many rows of a cluster, the ones nearest to its centre.
_MAX_COMPARED = 2048

# Keeps the score of a row that sits on its centre, or on its neighbours, finite.
_EPSILON = 1e-5

_Rank = Callable[[Candidates, Clustering, NDArray[np.intp]], Scores]
"""Scores the members of one cluster, given as indices into the candidates."""


def typicality(points: Float32s, n_neighbours: int) -> Scores:
    """Score points by how close their nearest neighbours are.

    Parameters
    ----------
    points : ndarray of shape (m, d), float32
    n_neighbours : int
        Capped at half of the points.

    Returns
    -------
    ndarray of shape (m,), float64
        ``1 / (mean distance to the neighbours + 1e-5)``; 0 for a single point, which has no neighbour.

    Examples
    --------
    >>> typicality(np.array([[0.0], [1.0], [3.0]], dtype=np.float32), 1).round(2)
    array([1. , 1. , 0.5])
    """
    if len(points) < 2:
        return np.zeros(len(points))
    n_near = min(n_neighbours, len(points) // 2)
    mean = np.empty(len(points))
    block = max(1, BLOCK_ROWS * 256 // len(points))
    for start in range(0, len(points), block):
        stop = min(start + block, len(points))
        distances = squared_distances(points[start:stop], points)
        # A point is no neighbour of its own; a duplicate of it is.
        distances[np.arange(stop - start), np.arange(start, stop)] = np.inf
        mean[start:stop] = np.sqrt(np.partition(distances, n_near - 1, axis=1)[:, :n_near]).mean(axis=1)
    scores: Scores = 1.0 / (mean + _EPSILON)
    return scores


def _cluster(
    candidates: Candidates, n_picks: int, max_clusters: int, rng: np.random.Generator
) -> tuple[Clustering, NDArray[np.intp]]:
    """Cluster candidates and labelled rows together; count the labelled rows of each cluster."""
    view = candidates.view
    labeled = np.flatnonzero(view.is_labeled)
    rows = np.union1d(candidates.rows, labeled)
    both = cluster(view.embeddings, rows, min(len(labeled) + n_picks, max_clusters), rng)
    n_labeled = np.bincount(both.assignment[np.searchsorted(rows, labeled)], minlength=len(both.centres))
    mine = np.searchsorted(rows, candidates.rows)
    return Clustering(both.centres, both.assignment[mine], both.distances[mine]), n_labeled


def _to_visit(clusters: Clustering, n_labeled: NDArray[np.intp], k: int, min_size: int) -> list[NDArray[np.intp]]:
    """Return the members of up to k clusters: fewest labelled rows first, then the largest."""
    sizes = np.bincount(clusters.assignment, minlength=len(clusters.centres))
    members = np.split(np.argsort(clusters.assignment, kind="stable"), np.cumsum(sizes)[:-1])
    order = np.lexsort((-sizes, n_labeled))
    large = [members[i] for i in order if sizes[i] >= min_size]
    small = [members[i] for i in order if 0 < sizes[i] < min_size]
    return (large if sum(map(len, large)) >= k else large + small)[:k]


def _in_turn(queues: list[NDArray[np.intp]], k: int) -> NDArray[np.intp]:
    """Take the first of each queue, then the second of each, until there are k."""
    turns = np.concatenate([np.arange(len(queue)) for queue in queues])
    return np.concatenate(queues)[np.argsort(turns, kind="stable")][:k]


@dataclass(frozen=True)
class _Plan:
    """How the pool is cut, and how the members of a cluster are ranked."""

    max_clusters: int
    min_cluster_size: int
    rank: _Rank

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        scores = np.zeros(len(view))

        def pick(candidates: Candidates, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
            clusters, n_labeled = _cluster(candidates, k, self.max_clusters, rng)
            queues = []
            for members in _to_visit(clusters, n_labeled, k, self.min_cluster_size):
                ranks = self.rank(candidates, clusters, members)
                scores[candidates.rows[members]] = ranks
                queues.append(members[np.lexsort((rng.random(len(members)), -ranks))])
            return _in_turn(queues, k)

        positions = pick_distinct(view, np.zeros(len(view)), k, rng, pick)
        return positions, scores[positions]


def _check(settings: object, *names: str) -> None:
    for name in names:
        value = getattr(settings, name)
        if value < 1:
            raise ConfigError(f"{name} is {value}; allowed is 1 or more; raise it")


@dataclass(frozen=True)
class Typical:
    """Pick the most typical row of each cluster: many close neighbours, no outliers [1]_.

    Parameters
    ----------
    max_clusters : int
        The pool is cut into ``min(labelled + k, max_clusters)`` clusters; those with the fewest labelled
        rows come first, among them the largest. With more picks than clusters, they are visited in turn.
    min_cluster_size : int
        Smaller clusters hold outliers and are passed over while others can serve.
    n_neighbours : int
        Typicality is one over the mean distance to this many nearest neighbours in the cluster.

    Raises
    ------
    ConfigError
        If a setting is below 1.

    Notes
    -----
    Embeddings are those of the fixed sentence encoder. In clusters of more than 2,048 rows only the
    ones nearest to the centre are compared; centres are fitted on a subsample of very large pools.

    References
    ----------
    .. [1] Hacohen, Dekel & Weinshall (2022). Active learning on a budget: opposite strategies suit high
           and low budgets. ICML 2022, PMLR 162, 8175-8195.
    """

    max_clusters: int = 500
    min_cluster_size: int = 6
    n_neighbours: int = 20

    def __post_init__(self) -> None:
        _check(self, "max_clusters", "min_cluster_size", "n_neighbours")

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        """Return min(k, available) rows and their typicality (0 where none was computed)."""
        return _Plan(self.max_clusters, self.min_cluster_size, self._rank).query(view, k, rng)

    def _rank(self, candidates: Candidates, clusters: Clustering, members: NDArray[np.intp]) -> Scores:
        near = np.sort(np.argsort(clusters.distances[members], kind="stable")[:_MAX_COMPARED])
        scores = np.zeros(len(members))
        points = gather(candidates.view.embeddings, candidates.rows[members[near]])
        scores[near] = typicality(points, self.n_neighbours)
        return scores


@dataclass(frozen=True)
class Centres:
    """Pick the row nearest to the centre of each cluster.

    Parameters
    ----------
    max_clusters : int
        The pool is cut into ``min(labelled + k, max_clusters)`` clusters by k-means; those with the
        fewest labelled rows come first, among them the largest.

    Raises
    ------
    ConfigError
        If `max_clusters` is below 1.
    """

    max_clusters: int = 2000

    def __post_init__(self) -> None:
        _check(self, "max_clusters")

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        """Return min(k, available) rows and one over their distance to the centre."""
        return _Plan(self.max_clusters, 1, self._rank).query(view, k, rng)

    def _rank(self, candidates: Candidates, clusters: Clustering, members: NDArray[np.intp]) -> Scores:  # noqa: ARG002 - the plan's argument
        scores: Scores = 1.0 / (np.sqrt(clusters.distances[members].astype(np.float64)) + _EPSILON)
        return scores
