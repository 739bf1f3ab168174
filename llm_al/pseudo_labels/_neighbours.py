"""Nearest rows on unit vectors, in blocks, so that memory stays linear in the pool."""

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Embeddings

_BLOCK_ROWS = 512


def nearest_others(embeddings: Embeddings, n_queries: int, k: int) -> NDArray[np.intp]:
    """Return the k nearest other rows of each of the first `n_queries` rows, shape (n_queries, k), in no order.

    A row is left out by its position, not as the first hit, which fails on exact duplicates. k is at most n - 1.
    """
    points = np.asarray(embeddings, dtype=np.float32)
    k = min(k, len(points) - 1)
    found = np.empty((n_queries, k), dtype=np.intp)
    for start in range(0, n_queries, _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, n_queries)
        similarity = points[start:stop] @ points.T
        similarity[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        found[start:stop] = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    return found


def nearest_of(queries: Embeddings, indexed: Embeddings, k: int) -> NDArray[np.intp]:
    """Return the k nearest of the indexed rows for each query, shape (q, k), in no order; k is at most their number."""
    points, asked = np.asarray(indexed, dtype=np.float32), np.asarray(queries, dtype=np.float32)
    k = min(k, len(points))
    found = np.empty((len(asked), k), dtype=np.intp)
    for start in range(0, len(asked), _BLOCK_ROWS):
        similarity = asked[start : start + _BLOCK_ROWS] @ points.T
        found[start : start + _BLOCK_ROWS] = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
    return found
