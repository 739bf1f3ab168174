"""The texts of a project as a sequence that is read when asked."""

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from llm_al.store.examples import Examples
from llm_al.types import Positions

__all__ = ["TextRows"]

_BLOCK = 2_000


class TextRows(Sequence[str]):
    """Texts by position, in ordinal order; only ordinals are held, 8 bytes a text.

    A slice and `take` read many texts at once; iterating reads blocks. A single index costs one query.

    Parameters
    ----------
    examples : Examples
        Where the texts are.
    ordinals : ndarray of shape (n,), int64
        Which texts, in which order.
    """

    def __init__(self, examples: Examples, ordinals: NDArray[np.int64]) -> None:
        self._examples = examples
        self.ordinals = ordinals

    def __len__(self) -> int:
        return len(self.ordinals)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return self._examples.texts(self.ordinals[index])
        return self._examples.texts(self.ordinals[[index]])[0]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _BLOCK):
            yield from self[start : start + _BLOCK]

    def __repr__(self) -> str:
        return f"<TextRows of {len(self)} texts>"

    def take(self, positions: Positions | Sequence[int]) -> list[str]:
        """Return the texts at `positions`, shape (k,), in that order."""
        return self._examples.texts(self.ordinals[np.asarray(positions, dtype=np.intp)])
