"""The view of the pool that a step gets: immutable arrays, one row an example."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.types import Embeddings, Proba

__all__ = ["PoolView"]


@dataclass(frozen=True)
class PoolView:
    """The pool as a step sees it.

    Parameters
    ----------
    texts : sequence of str, length n
        May be lazy: index it in slices or by position, do not copy it whole.
    embeddings : ndarray of shape (n, d)
        Unit-length rows, of one view; may be a read-only memory map.
    n_classes : int
        c, at least 2.
    labels : ndarray of shape (n,), int64
        Class index of the label known so far, -1 where there is none.
    is_available : ndarray of shape (n,), bool
        Rows that a selector may return. A labelled row is never available.
    proba : ndarray of shape (n, c) or None
        Calibrated probabilities of the current student; None before the first one.
    groups : ndarray of shape (n,), int64, or None
        Near-duplicate group of each row; rows of one group share a number. None means all distinct.
    label_embeddings : ndarray of shape (c, d) or None
        Unit vectors of the labels' names and descriptions, by the encoder of `embeddings`.
    is_outgrown : bool
        Whether `proba` comes from a student that changed its encoder, so that `embeddings` know less than it does.
    view : int
        Which of the encoder's views `embeddings` and `label_embeddings` are; see `llm_al.views`.
    beside : ndarray of shape (n, d) or None
        A second view of the same texts, whose shape is worth a look beside that of `embeddings`.
    is_self_trained : bool
        Whether the student of `proba` learned from pseudo-labels.
    catch_all : int or None
        Class index of the label of texts that fit no other one, if there is such a label.

    Raises
    ------
    ShapeError
        If the arrays differ in length, or `proba` holds NaN.
    """

    texts: Sequence[str]
    embeddings: Embeddings
    n_classes: int
    labels: NDArray[np.int64]
    is_available: NDArray[np.bool_]
    proba: Proba | None = None
    groups: NDArray[np.int64] | None = field(default=None)
    label_embeddings: Embeddings | None = field(default=None)
    is_outgrown: bool = field(default=False)
    view: int = field(default=0)
    beside: Embeddings | None = field(default=None)
    is_self_trained: bool = field(default=False)
    catch_all: int | None = field(default=None)

    def __post_init__(self) -> None:
        n = len(self.texts)
        for name in ("embeddings", "labels", "is_available", "proba", "groups", "beside"):
            array = getattr(self, name)
            if array is not None and len(array) != n:
                raise ShapeError(f"{name} has {len(array)} rows; there are {n} texts; give one row a text")
        if self.proba is not None and (self.proba.shape[1] != self.n_classes or np.isnan(self.proba).any()):
            raise ShapeError(
                f"proba has shape {self.proba.shape}, NaN: {bool(np.isnan(self.proba).any())}; "
                f"expected {n} rows of {self.n_classes} probabilities without NaN"
            )

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def is_labeled(self) -> NDArray[np.bool_]:
        """Rows with a known label, shape (n,)."""
        return self.labels >= 0
