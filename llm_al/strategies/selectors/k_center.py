"""k-center greedy: always the row that lies furthest from everything taken so far."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.strategies._candidates import Candidates, best, pick_distinct
from llm_al.strategies._kmeans import Float32s, blocks, gather, nearest_centres, squared_distances
from llm_al.types import Positions, Scores

__all__ = ["KCenter"]

_CENTRES_AT_ONCE = 512
# Rows whose distances are kept exact between two passes over the pool.
_FRONT_ROWS = 1024
# Below every distance, so that a taken row is never the furthest again.
_TAKEN = np.float32(-1.0)


class _Cover:
    """Squared distance of each candidate to its nearest centre, as a running minimum.

    Distances only shrink as centres are added. So it is enough to keep the furthest rows, the front,
    exact: while the furthest of them is no nearer than every other row was at the last pass over the
    pool, it is the furthest of all, and the pool need not be read.
    """

    def __init__(self, candidates: Candidates, rng: np.random.Generator) -> None:
        self._candidates = candidates
        self._rng = rng
        self._distances = np.full(len(candidates), np.inf, dtype=np.float32)
        self._pending: list[Float32s] = []
        self._limit = np.float32(np.inf)
        self._front = np.empty(0, dtype=np.intp)
        self._front_points = np.empty((0, 0), dtype=np.float32)
        self._front_distances = np.empty(0, dtype=np.float32)

    def add(self, centres: Float32s) -> None:
        """Note centres, shape (m, d), for the next pass over the pool."""
        self._pending.append(centres)

    def take(self, index: int) -> None:
        """Make a candidate a centre by its index."""
        self.add(gather(self._candidates.view.embeddings, self._candidates.rows[[index]]))
        self._distances[index] = _TAKEN

    def take_furthest(self) -> int:
        """Make the candidate furthest from all centres a centre, and return its index."""
        if not len(self._front) or self._front_distances.max() < self._limit:
            self._refresh()
        place = int(self._front_distances.argmax())
        centre = self._front_points[[place]]
        near = squared_distances(self._front_points, centre)[:, 0]
        np.minimum(self._front_distances, near, out=self._front_distances)
        self._front_distances[place] = self._distances[self._front[place]] = _TAKEN
        self.add(centre)
        return int(self._front[place])

    def _refresh(self) -> None:
        """Read the pool once, and keep its furthest rows as the front."""
        self._lower(np.concatenate(self._pending))
        self._pending = []
        # Ties fall at random: the rows are compared in random order, and the front is shuffled.
        order = self._rng.permutation(len(self._distances))
        distances = self._distances[order]
        split = np.argpartition(-distances, min(_FRONT_ROWS, len(order)) - 1)
        self._limit = distances[split[_FRONT_ROWS:]].max(initial=_TAKEN)
        front = np.sort(order[split[:_FRONT_ROWS]])
        shuffle = self._rng.permutation(len(front))
        points = gather(self._candidates.view.embeddings, self._candidates.rows[front])
        self._front, self._front_points = front[shuffle], points[shuffle]
        self._front_distances = self._distances[self._front]

    def _lower(self, centres: Float32s) -> None:
        for where, points in blocks(self._candidates.view.embeddings, self._candidates.rows):
            for start in range(0, len(centres), _CENTRES_AT_ONCE):
                _, near = nearest_centres(points, centres[start : start + _CENTRES_AT_ONCE])
                np.minimum(self._distances[where], near, out=self._distances[where])


@dataclass(frozen=True)
class KCenter:
    """Greedy k-center: repeat taking the row furthest from all labelled and taken rows [1]_.

    Scores decide only the first pick when nothing is labelled yet, and, with `candidates_per_pick`,
    which rows are considered.

    Parameters
    ----------
    candidates_per_pick : float or None
        Only the ``candidates_per_pick * k`` best-scored rows are considered; None takes all.

    Raises
    ------
    ConfigError
        If `candidates_per_pick` is below 1.

    Notes
    -----
    Distances are Euclidean. Exact, with O(n) memory beside the embeddings, which are read in blocks.

    References
    ----------
    .. [1] Sener & Savarese (2018). Active learning for convolutional neural networks: a core-set approach. ICLR 2018.
    """

    candidates_per_pick: float | None = None

    def __post_init__(self) -> None:
        if self.candidates_per_pick is not None and self.candidates_per_pick < 1.0:
            raise ConfigError(f"candidates_per_pick is {self.candidates_per_pick}; allowed is 1 or more; raise it")

    def select(self, view: PoolView, scores: Scores, k: int, rng: np.random.Generator) -> Positions:
        """Return min(k, available) distinct available rows, furthest first."""
        return pick_distinct(view, scores, k, rng, self._pick)

    def _pick(self, candidates: Candidates, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
        shortlist = candidates
        if self.candidates_per_pick is not None:
            shortlist = candidates.best(int(np.ceil(self.candidates_per_pick * k)), rng)
        cover = _Cover(shortlist, rng)
        labeled = np.flatnonzero(candidates.view.is_labeled)
        chosen: list[int] = []
        if len(labeled):
            cover.add(gather(candidates.view.embeddings, labeled))
        else:
            chosen.append(int(best(shortlist.scores, 1, rng)[0]))
            cover.take(chosen[0])
        chosen.extend(cover.take_furthest() for _ in range(k - len(chosen)))
        return np.searchsorted(candidates.rows, shortlist.rows[np.asarray(chosen, dtype=np.intp)])
