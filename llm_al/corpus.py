"""The texts of a project as arrays, in store order: what the loop works on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Embeddings, LabelScheme, Positions
from llm_al.views import FIRST, best_view, view_of

__all__ = ["Corpus", "TestSplit"]


@dataclass(frozen=True)
class TestSplit:
    """Labelled examples that are never learned from.

    Parameters
    ----------
    texts : sequence of str, length t
    vectors : ndarray of shape (t, d) or (t, v, d)
        As in `Corpus`.
    labels : ndarray of shape (t,), int64
        Class indices.
    n_outside : int
        Test examples left out because no label of the scheme fits them.
    """

    __test__ = False

    ids: Sequence[str]
    texts: Sequence[str]
    vectors: Embeddings
    labels: NDArray[np.int64]
    n_outside: int = 0

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def embeddings(self) -> Embeddings:
        """The first view, shape (t, d)."""
        return view_of(self.vectors, FIRST)

    @classmethod
    def of(
        cls, *, ids: Sequence[str], texts: Sequence[str], vectors: Embeddings, labels: Sequence[int], n_outside: int
    ) -> "TestSplit":
        """Return a split from plain class indices."""
        return cls(ids, texts, vectors, np.asarray(labels, dtype=np.int64), n_outside)


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
    vectors : ndarray of shape (n, d) or (n, v, d)
        One vector of each text, or several views; may be a read-only memory map. Students are given all of them.
    groups : ndarray of shape (n,)
        Near-duplicate groups.
    test : TestSplit or None
    label_vectors : ndarray of shape (c, d) or (c, v, d), or None
        The same of the labels' names and descriptions.
    """

    scheme: LabelScheme
    ids: Sequence[str]
    texts: Sequence[str]
    vectors: Embeddings
    groups: NDArray[np.int64]
    test: TestSplit | None = None
    label_vectors: Embeddings | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def embeddings(self) -> Embeddings:
        """The first view, shape (n, d): what similarity is measured on."""
        return view_of(self.vectors, FIRST)

    def view_for(self, labels: NDArray[np.int64], standing: int | None = None) -> int:
        """Return the view that labels of people prefer.

        Parameters
        ----------
        labels : ndarray of shape (n,)
            -1 where there is none.
        standing : int or None
            The view of the round before.
        """
        known = np.flatnonzero(labels >= 0)
        return best_view(self.vectors[known], np.eye(len(self.scheme))[labels[known]], standing)

    def seen(self, view: int) -> tuple[Embeddings, Embeddings | None]:
        """Return pool and labels in one view, (n, d) and (c, d)."""
        return view_of(self.vectors, view), None if self.label_vectors is None else view_of(self.label_vectors, view)

    def texts_at(self, positions: Positions) -> list[str]:
        """Return the texts of some positions, in their order; a lazy sequence that has `take` reads them at once."""
        take: Callable[[Positions], list[str]] | None = getattr(self.texts, "take", None)
        return take(positions) if take is not None else [self.texts[int(row)] for row in positions]

    @cached_property
    def position_of(self) -> Mapping[str, int]:
        """Pool id to position."""
        return {id_: position for position, id_ in enumerate(self.ids)}
