"""Probabilities smoothed over each row's nearest neighbours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array

from llm_al.pseudo_labels._neighbours import nearest_others
from llm_al.types import Embeddings, Proba

_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """A graph of nearest neighbours whose rows sum to 1.

    Parameters
    ----------
    share : csr_array of shape (n, n)
        How much each row listens to each other; a row without a neighbour is empty.
    """

    share: csr_array

    @classmethod
    def of(cls, embeddings: Embeddings, *, k: int, power: float) -> "Neighbourhood":
        """Join each row to its k nearest others and to those whose nearest it is, by ``cosine ** power``."""
        points = np.asarray(embeddings, dtype=np.float32)
        n = len(points)
        if n < 2:
            return cls(csr_array((n, n), dtype=np.float64))
        found = nearest_others(points, n, k)
        rows, columns = np.repeat(np.arange(n), found.shape[1]), found.ravel()
        cosine = np.einsum("ij,ij->i", points[rows], points[columns]).astype(np.float64)
        directed = csr_array((np.maximum(cosine, _LEAST) ** power, (rows, columns)), shape=(n, n))
        graph = directed.maximum(directed.T)
        total = np.asarray(graph.sum(axis=1), dtype=np.float64)
        return cls(csr_array(diags_array(1.0 / np.maximum(total, _LEAST)) @ graph))

    def smooth(self, proba: Proba, is_known: NDArray[np.bool_], *, alpha: float, n_steps: int) -> Proba:
        """Return ``f <- (1 - alpha) proba + alpha * (mean of the neighbours' f)`` after some steps [1]_.

        Known rows stay as they are, as in [2]_, and so draw their neighbourhood towards their labels.

        Parameters
        ----------
        proba : ndarray of shape (n, c)
        is_known : ndarray of shape (n,), bool
        alpha : float
            In [0, 1): how much a row listens to its neighbours.
        n_steps : int

        References
        ----------
        .. [1] Zhou et al. (2004). Learning with local and global consistency. NIPS 2003.
        .. [2] Zhu & Ghahramani (2002). Learning from labeled and unlabeled data with label
               propagation. CMU-CALD-02-107.
        """
        smoothed = proba
        alone = np.diff(self.share.indptr) == 0
        stays = (is_known | alone)[:, None]
        for _ in range(n_steps):
            smoothed = np.where(stays, proba, (1.0 - alpha) * proba + alpha * (self.share @ smoothed))
        return np.asarray(smoothed, dtype=np.float64)
