"""How many pseudo-labels are right: estimated without gold, and measured where people answered later."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError, ShapeError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Floats, check, fit_labelled
from llm_al.pseudo_labels._folds import deal
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.types import Positions, Proba

__all__ = ["Precision", "PrecisionEstimate", "measured"]

_CLIP = 1e-3
_MAX_STEPS = 50
_Z = 1.96


@dataclass(frozen=True)
class Precision:
    """Share of right labels.

    Parameters
    ----------
    estimate : float or None
        In [0, 1]; None where nothing can be said.
    low, high : float or None
        About 95 %.
    n_checked, n_right : int
        Labels of people that it rests on, and how many of them agreed.
    """

    estimate: float | None
    low: float | None
    high: float | None
    n_checked: int
    n_right: int


def measured(given: NDArray[np.int64], answered: NDArray[np.int64]) -> Precision:
    """Compare earlier pseudo-labels with what people said later, with a Wilson interval.

    People are mostly asked about doubtful rows, so the share is a lower bound for all pseudo-labels of that round
    rather than an estimate; only rows that were asked about at random are free of this.

    Parameters
    ----------
    given : ndarray of shape (n,), int64
        Class index of the earlier pseudo-label of each row, -1 where it had none.
    answered : ndarray of shape (n,), int64
        Class index of the later label of people, -1 where there is none.

    Returns
    -------
    Precision
        Without an estimate where no row has both.

    Raises
    ------
    ShapeError
        If the two differ in length.

    Examples
    --------
    >>> measured(np.array([0, 1, 1, -1]), np.array([0, 1, 0, 1]))
    Precision(estimate=0.6666666666666666, low=0.2076..., high=0.9385..., n_checked=3, n_right=2)
    """
    if len(given) != len(answered):
        raise ShapeError(f"{len(given)} pseudo-labels and {len(answered)} answers; give one of each a row")
    both = (given >= 0) & (answered >= 0)
    n, n_right = int(both.sum()), int((given[both] == answered[both]).sum())
    if not n:
        return Precision(None, None, None, 0, 0)
    share, spread = n_right / n, _Z**2 / n
    centre = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * float(np.sqrt(share * (1 - share) / n + spread / (4 * n)))
    return Precision(share, max(0.0, centre - half), min(1.0, centre + half), n, n_right)


@dataclass(frozen=True)
class PrecisionEstimate:
    """Estimate the share of right pseudo-labels from people's labels, without asking for more.

    A quick head on the frozen embeddings predicts people's rows out of fold, and how often a confidence turns out
    right is learned from them: ``P(right) = sigmoid(a + b * logit(confidence))`` with a normal prior of standard
    deviation `prior_sd` around a = 0, b = 1, which takes the confidence at its word [1]_. Applying the strategy's rule
    to these rows and counting would be biased: people were asked about hard rows. Given its confidence, a row that was
    asked about is much like one that was not, so the map carries over.

    Of each pseudo-label the head, fitted to all of people's labels, says how probable it is; the map corrects that.
    The student knows more than the head, but its confidence could not be checked; so the estimate of a row is ``(n *
    corrected + n_prior * student's probability) / (n + n_prior)``, with n of people's labels.

    Parameters
    ----------
    n_folds : int
        At least 2.
    n_prior : float
        Labels of people at which checked and unchecked confidence weigh alike.
    prior_sd : float
        Positive.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Platt (1999). Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood
           Methods. Advances in Large Margin Classifiers.
    """

    n_folds: int = 5
    n_prior: float = 50.0
    prior_sd: float = 1.0

    def __post_init__(self) -> None:
        check(self, n_folds=2, n_prior=0)
        if self.prior_sd <= 0:
            raise ConfigError(f"prior_sd is {self.prior_sd}; allowed is more than 0; correct it")

    def of(self, view: PoolView, rows: Positions, targets: Proba, rng: np.random.Generator) -> Precision:
        """Return the estimate for pseudo-labels of a round.

        Parameters
        ----------
        view : PoolView
            Its labels are taken for right.
        rows : ndarray of shape (m,)
        targets : ndarray of shape (m, c)
            The likeliest class of each row is what counts.

        Returns
        -------
        Precision
            Without an estimate where there is no pseudo-label or no student; with the student's own confidence and an
            interval from 0 to 1 where people have labelled fewer rows than there are folds, or one class only.
        """
        if not len(rows) or view.proba is None:
            return Precision(None, None, None, 0, 0)
        classes, known = targets.argmax(axis=1), np.flatnonzero(view.is_labeled)
        own = view.proba[rows, classes]
        if len(known) < self.n_folds or len(np.unique(view.labels[known])) < 2:
            return Precision(float(own.mean()), 0.0, 1.0, 0, 0)
        with threadpool_limits(limits=1, user_api="blas"):
            confidence, is_right = self._out_of_fold(view, known, rng)
            given = predict_head(fit_labelled(view), view.embeddings[rows])[np.arange(len(rows)), classes]
        slopes, covariance = self._fit(confidence, is_right)
        checked, gradient = _corrected(given, slopes)
        share = len(known) / (len(known) + self.n_prior)
        value = float(share * checked.mean() + (1 - share) * own.mean())
        doubt = share**2 * float(gradient @ covariance @ gradient)
        doubt += ((1 - share) * float(checked.mean() - own.mean())) ** 2 + value * (1 - value) / len(rows)
        half = _Z * float(np.sqrt(doubt))
        return Precision(value, max(0.0, value - half), min(1.0, value + half), len(known), int(is_right.sum()))

    def _out_of_fold(self, view: PoolView, known: Positions, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return the head's confidence in its label of each known row, and whether the label is right."""
        one_hot = np.eye(view.n_classes)[view.labels[known]]
        proba = np.zeros(one_hot.shape)
        for test in deal(view.labels[known], self.n_folds, rng):
            train = np.setdiff1d(np.arange(len(known)), test)
            head = fit_head(view.embeddings[known[train]], one_hot[train], np.ones(len(train)))
            proba[test] = predict_head(head, view.embeddings[known[test]])
        is_right = proba.argmax(axis=1) == view.labels[known]
        return proba.max(axis=1), is_right.astype(np.float64)

    def _fit(self, confidence: Floats, is_right: Floats) -> tuple[Floats, Floats]:
        """Return the most probable (a, b) and their covariance, by Newton steps."""
        x = np.column_stack([np.ones(len(confidence)), _logit(confidence)])
        prior, slopes = np.array([0.0, 1.0]), np.array([0.0, 1.0])
        hessian = np.eye(2)
        for _ in range(_MAX_STEPS):
            p = expit(x @ slopes)
            gradient = x.T @ (is_right - p) - (slopes - prior) / self.prior_sd**2
            hessian = (x * (p * (1 - p))[:, None]).T @ x + np.eye(2) / self.prior_sd**2
            step = np.linalg.solve(hessian, gradient)
            slopes = slopes + np.clip(step, -1.0, 1.0)
            if np.abs(step).max() < 1e-8:
                break
        return slopes, np.asarray(np.linalg.inv(hessian), dtype=np.float64)


def _logit(confidence: Floats) -> Floats:
    return np.asarray(logit(np.clip(confidence, _CLIP, 1 - _CLIP)), dtype=np.float64)


def _corrected(given: Floats, slopes: Floats) -> tuple[Floats, Floats]:
    """Return the corrected probabilities and the gradient of their mean."""
    x = np.column_stack([np.ones(len(given)), _logit(given)])
    p = np.asarray(expit(x @ slopes), dtype=np.float64)
    return p, np.asarray((x * (p * (1 - p))[:, None]).mean(axis=0), dtype=np.float64)
