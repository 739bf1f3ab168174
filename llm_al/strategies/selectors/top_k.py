"""The best-scored rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.pool import PoolView
from llm_al.strategies._candidates import Candidates, best, pick_distinct
from llm_al.types import Positions, Scores

__all__ = ["TopK"]


@dataclass(frozen=True)
class TopK:
    """Take the best-scored rows, at most one of each near-duplicate group.

    Ties fall at random. A group with a labelled row is left alone while anything else is available.
    """

    def select(self, view: PoolView, scores: Scores, k: int, rng: np.random.Generator) -> Positions:
        """Return min(k, available) distinct available rows, best first."""
        return pick_distinct(view, scores, k, rng, self._pick)

    def _pick(self, candidates: Candidates, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
        return best(candidates.scores, k, rng)
