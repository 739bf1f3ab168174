"""Teachers on frozen vectors that build on each other, and which of them is best by cross-validation."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from llm_al.pseudo_labels._folds import deal
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.pseudo_labels._smoothing import Float32s, Known, refined, smoothed
from llm_al.pseudo_labels.soft import sharpened
from llm_al.types import Proba

Floats = NDArray[np.float64]

_LEAST = 1e-9
_CLIP = 1e-3
_FITTED_LABELS = 50.0
_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.2, 4.0, 25))


@dataclass(frozen=True)
class Way:
    """How a teacher comes to its predictions: whether prototypes take part, and the amount of smoothing."""

    is_refined: bool
    alpha: float


HEAD_ALONE = Way(is_refined=False, alpha=0.0)


@dataclass(frozen=True)
class Choice:
    """The best way, the temperature of its predictions, that of the head that it starts from, and the log losses.

    Losses, (m,), are those of labels left out, at this temperature.
    """

    way: Way
    temperature: float
    head_temperature: float
    losses: Floats


@dataclass(frozen=True)
class _Fold:
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    head: Float32s


@dataclass(frozen=True)
class Teachers:
    """Everything that is tried.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        The first m rows are those with a label.
    one_hot : ndarray of shape (m, c)
    steps : sparse array of shape (n, n)
        A walk between near rows.
    alphas : tuple of float
    sharpness : float
    """

    points: Float32s
    one_hot: Float32s
    steps: sparse.csr_array
    alphas: tuple[float, ...]
    sharpness: float

    def taught(self, choice: Choice, train: NDArray[np.intp] | None = None) -> Proba:
        """Return calibrated predictions of the chosen teacher, shape (n, c).

        It learns from all labels, or from those of the rows `train` alone.
        """
        known = np.arange(len(self.one_hot)) if train is None else train
        start = self._start(self._head(known), known, choice.head_temperature, choice.way.is_refined)
        return _at(self._smoothed(start, known, choice.way.alpha), choice.temperature)

    def best(self, n_folds: int, rng: np.random.Generator, *, min_gain_se: float) -> Choice:
        """Return the way of least log loss on labels left out, among those that gain enough over the head alone.

        Each way is compared at its own best temperature. The gain is paired over labels and has to be at least
        `min_gain_se` standard errors; where no other way gains that, it is the head alone. Where it is negative the
        head alone is the last resort, even if its loss is the least.
        """
        truth = self.one_hot.argmax(axis=1)
        folds = [self._fold(test) for test in deal(truth, n_folds, rng)]
        left_out = self._left_out((fold, fold.head) for fold in folds)
        head_temperature, base = _calibrated(left_out, truth)
        able = []
        for way, proba in self._tried(folds, head_temperature):
            temperature, losses = _calibrated(proba, truth)
            gain = base - losses
            if way != HEAD_ALONE and gain.mean() >= min_gain_se * gain.std(ddof=1) / np.sqrt(len(gain)):
                able.append(Choice(way, temperature, head_temperature, losses))
        head = Choice(HEAD_ALONE, head_temperature, head_temperature, base)
        tried = able if able and min_gain_se < 0 else [head, *able]
        return min(tried, key=lambda choice: float(choice.losses.mean()))

    def _tried(self, folds: list[_Fold], temperature: float) -> Iterator[tuple[Way, Float32s]]:
        for is_refined in (False, True):
            starts = [self._start(fold.head, fold.train, temperature, is_refined) for fold in folds]
            for alpha in (0.0, *self.alphas):
                pairs = zip(folds, starts, strict=True)
                smooth = ((fold, self._smoothed(start, fold.train, alpha)) for fold, start in pairs)
                yield Way(is_refined, alpha), self._left_out(smooth)

    def _fold(self, test: NDArray[np.intp]) -> _Fold:
        train = np.setdiff1d(np.arange(len(self.one_hot)), test)
        return _Fold(train, test, self._head(train))

    def _left_out(self, predicted: Iterator[tuple[_Fold, Float32s]]) -> Float32s:
        found = np.zeros(self.one_hot.shape, dtype=np.float32)
        for fold, proba in predicted:
            found[fold.test] = proba[fold.test]
        return found

    def _head(self, train: NDArray[np.intp]) -> Float32s:
        # Few labels lie far apart and want to be fitted, many overlap and want an average.
        strength = float(np.clip(_FITTED_LABELS * self.one_hot.shape[1] / len(train), 1.0, 10.0))
        targets = self.one_hot[train].astype(np.float64)
        coefficients = fit_head(self.points[train], targets, np.full(len(train), strength))
        return predict_head(coefficients, self.points).astype(np.float32)

    def _start(self, head: Float32s, train: NDArray[np.intp], temperature: float, is_refined: bool) -> Float32s:
        plain = _at(head, temperature).astype(np.float32)
        return refined(self.points, plain, Known(train, self.one_hot[train]), self.sharpness) if is_refined else plain

    def _smoothed(self, start: Float32s, train: NDArray[np.intp], alpha: float) -> Float32s:
        return smoothed(self.steps, start, Known(train, self.one_hot[train]), alpha) if alpha > 0 else start


def _at(proba: Float32s, temperature: float) -> Proba:
    return sharpened(np.maximum(proba.astype(np.float64), _LEAST), temperature)


def _calibrated(proba: Float32s, truth: NDArray[np.intp]) -> tuple[float, Floats]:
    """Return the temperature of the least mean log loss, and the losses."""
    losses = {temperature: _log_loss(_at(proba, temperature), truth) for temperature in _TEMPERATURES}
    best = min(losses, key=lambda temperature: float(losses[temperature].mean()))
    return best, losses[best]


def _log_loss(proba: Proba, truth: NDArray[np.intp]) -> Floats:
    return np.asarray(-np.log(np.maximum(proba[np.arange(len(truth)), truth], _CLIP)), dtype=np.float64)
