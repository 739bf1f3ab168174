"""Logistic regression on vectors with soft, weighted targets, kept as plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression

from llm_al.errors import ShapeError, StudentError
from llm_al.students.calibration import fit_temperature, out_of_fold
from llm_al.types import Proba

__all__ = ["Linear", "cross_fitted_temperature", "fit_linear"]

# Soft labels below this share are noise of a softmax, and each one costs a row.
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


def fit_linear(
    vectors: NDArray[np.float64],
    targets: Proba,
    weights: NDArray[np.float64],
    *,
    C: float,
    max_iterations: int = 1000,
) -> Linear:
    """Fit a multinomial logistic regression.

    Parameters
    ----------
    vectors : ndarray of shape (n, d)
    targets : ndarray of shape (n, c)
        A soft target becomes one weighted row for every class of at least a thousandth.
    weights : ndarray of shape (n,)
    C : float
        Inverse strength of the L2 penalty, relative to a weight of 1 a row.

    Notes
    -----
    The m classes without examples share a probability of ``m / (n + c)``, Laplace's estimate for what has
    not been seen. With one class only, it gets the rest.
    """
    n, c = targets.shape
    rows, classes = np.nonzero(targets >= _LEAST_TARGET)
    is_present = np.zeros(c, dtype=np.bool_)
    is_present[classes] = True
    coef, intercept = np.zeros((c, vectors.shape[1])), np.zeros(c)
    if is_present.sum() > 1:
        row_weights = weights[rows] * targets[rows, classes]
        # Strategies compare margins of many classes: the multinomial form, also for two.
        model = LogisticRegression(C=C, max_iter=max_iterations, tol=1e-4)
        model.fit(vectors[rows], classes, sample_weight=row_weights)
        coef[is_present], intercept[is_present] = _both_rows(model)
    return Linear(coef, intercept, is_present, float((~is_present).sum() / (n + c)))


def _both_rows(model: LogisticRegression) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give two classes a row each, where the library keeps one for both."""
    if len(model.coef_) > 1:
        return model.coef_, model.intercept_
    halves = np.array([[-0.5], [0.5]])
    return halves * model.coef_, halves[:, 0] * model.intercept_


def cross_fitted_temperature(
    vectors: NDArray[np.float64],
    targets: Proba,
    weights: NDArray[np.float64],
    *,
    C: float,
    n_folds: int,
    rng: np.random.Generator,
) -> float:
    """Return the temperature of logits that come from folds not seen; 1 with fewer than two rows or folds."""
    if n_folds < 2 or len(vectors) < 2:
        return 1.0

    def fit_predict(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float64]:
        return fit_linear(vectors[fit_on], targets[fit_on], weights[fit_on], C=C).logits(vectors[held_out])

    # A soft target holds the doubt about the annotators; the student's own doubt is what is measured here.
    likeliest = np.eye(targets.shape[1])[targets.argmax(axis=1)]
    return fit_temperature(out_of_fold(fit_predict, targets, n_folds=n_folds, rng=rng), likeliest, weights)
