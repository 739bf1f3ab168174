"""Teachers that read the pool: prototypes refined on unlabelled rows, and predictions smoothed over neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from llm_al.pseudo_labels._neighbours import nearest_others
from llm_al.types import Embeddings

Float32s = NDArray[np.float32]

_LEAST = 1e-9
_LEAST_CHANGE = 1e-3
_MAX_STEPS = 30
_N_REFINEMENTS = 6


@dataclass(frozen=True)
class Known:
    """Rows whose label is known, as positions among the rows at hand, with one-hot labels of shape (m, c)."""

    rows: NDArray[np.intp]
    one_hot: Float32s


def walk(embeddings: Embeddings, n_neighbours: int, power: float) -> sparse.csr_array:
    """Return the transition matrix, (n, n), of a walk between near rows.

    Rows are joined when one is among the nearest of the other; a step goes along an edge with a probability in
    proportion to ``max(0, cosine) ** power``. A row without a near neighbour stays where it is.
    """
    points = np.asarray(embeddings, dtype=np.float32)
    n = len(points)
    near = nearest_others(points, n, n_neighbours)
    cosine = np.einsum("nd,nkd->nk", points, points[near]).clip(0.0) ** power
    starts = np.arange(n + 1) * near.shape[1]
    edges = sparse.csr_array((cosine.ravel(), near.ravel(), starts), shape=(n, n))
    both = edges.maximum(edges.T)
    degree = np.asarray(both.sum(axis=1)).ravel()
    alone = sparse.dia_array(((degree <= 0).astype(np.float32)[None], [0]), shape=(n, n))
    scale = sparse.dia_array((np.where(degree > 0, 1.0 / np.maximum(degree, _LEAST), 1.0)[None], [0]), shape=(n, n))
    return sparse.csr_array(scale @ (both + alone), dtype=np.float32)


def smoothed(steps: sparse.csr_array, proba: Float32s, known: Known, alpha: float) -> Float32s:
    """Return predictions mixed with those of near rows, (n, c); known labels stay.

    The fixed point of ``f = alpha * steps @ f + (1 - alpha) * proba``, to a change below 0.001.
    """
    given = proba.copy()
    given[known.rows] = known.one_hot
    found = given
    for _ in range(_MAX_STEPS if alpha > 0 else 0):
        new = np.asarray(alpha * (steps @ found) + (1 - alpha) * given, dtype=np.float32)
        new[known.rows] = known.one_hot
        change = float(np.abs(new - found).max())
        found = new
        if change < _LEAST_CHANGE:
            break
    return np.asarray(found / found.sum(axis=1, keepdims=True), dtype=np.float32)


def refined(points: Float32s, proba: Float32s, known: Known, sharpness: float) -> Float32s:
    """Return predictions times those of class prototypes that unlabelled rows helped to place, (n, c).

    A prototype is the direction of the sum of its class's rows, unlabelled ones by their probability and all of them
    together with the weight of the known ones; a row belongs to it by ``exp(sharpness * cosine)``. A few rounds of
    expectation and maximisation; known labels stay.
    """
    share = len(known.rows) / max(len(points) - len(known.rows), 1)
    weights = np.full((len(points), 1), share, dtype=np.float32)
    weights[known.rows] = 1.0
    given, found = np.log(np.maximum(proba, _LEAST)), proba.copy()
    found[known.rows] = known.one_hot
    for _ in range(_N_REFINEMENTS):
        sums = points.T @ (weights * found)
        prototypes = sums / np.maximum(np.linalg.norm(sums, axis=0, keepdims=True), _LEAST)
        found = softmax(sharpness * (points @ prototypes) + given)
        found[known.rows] = known.one_hot
    return found


def softmax(logits: Float32s) -> Float32s:
    """Return rows that sum to 1."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float32)
