"""What the nearest labelled examples say."""

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Embeddings, Proba

__all__ = ["neighbour_shares"]

_BLOCK_ROWS = 1024


def neighbour_shares(
    embeddings: Embeddings,
    labelled: Embeddings,
    *,
    label_index: NDArray[np.int64],
    n_classes: int,
    n_neighbours: int = 10,
) -> Proba | None:
    """Return how the labels of the nearest labelled examples are shared out.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        Unit-length rows to describe; none of them among `labelled`.
    labelled : ndarray of shape (l, d)
        Unit-length rows that people have answered.
    label_index : ndarray of shape (l,), int64
        Their class indices; -1 where people hold that no label fits. Such a neighbour counts for no label.
    n_classes, n_neighbours : int
        c, and how many neighbours vote; all of them when l is smaller.

    Returns
    -------
    ndarray of shape (n, c), or None when l is 0
        Rows sum to 1 less the share of neighbours that no label fits.
    """
    if len(labelled) == 0:
        return None
    known = np.asarray(labelled, dtype=np.float32)
    k = min(n_neighbours, len(known))
    # One column more than labels takes the votes of neighbours outside of them; it is dropped at the end.
    column = np.where(label_index < 0, n_classes, label_index)
    shares = np.zeros((len(embeddings), n_classes + 1))
    for start in range(0, len(embeddings), _BLOCK_ROWS):
        block = np.asarray(embeddings[start : start + _BLOCK_ROWS], dtype=np.float32)
        nearest = np.argpartition(-(block @ known.T), k - 1, axis=1)[:, :k]
        rows = np.repeat(np.arange(start, start + len(block)), k)
        np.add.at(shares, (rows, column[nearest].ravel()), 1.0 / k)
    return np.ascontiguousarray(shares[:, :n_classes])
