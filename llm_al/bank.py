"""Labelled texts at hand while a prompt is written."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.types import Embeddings

__all__ = ["LabelledBank"]


@dataclass(frozen=True)
class LabelledBank:
    """Labelled texts, from which demonstrations are chosen.

    Parameters
    ----------
    ids, texts, labels : sequence of str, length b
        Labels are of the scheme, or `NONE_OF_THESE` where it is open.
    embeddings : ndarray of shape (b, d)
        Unit-length rows.
    groups : ndarray of shape (b,), int64
        Near-duplicate groups, as in `Example.group`; -1 where unknown.

    Raises
    ------
    ShapeError
        If these differ in length.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    labels: Sequence[str]
    embeddings: Embeddings
    groups: NDArray[np.int64]

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("ids", "texts", "labels", "embeddings", "groups")}
        if len(set(lengths.values())) > 1:
            raise ShapeError(f"a bank of labelled texts has {lengths}; give one of each for every text")

    def __len__(self) -> int:
        return len(self.ids)
