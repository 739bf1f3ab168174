"""Which rows may be picked, and in which order: what all selectors and cold starts share."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, ShapeError
from llm_al.pool import PoolView
from llm_al.types import Positions, Scores


@dataclass(frozen=True)
class Candidates:
    """Rows to choose from: available, and at most one of each near-duplicate group.

    Parameters
    ----------
    view : PoolView
    rows : ndarray of shape (m,), intp, ascending
    scores : ndarray of shape (m,), float64
        Scores of `rows`, in the same order.
    """

    view: PoolView
    rows: Positions
    scores: Scores

    def __len__(self) -> int:
        return len(self.rows)

    def best(self, m: int, rng: np.random.Generator) -> "Candidates":
        """Return the `m` best-scored candidates, rows ascending; ties at the border fall at random."""
        chosen = np.sort(best(self.scores, m, rng))
        return Candidates(self.view, self.rows[chosen], self.scores[chosen])


Pick = Callable[[Candidates, int, np.random.Generator], NDArray[np.intp]]
"""Returns k distinct indices into the candidates, given 0 < k < len(candidates)."""


def best(scores: Scores, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the indices of the `k` largest scores, largest first; ties in random order."""
    shuffled = rng.permutation(len(scores))
    lost = -scores[shuffled]
    if 0 < k < len(scores):
        kept = np.argpartition(lost, k - 1)[:k]
        shuffled, lost = shuffled[kept], lost[kept]
    return shuffled[np.argsort(lost, kind="stable")][: max(k, 0)]


def _check(view: PoolView, scores: Scores, k: int) -> Scores:
    scores = np.asarray(scores, dtype=np.float64)
    if k < 0:
        raise ConfigError(f"k is {k}; the number of examples to pick must be at least 0; correct it")
    if scores.shape != (len(view),):
        raise ShapeError(f"scores have shape {scores.shape}; expected ({len(view)},); give one score a row")
    if not np.isfinite(scores).all():
        row = int(np.isfinite(scores).argmin())
        raise ShapeError(f"score of row {row} is {scores[row]}; expected finite numbers; correct the scorer")
    return scores


def _one_per_group(view: PoolView, scores: Scores, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Mark the best-scored available row of every group that has no labelled row yet."""
    if view.groups is None:
        return view.is_available.copy()
    taken = np.unique(view.groups[view.is_labeled])
    fresh = np.flatnonzero(view.is_available & ~np.isin(view.groups, taken))
    order = fresh[np.lexsort((rng.random(len(fresh)), -scores[fresh]))]
    _, first = np.unique(view.groups[order], return_index=True)
    marked = np.zeros(len(view), dtype=np.bool_)
    marked[order[first]] = True
    return marked


def pick_distinct(view: PoolView, scores: Scores, k: int, rng: np.random.Generator, pick: Pick) -> Positions:
    """Apply `pick` to fresh rows, and fall back to near-duplicates only when nothing else is left.

    Returns
    -------
    ndarray of shape (min(k, available),), intp
        Distinct available rows. When `k` takes every candidate they come in order of score.

    Raises
    ------
    ConfigError
        If `k` is negative.
    ShapeError
        If `scores` has the wrong length or holds NaN or infinity.
    """
    scores = _check(view, scores, k)
    if k == 0:
        return np.empty(0, dtype=np.intp)
    marked = _one_per_group(view, scores, rng)
    rows = np.flatnonzero(marked)
    candidates = Candidates(view, rows, scores[rows])
    chosen = pick(candidates, k, rng) if k < len(rows) else best(candidates.scores, len(rows), rng)
    rest = np.flatnonzero(view.is_available & ~marked)
    filler = rest[best(scores[rest], k - len(chosen), rng)]
    return np.concatenate([rows[chosen], filler]).astype(np.intp, copy=False)
