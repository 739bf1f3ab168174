"""A small k-means over embeddings that may lie on disk; distances are only ever held in blocks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from llm_al.errors import ShapeError
from llm_al.types import Embeddings, Positions

Float32s = NDArray[np.float32]

BLOCK_ROWS = 8192
# Centres settle long before they have seen 20,000 rows; beyond that only the cost grows.
_FIT_ROWS = 20_000
_FIT_ROWS_PER_CLUSTER = 40
_SEED_ROWS = 4096
_SEED_ROWS_PER_CLUSTER = 10
# A tile of distances that stays in the processor's cache.
_TILE_ROWS = 1024
# Lloyd steps end when fewer rows than this share still change their cluster.
_SETTLED_SHARE = 0.002


@dataclass(frozen=True)
class Clustering:
    """Centres, shape (k, d), with the cluster, shape (m,), and squared distance, shape (m,), of each row."""

    centres: Float32s
    assignment: NDArray[np.intp]
    distances: Float32s


def gather(embeddings: Embeddings, rows: Positions) -> Float32s:
    """Copy `rows` into memory as float32, shape (m, d).

    Raises
    ------
    ShapeError
        If an embedding holds NaN or infinity, or `embeddings` is not two-dimensional.
    """
    if embeddings.ndim != 2:
        raise ShapeError(f"embeddings have shape {embeddings.shape}; expected (n, d); give one vector a row")
    # A run of neighbours is read as one slice: random access would cost a page fault a row.
    is_run = len(rows) > 0 and rows[-1] - rows[0] == len(rows) - 1
    taken = embeddings[rows[0] : rows[-1] + 1] if is_run else embeddings[rows]
    points = np.asarray(taken, dtype=np.float32)
    sums = points.sum(axis=1)
    if not np.isfinite(sums).all():
        row = int(rows[np.isfinite(sums).argmin()])
        raise ShapeError(f"embedding of row {row} holds NaN or infinity; expected finite numbers; embed it again")
    return points


def blocks(embeddings: Embeddings, rows: Positions) -> Iterator[tuple[slice, Float32s]]:
    """Yield ascending `rows` block by block: where each block lies in `rows`, and its embeddings."""
    for start in range(0, len(rows), BLOCK_ROWS):
        where = slice(start, min(start + BLOCK_ROWS, len(rows)))
        yield where, gather(embeddings, rows[where])


def squared_norms(points: Float32s) -> Float32s:
    """Return the squared length of each row, shape (m,)."""
    norms: Float32s = np.einsum("ij,ij->i", points, points)
    return norms


def squared_distances(points: Float32s, centres: Float32s) -> Float32s:
    """Return squared Euclidean distances, shape (m, k); never negative."""
    distances: Float32s = points @ centres.T
    distances *= -2.0
    distances += squared_norms(points)[:, None]
    distances += squared_norms(centres)[None, :]
    np.maximum(distances, 0.0, out=distances)
    return distances


def _seed(points: Float32s, k: int, weights: NDArray[np.float64], rng: np.random.Generator) -> Float32s:
    """Greedy weighted k-means++: draw by weight times squared distance, keep the best of a few draws."""
    weights = weights if weights.sum() > 0.0 else np.ones(len(points))
    norms = squared_norms(points)
    chosen = [_draw(weights, rng)]
    nearest = _to_points(points, norms, chosen)[:, 0]
    while len(chosen) < k and (mass := weights * nearest).any():
        drawn = [_draw(mass, rng) for _ in range(2 + int(np.log(k)))]
        distances = _to_points(points, norms, drawn)
        lowered = np.minimum(nearest[:, None], distances)
        best = int((weights @ lowered).argmin())
        chosen.append(drawn[best])
        nearest = lowered[:, best]
    return points[chosen]


def _draw(mass: NDArray[np.float64], rng: np.random.Generator) -> int:
    """Draw an index in proportion to its mass; never one without any."""
    total = np.cumsum(mass)
    return int(np.searchsorted(total, (1.0 - rng.random()) * total[-1], side="left"))


def _to_points(points: Float32s, norms: Float32s, chosen: list[int]) -> Float32s:
    """Return squared distances to some of the points; exactly 0 between equal ones."""
    distances: Float32s = points @ points[chosen].T
    distances *= -2.0
    distances += norms[:, None]
    distances += norms[chosen]
    # What float32 leaves between a point and itself.
    distances[distances <= 2e-6 * norms[:, None]] = 0.0
    return distances


def nearest_centres(points: Float32s, centres: Float32s) -> tuple[NDArray[np.intp], Float32s]:
    """Return the nearest centre of each point, and the squared distance to it."""
    assignment = np.empty(len(points), dtype=np.intp)
    distances = squared_norms(points)
    slope, offset = -2.0 * centres.T, squared_norms(centres)
    for start in range(0, len(points), _TILE_ROWS):
        tile = points[start : start + _TILE_ROWS] @ slope
        tile += offset
        near = tile.argmin(axis=1)
        assignment[start : start + _TILE_ROWS] = near
        distances[start : start + _TILE_ROWS] += tile[np.arange(len(tile)), near]
    return assignment, np.maximum(distances, 0.0, out=distances)


def _means(points: Float32s, assignment: NDArray[np.intp], weights: NDArray[np.float64], old: Float32s) -> Float32s:
    members = csr_array(
        (weights.astype(np.float32), (assignment, np.arange(len(points)))), shape=(len(old), len(points))
    )
    totals = np.bincount(assignment, weights=weights, minlength=len(old))
    # A cluster that lost all its weight stays where it is.
    means = np.where(totals[:, None] > 0.0, (members @ points) / np.maximum(totals, 1e-12)[:, None], old)
    return means.astype(np.float32)


def _subsample(n: int, size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return `size` of n indices at random, ascending; all of them when there are no more."""
    return np.arange(n) if n <= size else np.sort(rng.choice(n, size=size, replace=False))


def fit_centres(
    points: Float32s,
    k: int,
    rng: np.random.Generator,
    *,
    weights: NDArray[np.float64] | None = None,
    n_iterations: int = 20,
) -> Float32s:
    """Return at most `k` centres of weighted k-means, shape (k', d) [1]_.

    Parameters
    ----------
    points : ndarray of shape (m, d), float32, m >= 1
    k : int, at least 1
    weights : ndarray of shape (m,), float64, optional
        Not negative; all zero counts as all equal.
    n_iterations : int
        Lloyd steps after the seeding; 0 returns the seeds, which are rows of `points`.

    Notes
    -----
    k' < k when there are fewer distinct points (of positive weight) than `k`.

    References
    ----------
    .. [1] Arthur & Vassilvitskii (2007). k-means++: the advantages of careful seeding. SODA 2007, 1027-1035.
    """
    weights = np.ones(len(points)) if weights is None else weights
    seeds = _subsample(len(points), max(_SEED_ROWS, _SEED_ROWS_PER_CLUSTER * k), rng)
    centres = _seed(points[seeds], min(k, len(points)), weights[seeds], rng)
    previous = np.full(len(points), -1, dtype=np.intp)
    for _ in range(n_iterations):
        assignment, _ = nearest_centres(points, centres)
        n_moved = int((assignment != previous).sum())
        if n_moved <= _SETTLED_SHARE * len(points):
            break
        centres, previous = _means(points, assignment, weights, centres), assignment
    return centres


def assign(embeddings: Embeddings, rows: Positions, centres: Float32s) -> Clustering:
    """Return the nearest centre of each of the ascending `rows`."""
    assignment = np.empty(len(rows), dtype=np.intp)
    distances = np.empty(len(rows), dtype=np.float32)
    for where, points in blocks(embeddings, rows):
        assignment[where], distances[where] = nearest_centres(points, centres)
    return Clustering(centres, assignment, distances)


def sample_centres(embeddings: Embeddings, rows: Positions, k: int, rng: np.random.Generator) -> Float32s:
    """Return centres fitted on `rows`, or on a random subsample of them when there are very many."""
    sampled = rows[_subsample(len(rows), max(_FIT_ROWS, _FIT_ROWS_PER_CLUSTER * k), rng)]
    return fit_centres(gather(embeddings, sampled), k, rng)


def cluster(embeddings: Embeddings, rows: Positions, k: int, rng: np.random.Generator) -> Clustering:
    """Cluster the ascending `rows` into at most `k` clusters."""
    return assign(embeddings, rows, sample_centres(embeddings, rows, k, rng))
