"""What a student says of examples that it has not learned from: quick cross-fitting on frozen vectors."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError, ShapeError
from llm_al.types import Embeddings, Proba

__all__ = ["CrossFit"]

# Soft labels below this share cost a row each and tell nothing.
_LEAST_TARGET = 1e-3


@dataclass(frozen=True)
class CrossFit:
    """Logistic regressions on frozen vectors, each fitted without one fold of the examples.

    An example's fold comes from its id, so that it stays in it when other examples come or go, and the result
    depends on neither order nor seed.

    Parameters
    ----------
    n_folds : int
        At least 2.
    C : float
        Inverse strength of the L2 penalty.
    max_iterations : int

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    n_folds: int = 5
    C: float = 10.0
    max_iterations: int = 100

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise ConfigError(f"n_folds is {self.n_folds}; allowed is 2 or more; correct it")
        if not self.C > 0:
            raise ConfigError(f"cross-fitting C is {self.C}; it must be above 0; correct it")

    def folds(self, ids: Sequence[str]) -> NDArray[np.intp]:
        """Return the fold of each example, shape (n,)."""
        return np.array([zlib.crc32(id_.encode("utf-8", "surrogatepass")) % self.n_folds for id_ in ids], dtype=np.intp)

    def out_of_fold(self, ids: Sequence[str], embeddings: Embeddings, targets: Proba) -> Proba:
        """Return probabilities of each example by a fit that has not seen it, shape (n, c); rows sum to 1.

        Parameters
        ----------
        ids : sequence of str, length n
        embeddings : ndarray of shape (n, d)
        targets : ndarray of shape (n, c)
            Soft labels; rows sum to 1.

        Notes
        -----
        The m classes that a fit has no example of share a probability of ``m / (n + c)``. Where there is nothing to
        fit on, all classes are equally likely.

        Raises
        ------
        ShapeError
            If the three differ in length.
        """
        return self.fit(ids, embeddings, targets, unseen=embeddings[:0])[0]

    def fit(
        self, ids: Sequence[str], embeddings: Embeddings, targets: Proba, *, unseen: Embeddings
    ) -> tuple[Proba, Proba]:
        """Return what `out_of_fold` does, and the mean of all fits on rows without a label, shape (m, c).

        Both come from fits of one kind, so that they can be compared.
        """
        if not len(ids) == len(embeddings) == len(targets):
            raise ShapeError(
                f"got {len(ids)} ids, {len(embeddings)} vectors and {len(targets)} targets; give one of each an example"
            )
        fold, c = self.folds(ids), targets.shape[1]
        vectors, others = np.asarray(embeddings, dtype=np.float32), np.asarray(unseen, dtype=np.float32)
        proba, mean, numbers = np.zeros(targets.shape), np.zeros((len(others), c)), np.unique(fold)
        # Small fits: several threads gain little on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            for number in numbers:
                out = fold == number
                said = self._predict(vectors[~out], targets[~out], np.concatenate([vectors[out], others]))
                proba[out] = said[: int(out.sum())]
                mean += said[int(out.sum()) :] / len(numbers)
        return proba, mean if len(numbers) else np.full(mean.shape, 1.0 / c)

    def _predict(self, vectors: NDArray[np.float32], targets: Proba, unseen: NDArray[np.float32]) -> Proba:
        n, c = targets.shape
        rows, classes = np.nonzero(targets >= _LEAST_TARGET)
        present = np.unique(classes)
        absent_share = (c - len(present)) / (n + c)
        if not n:
            return np.full((len(unseen), c), 1.0 / c)
        proba = np.zeros((len(unseen), c))
        proba[:, np.setdiff1d(np.arange(c), present)] = absent_share / max(c - len(present), 1)
        if len(present) == 1:
            proba[:, present] = 1.0 - absent_share
        elif len(present):
            model = LogisticRegression(C=self.C, max_iter=self.max_iterations, tol=1e-3)
            model.fit(vectors[rows], classes, sample_weight=targets[rows, classes])
            found = model.predict_proba(unseen).astype(np.float64)
            proba[:, present] = found / found.sum(axis=1, keepdims=True) * (1.0 - absent_share)
        return proba
