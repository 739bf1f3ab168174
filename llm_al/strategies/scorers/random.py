"""No opinion: the baseline of every comparison."""

from dataclasses import dataclass

import numpy as np

from llm_al.pool import PoolView
from llm_al.types import Scores

__all__ = ["Random"]


@dataclass(frozen=True)
class Random:
    """Score every example by an independent uniform draw from [0, 1)."""

    def score(self, view: PoolView, rng: np.random.Generator) -> Scores:
        """Return shape (n,); needs no student."""
        return rng.random(len(view))
