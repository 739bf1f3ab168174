"""How honest a confidence is, and what is gained by trusting the confident answers only.

Every function takes checked answers and returns plain numbers; NaN stands for undefined. A weight is one over the
probability with which an answer was checked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from llm_al.errors import ShapeError
from llm_al.types import Estimate, ReliabilityBin

__all__ = [
    "Checked",
    "accuracy_estimate",
    "auroc",
    "brier",
    "calibration_error",
    "interval_of",
    "kept_accuracy",
    "kept_estimate",
    "reliability",
    "risk_coverage",
]

Floats = NDArray[np.float64]

_N_BINS = 10
_N_RESAMPLES = 400
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Checked:
    """Scored answers that people have checked.

    Parameters
    ----------
    score, weights : ndarray of shape (n,), float
    is_correct : ndarray of shape (n,), bool

    Raises
    ------
    ShapeError
        If lengths differ, a score is not finite or a weight is not positive.
    """

    score: Floats
    is_correct: NDArray[np.bool_]
    weights: Floats

    def __post_init__(self) -> None:
        n = len(self.score)
        is_sound = np.isfinite(self.score).all() and (np.isfinite(self.weights) & (self.weights > 0)).all()
        if not len(self.is_correct) == len(self.weights) == n or not is_sound:
            raise ShapeError(
                f"got {n} scores, {len(self.is_correct)} outcomes and {len(self.weights)} weights; "
                "give one finite score, one outcome and one positive weight an answer"
            )

    @classmethod
    def of(cls, score: Floats, is_correct: NDArray[np.bool_], weights: Floats | None = None) -> "Checked":
        """Return checked answers; without weights all count alike."""
        given = np.asarray(score, dtype=np.float64)
        w = np.ones(len(given)) if weights is None else np.asarray(weights, dtype=np.float64)
        return cls(given, np.asarray(is_correct, dtype=np.bool_), w)

    def __len__(self) -> int:
        return len(self.score)

    def times(self, counts: NDArray[np.int64]) -> "Checked":
        """Return the rows that were drawn, as often as they were drawn."""
        drawn = np.flatnonzero(counts)
        return Checked(self.score[drawn], self.is_correct[drawn], self.weights[drawn] * counts[drawn])


def auroc(rows: Checked) -> float:
    """Return the probability that a right answer scores above a wrong one, ties counted half [1]_.

    NaN when all answers are right, or all wrong.

    References
    ----------
    .. [1] Hanley & McNeil (1982). The meaning and use of the area under a ROC curve. Radiology 143(1), 29-36.

    Examples
    --------
    >>> auroc(Checked.of([0.9, 0.8, 0.8, 0.1], [True, True, False, False]))
    0.875
    """
    _, position = np.unique(rows.score, return_inverse=True)
    right = np.bincount(position, rows.weights * rows.is_correct)
    wrong = np.bincount(position, rows.weights * ~rows.is_correct)
    pairs = float(right.sum() * wrong.sum())
    below = np.cumsum(wrong) - 0.5 * wrong
    return float((right * below).sum()) / pairs if pairs > 0 else float("nan")


def reliability(rows: Checked) -> tuple[ReliabilityBin, ...]:
    """Return ten equally wide bins over [0, 1]; the upper edge belongs to a bin. Scores outside are clipped."""
    p = np.clip(rows.score, 0.0, 1.0)
    which = np.clip(np.ceil(p * _N_BINS).astype(np.intp) - 1, 0, _N_BINS - 1)
    n = np.bincount(which, minlength=_N_BINS)
    weight = np.maximum(np.bincount(which, rows.weights, minlength=_N_BINS), 1e-300)
    mean = np.bincount(which, rows.weights * p, minlength=_N_BINS) / weight
    right = np.bincount(which, rows.weights * rows.is_correct, minlength=_N_BINS) / weight
    return tuple(
        ReliabilityBin(i / _N_BINS, (i + 1) / _N_BINS, int(n[i]), float(mean[i]), float(right[i]))
        for i in range(_N_BINS)
    )


def calibration_error(rows: Checked) -> float:
    """Return the expected calibration error over the ten bins of `reliability` [1]_; NaN without rows.

    It is never 0 by chance: few answers make it too large.

    References
    ----------
    .. [1] Naeini, Cooper & Hauskrecht (2015). Obtaining well calibrated probabilities using Bayesian binning. AAAI.

    Examples
    --------
    >>> round(calibration_error(Checked.of([0.95, 0.95, 0.15, 0.15], [True, False, False, False])), 3)
    0.3
    """
    if not len(rows):
        return float("nan")
    p = np.clip(rows.score, 0.0, 1.0)
    which = np.clip(np.ceil(p * _N_BINS).astype(np.intp) - 1, 0, _N_BINS - 1)
    gap = np.bincount(which, rows.weights * (rows.is_correct - p), minlength=_N_BINS)
    return float(np.abs(gap).sum() / rows.weights.sum())


def brier(rows: Checked) -> float:
    """Return the mean squared distance between score and outcome; NaN without rows."""
    return float(np.average((rows.score - rows.is_correct) ** 2, weights=rows.weights)) if len(rows) else float("nan")


def risk_coverage(rows: Checked) -> tuple[Floats, Floats]:
    """Return coverage and accuracy of the kept answers at each distinct score, surest first.

    Returns
    -------
    coverage, accuracy : ndarray of shape (u,)
        u distinct scores; coverage rises to 1. Answers with one score are kept together.
    """
    _, position = np.unique(-rows.score, return_inverse=True)
    weight = np.cumsum(np.bincount(position, rows.weights))
    right = np.cumsum(np.bincount(position, rows.weights * rows.is_correct))
    if not len(weight):
        return np.zeros(0), np.zeros(0)
    return np.asarray(weight / weight[-1]), np.asarray(right / weight)


def kept_accuracy(rows: Checked, coverage: float) -> float:
    """Return the accuracy of the surest share of the answers; NaN without rows.

    Of answers that tie at the border a share is kept, as if they were drawn at random.

    Examples
    --------
    >>> kept_accuracy(Checked.of([0.9, 0.8, 0.7, 0.6], [True, True, False, True]), 0.5)
    1.0
    """
    if not len(rows):
        return float("nan")
    return float(np.average(rows.is_correct, weights=rows.weights * _kept(rows, coverage)))


def accuracy_estimate(rows: Checked) -> Estimate:
    """Return the weighted accuracy with an exact 95 % interval.

    Clopper-Pearson's; unequal weights replace n by ``(sum w)^2 / sum w^2`` [1]_.

    References
    ----------
    .. [1] Korn & Graubard (1998). Confidence intervals for proportions with small expected number of positive
           counts estimated from survey data. Survey Methodology 24(2), 193-201.
    """
    return kept_estimate(rows, 1.0)


def kept_estimate(rows: Checked, coverage: float) -> Estimate:
    """Return `kept_accuracy` with the interval of `accuracy_estimate`, given which answers are kept."""
    if not len(rows):
        return Estimate(None, reason="undefined because no answer was checked")
    value = kept_accuracy(rows, coverage)
    weights = rows.weights * _kept(rows, coverage)
    n = float(weights.sum() ** 2 / (weights**2).sum())
    right, tail = value * n, (1.0 - _CONFIDENCE) / 2.0
    low = float(beta.ppf(tail, right, n - right + 1.0)) if right > 1e-9 else 0.0
    high = float(beta.ppf(1.0 - tail, right + 1.0, n - right)) if n - right > 1e-9 else 1.0
    return Estimate(value, low, high)


def interval_of(statistic: Callable[[Checked], float], rows: Checked, *, seed: int = 0) -> Estimate:
    """Return a statistic with its 95 % percentile bootstrap interval: answers are drawn with replacement, 400 times."""
    value = statistic(rows)
    if np.isnan(value):
        return Estimate(None, reason=_why_undefined(rows))
    rng = np.random.default_rng(seed)
    share = np.full(len(rows), 1.0 / len(rows))
    drawn = np.array([statistic(rows.times(rng.multinomial(len(rows), share))) for _ in range(_N_RESAMPLES)])
    known = drawn[~np.isnan(drawn)]
    tail = 50.0 * (1.0 - _CONFIDENCE)
    low, high = np.percentile(known, [tail, 100.0 - tail])
    return Estimate(value, float(low), float(high))


def _kept(rows: Checked, coverage: float) -> Floats:
    """Return how much of each answer is kept, shape (n,), in [0, 1]."""
    _, position = np.unique(-rows.score, return_inverse=True)
    weight = np.bincount(position, rows.weights)
    before = np.cumsum(weight) - weight
    share = np.clip((coverage * weight.sum() - before) / weight, 0.0, 1.0)
    return np.asarray(share[position], dtype=np.float64)


def _why_undefined(rows: Checked) -> str:
    if not len(rows):
        return "undefined because no answer was checked"
    return f"undefined because every checked answer was {'right' if rows.is_correct.all() else 'wrong'}"
