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
from llm_al.measures import Estimate, ReliabilityBin

__all__ = [
    "Checked",
    "accuracy_estimate",
    "auroc",
    "auroc_estimate",
    "brier",
    "brier_estimate",
    "calibration_error",
    "calibration_estimate",
    "kept_accuracy",
    "kept_estimate",
    "reliability",
    "risk_coverage",
]

Floats = NDArray[np.float64]

_N_BINS = 10
_N_RESAMPLES = 400
_MAX_CELLS = 1_000_000
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
    return float(_areas(rows, rows.weights[None])[0])


def reliability(rows: Checked) -> tuple[ReliabilityBin, ...]:
    """Return ten equally wide bins over [0, 1]; the upper edge belongs to a bin. Scores outside are clipped."""
    p, which = np.clip(rows.score, 0.0, 1.0), _bins(rows.score)
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
    return float(_calibration_errors(rows, rows.weights[None])[0]) if len(rows) else float("nan")


def brier(rows: Checked) -> float:
    """Return the mean squared distance between score and outcome; NaN without rows."""
    return float(_briers(rows, rows.weights[None])[0]) if len(rows) else float("nan")


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


def auroc_estimate(rows: Checked) -> Estimate:
    """Return `auroc` with a bootstrap interval, see `_bootstrap`."""
    return _bootstrap(_areas, rows)


def calibration_estimate(rows: Checked) -> Estimate:
    """Return `calibration_error` with a bootstrap interval, see `_bootstrap`."""
    return _bootstrap(_calibration_errors, rows)


def brier_estimate(rows: Checked) -> Estimate:
    """Return `brier` with a bootstrap interval, see `_bootstrap`."""
    return _bootstrap(_briers, rows)


def _bootstrap(statistic: Callable[[Checked, Floats], Floats], rows: Checked) -> Estimate:
    """Return a statistic with its 95 % percentile interval over 400 draws of the answers with replacement.

    The same answers give the same interval. Draws in which the statistic is undefined are left out.
    """
    if not len(rows):
        return Estimate(None, reason="undefined because no answer was checked")
    value = float(statistic(rows, rows.weights[None])[0])
    if np.isnan(value):
        return Estimate(None, reason=f"undefined because all checked answers were {_outcome(rows)}")
    rng = np.random.default_rng(0)
    share = np.full(len(rows), 1.0 / len(rows))
    step = max(1, _MAX_CELLS // len(rows))
    sizes = [min(step, _N_RESAMPLES - start) for start in range(0, _N_RESAMPLES, step)]
    drawn = np.concatenate([statistic(rows, rng.multinomial(len(rows), share, m) * rows.weights) for m in sizes])
    tail = 50.0 * (1.0 - _CONFIDENCE)
    low, high = np.percentile(drawn[~np.isnan(drawn)], [tail, 100.0 - tail])
    return Estimate(value, float(low), float(high))


def _outcome(rows: Checked) -> str:
    return "right" if rows.is_correct.all() else "wrong"


# The statistics under m weightings at once, w of shape (m, n); shape (m,).


def _areas(rows: Checked, w: Floats) -> Floats:
    if not len(rows):
        return np.full(len(w), np.nan)
    order = np.argsort(rows.score, kind="stable")
    starts = np.flatnonzero(np.diff(rows.score[order], prepend=-np.inf) > 0)
    is_right = rows.is_correct[order]
    right = np.add.reduceat(w[:, order] * is_right, starts, axis=1)
    wrong = np.add.reduceat(w[:, order] * ~is_right, starts, axis=1)
    below = np.cumsum(wrong, axis=1) - 0.5 * wrong
    pairs = right.sum(axis=1) * wrong.sum(axis=1)
    won = (right * below).sum(axis=1)
    area: Floats = np.divide(won, pairs, out=np.full(len(w), np.nan), where=pairs > 0)
    return area


def _calibration_errors(rows: Checked, w: Floats) -> Floats:
    onehot = np.eye(_N_BINS)[_bins(rows.score)]
    gaps = (w * (rows.is_correct - np.clip(rows.score, 0.0, 1.0))) @ onehot
    return np.asarray(np.abs(gaps).sum(axis=1) / w.sum(axis=1), dtype=np.float64)


def _briers(rows: Checked, w: Floats) -> Floats:
    return np.asarray(w @ (rows.score - rows.is_correct) ** 2 / w.sum(axis=1), dtype=np.float64)


def _bins(score: Floats) -> NDArray[np.intp]:
    p = np.clip(score, 0.0, 1.0)
    return np.clip(np.ceil(p * _N_BINS).astype(np.intp) - 1, 0, _N_BINS - 1)


def _kept(rows: Checked, coverage: float) -> Floats:
    """Return how much of each answer is kept, shape (n,), in [0, 1]."""
    _, position = np.unique(-rows.score, return_inverse=True)
    weight = np.bincount(position, rows.weights)
    before = np.cumsum(weight) - weight
    share = np.clip((coverage * weight.sum() - before) / weight, 0.0, 1.0)
    return np.asarray(share[position], dtype=np.float64)
