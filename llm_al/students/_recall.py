"""What a linear classifier cannot hold: the training rows themselves, looked up when a text is predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Embeddings, Proba

__all__ = ["Recall"]

_BLOCK_ROWS = 1024
_LEAST = 1e-6
_POWER = 6.0


@dataclass(frozen=True, eq=False)
class Recall:
    """Training rows with their labels, to be listened to beside a classifier [1]_.

    Parameters
    ----------
    vectors : ndarray of shape (m, d), float16
        Unit-length rows.
    targets : ndarray of shape (m, c), float16
        Rows sum to 1.
    k : int
        Nearest rows that are listened to, by ``cosine ** 6``.
    share : float
        What they count beside the classifier, in [0, 1).

    References
    ----------
    .. [1] Khandelwal, Levy, Jurafsky, Zettlemoyer & Lewis (2020). Generalization through memorization: nearest
           neighbor language models. ICLR 2020.
    """

    vectors: NDArray[np.float16]
    targets: NDArray[np.float16]
    k: int
    share: float

    @classmethod
    def of(cls, vectors: Embeddings, targets: Proba, *, k: int, share: float) -> "Recall":
        """Keep rows in half precision: the order of neighbours needs no more."""
        return cls(np.asarray(vectors, dtype=np.float16), np.asarray(targets, dtype=np.float16), k, share)

    def mixed(self, proba: Proba, vectors: Embeddings) -> Proba:
        """Return probabilities, shape (n, c), mixed with the labels of the nearest rows.

        Parameters
        ----------
        proba : ndarray of shape (n, c)
            The classifier's.
        vectors : ndarray of shape (n, d)
            Unit-length rows. A row that is among the kept ones finds itself: it was learned from.
        """
        kept, labels = self.vectors.astype(np.float32), self.targets.astype(np.float32)
        k = min(self.k, len(kept))
        said = np.empty(proba.shape)
        for start in range(0, len(vectors), _BLOCK_ROWS):
            cosine = np.asarray(vectors[start : start + _BLOCK_ROWS], dtype=np.float32) @ kept.T
            near = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
            weight = np.maximum(np.take_along_axis(cosine, near, axis=1), _LEAST) ** _POWER
            weight /= weight.sum(axis=1, keepdims=True)
            said[start : start + len(near)] = np.einsum("nk,nkc->nc", weight, labels[near])
        said /= np.maximum(said.sum(axis=1, keepdims=True), _LEAST)
        return np.asarray((1.0 - self.share) * proba + self.share * said)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return named arrays for a file."""
        return {"recall_vectors": self.vectors, "recall_targets": self.targets}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, k: int, share: float) -> "Recall | None":
        """Read what `arrays` gave; None where there is nothing of it."""
        if "recall_vectors" not in arrays:
            return None
        return cls(arrays["recall_vectors"], arrays["recall_targets"], k, share)
