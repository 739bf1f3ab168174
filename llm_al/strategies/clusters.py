"""Groups of the pool with the texts that stand for them, for people who look at their data first."""

from dataclasses import dataclass

import numpy as np

from llm_al.errors import ConfigError
from llm_al.strategies._kmeans import cluster, gather
from llm_al.types import Embeddings, Positions

__all__ = ["Group", "find_groups"]

_MAX_COMPARED = 256
_NEARLY_EQUAL = 0.95
"""Cosine from which a row shows nothing new."""


@dataclass(frozen=True)
class Group:
    """Rows of one cluster.

    Parameters
    ----------
    rows : ndarray of shape (m,)
        Ascending.
    typical : ndarray of shape (t,)
        Rows nearest to the centre of the group; they tell more of it than its densest spot, which may lie at
        its edge.
    """

    rows: Positions
    typical: Positions


def find_groups(embeddings: Embeddings, n_groups: int, n_typical: int, rng: np.random.Generator) -> list[Group]:
    """Cut rows into at most `n_groups` clusters by k-means, the largest first.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
    n_groups : int, at least 1
    n_typical : int
        Typical rows a group; near-copies of an earlier one are passed over.

    Raises
    ------
    ConfigError
        If `n_groups` is below 1.
    """
    if n_groups < 1:
        raise ConfigError(f"the number of clusters is {n_groups}; allowed is 1 or more")
    if not len(embeddings):
        return []
    rows = np.arange(len(embeddings))
    found = cluster(embeddings, rows, n_groups, rng)
    members = [np.flatnonzero(found.assignment == number) for number in range(len(found.centres))]
    groups = []
    for mine in sorted((m for m in members if len(m)), key=len, reverse=True):
        near = mine[np.argsort(found.distances[mine], kind="stable")[:_MAX_COMPARED]]
        groups.append(Group(mine, _nearest(embeddings, near, n_typical)))
    return groups


def _nearest(embeddings: Embeddings, rows: Positions, n: int) -> Positions:
    """Return the first n rows that differ, of rows sorted by their distance to the centre."""
    points = gather(embeddings, rows)
    kept: list[int] = []
    for index in range(len(rows)):
        if len(kept) == n:
            break
        if not kept or float((points[kept] @ points[index]).max()) < _NEARLY_EQUAL:
            kept.append(index)
    return rows[kept]
