"""What LLMs said about rows of the pool, as one array."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Positions

__all__ = ["LLMVotes"]


@dataclass(frozen=True)
class LLMVotes:
    """What LLM prompts and models said about rows of the pool.

    Parameters
    ----------
    positions : ndarray of shape (m,)
        Distinct pool rows.
    votes : ndarray of shape (m, j), int64
        Class index, or -1 where a voter gave no answer or one outside of the label list.
    names : tuple of str, length j
        Of the voters: a model with a prompt.
    """

    positions: Positions
    votes: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.positions)
