"""Weighted logistic regression whose strength is chosen, and whose output is corrected, on rows it has not seen."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

__all__ = ["Logistic", "fit_logistic"]

Floats = NDArray[np.float64]

_STRENGTHS = (0.03, 0.3, 3.0)
_CLASS_SCALES = (0.3, 1.0, 3.0)
_N_FOLDS = 5
_N_BINS = 10
_CLIP = 1e-6


@dataclass(frozen=True)
class Logistic:
    """A fitted regression; unknown (NaN) features count as the average, with an effect of being unknown.

    Parameters
    ----------
    mean, scale : tuple of float, length k
        Of the known values of each feature.
    coef : tuple of float, length 2 k
        Of the features, then of the flags "this one is unknown".
    intercept : tuple of float, length 1
    recalibration : tuple of (a, b, c)
        The probability is ``expit(a log p - b log(1 - p) + c)`` of the regression's p; (1, 1, 0) changes nothing.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coef: tuple[float, ...]
    intercept: tuple[float, ...]
    recalibration: tuple[float, ...] = (1.0, 1.0, 0.0)

    def predict(self, features: Floats) -> Floats:
        """Return probabilities, shape (n,), for features of shape (n, k)."""
        design = _design(features, np.array(self.mean), np.array(self.scale))
        p = expit(design @ np.array(self.coef) + self.intercept[0])
        return np.asarray(expit(_beta_design(p) @ np.array(self.recalibration)), dtype=np.float64)

    def to_state(self) -> dict[str, tuple[float, ...]]:
        """Return the fitted numbers by name."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: Mapping[str, tuple[float, ...]]) -> "Logistic":
        """Rebuild from `to_state`."""
        return cls(**state)


def fit_logistic(features: Floats, y: Floats, w: Floats, *, n_classes: int) -> Logistic:
    """Fit on rows that people have answered.

    The strength of the L2 penalty, and how much of it the last `n_classes` columns (one-hot classes) get, are those
    with the lowest log loss in five-fold cross-validation. One-hot columns are not divided by their deviation, so
    that rare classes are shrunk towards all others. A beta calibration [1]_ of the out-of-fold probabilities
    is kept if it lowers both their log loss and their calibration error on folds that it has not seen.

    Parameters
    ----------
    features : ndarray of shape (n, k)
        NaN where unknown.
    y : ndarray of shape (n,)
        0 or 1, both present.
    w : ndarray of shape (n,)
        Positive weights with mean 1.
    n_classes : int

    References
    ----------
    .. [1] Kull, Silva Filho & Flach (2017). Beta calibration. AISTATS 2017.
    """
    mean, scale = _location(features, w, n_classes)
    fold = _folds(y)
    with threadpool_limits(limits=1, user_api="blas"):
        search = _Search(_design(features, mean, scale), y, w, fold, n_classes)
        strength, class_scale, unseen = search.best()
        scaled = search.scaled(class_scale)
        coef, intercept = _fit(scaled.design, y, w, strength)
    return Logistic(
        tuple(map(float, mean)),
        tuple(map(float, scale)),
        tuple(map(float, coef * scaled.factors)),
        (float(intercept),),
        _choose_recalibration(unseen, y, w, fold),
    )


@dataclass(frozen=True)
class _Scaled:
    design: Floats
    factors: Floats


@dataclass(frozen=True)
class _Search:
    """Cross-validation over strengths and class scales, one after the other."""

    design: Floats
    y: Floats
    w: Floats
    fold: NDArray[np.intp]
    n_classes: int

    def scaled(self, class_scale: float) -> _Scaled:
        k = self.design.shape[1] // 2
        factors = np.ones(2 * k)
        factors[k - self.n_classes : k] = class_scale
        return _Scaled(self.design * factors, factors)

    def best(self) -> tuple[float, float, Floats]:
        """Return strength, class scale and the out-of-fold probabilities they give."""
        tried: dict[tuple[float, float], tuple[float, Floats]] = {}

        def loss(setting: tuple[float, float]) -> float:
            if setting not in tried:
                p = self._out_of_fold(*setting)
                tried[setting] = (_log_loss(p, self.y, self.w), p)
            return tried[setting][0]

        strength = min(_STRENGTHS, key=lambda s: loss((s, 1.0)))
        class_scale = min(_CLASS_SCALES, key=lambda c: loss((strength, c)))
        return strength, class_scale, tried[strength, class_scale][1]

    def _out_of_fold(self, strength: float, class_scale: float) -> Floats:
        design, p = self.scaled(class_scale).design, np.zeros(len(self.y))
        for fold in range(_N_FOLDS):
            rest, held_out = self.fold != fold, self.fold == fold
            coef, intercept = _fit(design[rest], self.y[rest], self.w[rest], strength)
            p[held_out] = expit(design[held_out] @ coef + intercept)
        return p


def _fit(design: Floats, y: Floats, w: Floats, strength: float) -> tuple[Floats, float]:
    fit = LogisticRegression(C=strength, solver="newton-cholesky", max_iter=100).fit(design, y, sample_weight=w)
    return fit.coef_[0], float(fit.intercept_[0])


def _location(features: Floats, w: Floats, n_classes: int) -> tuple[Floats, Floats]:
    known = ~np.isnan(features)
    weight = known * w[:, None]
    total = np.maximum(weight.sum(axis=0), 1e-12)
    filled = np.where(known, features, 0.0)
    mean = (weight * filled).sum(axis=0) / total
    scale = np.sqrt((weight * (filled - mean) ** 2).sum(axis=0) / total)
    scale = np.where(scale > 1e-9, scale, 1.0)
    first = features.shape[1] - n_classes
    mean[first:], scale[first:] = 0.0, 1.0
    return mean, scale


def _design(features: Floats, mean: Floats, scale: Floats) -> Floats:
    unknown = np.isnan(features)
    return np.hstack([np.where(unknown, 0.0, (features - mean) / scale), unknown.astype(np.float64)])


def _folds(y: Floats) -> NDArray[np.intp]:
    """Return a fold for each row: dealt out in random order within each outcome, always the same way."""
    order = np.random.default_rng(0).permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    fold = np.empty(len(y), dtype=np.intp)
    fold[order] = np.arange(len(y)) % _N_FOLDS
    return fold


def _beta_design(p: Floats) -> Floats:
    clipped = np.clip(p, _CLIP, 1.0 - _CLIP)
    return np.stack([np.log(clipped), -np.log1p(-clipped), np.ones(len(p))], axis=1)


def _choose_recalibration(p: Floats, y: Floats, w: Floats, fold: NDArray[np.intp]) -> tuple[float, ...]:
    corrected = np.zeros(len(p))
    for number in range(_N_FOLDS):
        rest, held_out = fold != number, fold == number
        corrected[held_out] = expit(_beta_design(p[held_out]) @ _fit_beta(p[rest], y[rest], w[rest]))
    is_better = _log_loss(corrected, y, w) < _log_loss(p, y, w) and _ece(corrected, y, w) < _ece(p, y, w)
    return tuple(map(float, _fit_beta(p, y, w))) if is_better else (1.0, 1.0, 0.0)


def _fit_beta(p: Floats, y: Floats, w: Floats) -> Floats:
    """Fit (a, b, c) with a, b >= 0, so that the order of scores stays; a weak penalty pulls a and b to 1."""
    design = _beta_design(p)

    def loss(theta: Floats) -> tuple[float, Floats]:
        z = design @ theta
        pull = theta - np.array([1.0, 1.0, 0.0])
        value = (w * (np.logaddexp(0.0, z) - y * z)).sum() + 0.5 * (pull @ pull)
        return float(value), design.T @ (w * (expit(z) - y)) + pull

    bounds: Any = [(0.0, None), (0.0, None), (None, None)]
    found = minimize(loss, np.array([1.0, 1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(found.x, dtype=np.float64)


def _log_loss(p: Floats, y: Floats, w: Floats) -> float:
    clipped = np.clip(p, _CLIP, 1.0 - _CLIP)
    return float(-(w * (y * np.log(clipped) + (1.0 - y) * np.log1p(-clipped))).sum() / w.sum())


def _ece(p: Floats, y: Floats, w: Floats) -> float:
    which = np.minimum((p * _N_BINS).astype(np.intp), _N_BINS - 1)
    gap = np.bincount(which, w * (p - y), minlength=_N_BINS)
    return float(np.abs(gap).sum() / w.sum())
