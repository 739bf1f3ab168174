"""Logistic regression on vectors with soft, weighted targets, kept as plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

from llm_al.errors import ShapeError, StudentError
from llm_al.students._regression import fit_softmax
from llm_al.types import Proba

__all__ = ["Linear", "fit_linear", "penalty_for"]

# Soft labels below this share are noise of a softmax; a class that has no others has no examples.
_LEAST_TARGET = 1e-3


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted linear classifier.

    Parameters
    ----------
    coef : ndarray of shape (c, d)
        Zero for classes without examples.
    intercept : ndarray of shape (c,)
    is_present : ndarray of shape (c,), bool
        Classes that had examples.
    absent_share : float
        Probability that the classes without examples share.
    """

    coef: NDArray[np.float64]
    intercept: NDArray[np.float64]
    is_present: NDArray[np.bool_]
    absent_share: float

    def logits(self, vectors: NDArray[Any]) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities, shape (n, c), finite.

        Raises
        ------
        ShapeError
            If the vectors are of another width than those of the training set.
        """
        if vectors.ndim != 2 or vectors.shape[1] != self.coef.shape[1]:
            raise ShapeError(
                f"vectors have shape {vectors.shape}; the classifier was trained on {self.coef.shape[1]} dimensions; "
                "use the encoder that it was trained with"
            )
        n_absent = int((~self.is_present).sum())
        raw = np.asarray(vectors, dtype=np.float64) @ self.coef.T + self.intercept
        logits = np.empty_like(raw)
        present = log_softmax(raw[:, self.is_present], axis=1) + np.log1p(-self.absent_share)
        # A probability of exactly 0 would make every product with it 0.
        logits[:, self.is_present] = np.maximum(present, -50.0)
        if n_absent:
            logits[:, ~self.is_present] = np.log(self.absent_share / n_absent)
        return logits

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        return {
            "coef": self.coef,
            "intercept": self.intercept,
            "is_present": self.is_present,
            "absent_share": np.array([self.absent_share]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Linear":
        """Rebuild the classifier.

        Raises
        ------
        StudentError
            If an array is missing.
        """
        try:
            share = float(arrays["absent_share"][0])
            return cls(arrays["coef"], arrays["intercept"], arrays["is_present"].astype(np.bool_), share)
        except KeyError as exc:
            raise StudentError(f"the saved classifier has no array {exc}; train the student again") from exc


def penalty_for(n_labels: float, n_classes: int) -> float:
    """Return the inverse strength C of the L2 penalty for a number of labels.

    It falls from 100 at up to 5 labels a class to 10 at 50 or more. Measured on rows held out of the train splits of
    trec6, agnews, subj and banking77, with labels at cluster centres: few labels lie far apart and want to be
    fitted, while many overlap and want an average.
    """
    return float(np.clip(500.0 * n_classes / max(n_labels, 1.0), 10.0, 100.0))


def fit_linear(
    vectors: NDArray[np.float64],
    targets: Proba,
    weights: NDArray[np.float64],
    *,
    C: float | None = None,
) -> Linear:
    """Fit a multinomial logistic regression.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    targets : ndarray of shape (n, c)
        Soft labels of less than a thousandth count as none.
    weights : ndarray of shape (n,)
    C : float or None
        Inverse strength of the L2 penalty, relative to a weight of 1 a row. None takes what suits the number of
        labels, see `penalty_for`.

    Notes
    -----
    The m classes without examples share a probability of ``m / (n + c)``, Laplace's estimate for what has
    not been seen. With one class only, it gets the rest.
    """
    n, c = targets.shape
    kept = np.where(targets >= _LEAST_TARGET, targets, 0.0)
    is_present = kept.sum(axis=0) > 0
    coef, intercept = np.zeros((c, vectors.shape[1])), np.zeros(c)
    if is_present.sum() > 1:
        strength = penalty_for(float(weights.sum()), c) if C is None else C
        shares = kept[:, is_present] / kept.sum(axis=1, keepdims=True)
        coef[is_present], intercept[is_present] = fit_softmax(vectors, shares, weights, C=strength)
    return Linear(coef, intercept, is_present, float((~is_present).sum() / (n + c)))
