"""The texts of a project as arrays, in store order: what the loop works on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Embeddings, LabelScheme, Positions

__all__ = ["Corpus", "TestSplit"]


@dataclass(frozen=True)
class TestSplit:
    """Labelled examples that are never learned from.

    Parameters
    ----------
    texts : sequence of str, length t
    embeddings : ndarray of shape (t, d)
    labels : ndarray of shape (t,), int64
        Class indices.
    n_outside : int
        Test examples left out because no label of the scheme fits them.
    """

    __test__ = False

    ids: Sequence[str]
    texts: Sequence[str]
    embeddings: Embeddings
    labels: NDArray[np.int64]
    n_outside: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @classmethod
    def of(
        cls, *, ids: Sequence[str], texts: Sequence[str], embeddings: Embeddings, labels: Sequence[int], n_outside: int
    ) -> "TestSplit":
        """Return a split from plain class indices."""
        return cls(ids, texts, embeddings, np.asarray(labels, dtype=np.int64), n_outside)


@dataclass(frozen=True)
class Corpus:
    """The pool and the test split.

    Parameters
    ----------
    scheme : LabelScheme
    ids : sequence of str, length n
        Pool ids in position order.
    texts : sequence of str, length n
        May be lazy.
    embeddings : ndarray of shape (n, d)
        May be a read-only memory map.
    groups : ndarray of shape (n,)
        Near-duplicate groups.
    test : TestSplit or None
    label_embeddings : ndarray of shape (c, d) or None
        Unit vectors of the labels' names and descriptions.
    """

    scheme: LabelScheme
    ids: Sequence[str]
    texts: Sequence[str]
    embeddings: Embeddings
    groups: NDArray[np.int64]
    test: TestSplit | None = None
    label_embeddings: Embeddings | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def texts_at(self, positions: Positions) -> list[str]:
        """Return the texts of some positions, in their order; a lazy sequence that has `take` reads them at once."""
        take: Callable[[Positions], list[str]] | None = getattr(self.texts, "take", None)
        return take(positions) if take is not None else [self.texts[int(row)] for row in positions]

    @cached_property
    def position_of(self) -> Mapping[str, int]:
        """Pool id to position."""
        return {id_: position for position, id_ in enumerate(self.ids)}
