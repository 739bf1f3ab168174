"""Which of several labelers is the best, for the fewest labels: consensus-driven active model selection."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc

from llm_al.errors import ShapeError

__all__ = ["ABSTAINS", "Coda", "lead_certainty"]

ABSTAINS = -1
"""Prediction of a candidate that gives no label: never right, whatever the true class."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_N_GRID = 256
_CHUNK = 128


@dataclass(frozen=True)
class _Class:
    """What one true class says about the candidates, now and after one more label.

    Parameters
    ----------
    best : ndarray of shape (h,)
        Probability that each candidate is the most accurate on this class.
    after : ndarray of shape (p, h)
        The same after a label of this class, for each of the p patterns of who is right.
    """

    best: Floats
    after: Floats


class Coda:
    """Ask about the example whose label says most about which candidate is best [1]_.

    Each candidate has a confusion matrix with a Dirichlet prior: right more often than any one mistake, bent
    towards the candidates' own consensus. From it follow the accuracy on each class, a beta distribution, the
    probability that a candidate is best, and the expected information of a label. Examples on which all candidates
    agree tell nothing and are never asked.

    Differs from the paper: predictions are labels, not probabilities, and an abstention is an outcome of its own. As in
    the paper's code a label counts little (`update`), because the examples that it asks about are not like the rest:
    counted fully they lead the choice astray (measured in `benchmarks/llm_choice.py`). So the order of `p_best`
    is what to choose by, its size is no probability to stop by; for that see `lead_certainty`.

    Parameters
    ----------
    predictions : ndarray of shape (h, n), int
        Class index of candidate h on example n, or `ABSTAINS`.
    n_classes : int
        c, at least 2.
    strength : float
        Worth of the prior, in labels.
    consensus : float
        Share of the consensus in the prior.
    update : float
        Worth of one label; the look-ahead takes it for 1.

    Raises
    ------
    ShapeError
        If there are fewer than two candidates or classes, no example, or a prediction outside -1 ... c - 1.

    References
    ----------
    .. [1] Kay et al. (2025). Consensus-driven active model selection. ICCV.

    Examples
    --------
    >>> coda = Coda(np.array([[0, 1, 0], [0, 1, 1]]), 2, update=1.0)
    >>> coda.next_item()
    2
    >>> coda.update(2, 1)
    >>> int(coda.p_best.argmax()), coda.next_item()
    (1, None)
    """

    def __init__(
        self,
        predictions: NDArray[np.int64],
        n_classes: int,
        *,
        strength: float = 2.0,
        consensus: float = 0.1,
        update: float = 0.01,
    ) -> None:
        self._said = np.asarray(predictions, dtype=np.int64)
        _check(self._said, n_classes)
        self._c, self._worth = n_classes, update
        self._alpha = _prior(self._said, n_classes, strength=strength, consensus=consensus)
        self._is_open = np.asarray((self._said != self._said[0]).any(axis=0))
        self._rows = np.flatnonzero(self._is_open)
        patterns = [_patterns(self._said[:, self._rows] == c) for c in range(n_classes)]
        self._who = [who for who, _ in patterns]
        self._pattern_of = np.stack([index for _, index in patterns], axis=1)
        self._support = np.stack([self._supports(c) for c in range(n_classes)], axis=1)
        self._classes = [self._read_class(c) for c in range(n_classes)]

    @property
    def p_best(self) -> Floats:
        """Probability of each candidate to be the best as the model sees it, shape (h,); sums to 1."""
        total = sum(share * kind.best for share, kind in zip(self._shares, self._classes, strict=True))
        return np.asarray(total, dtype=np.float64)

    def information(self) -> tuple[NDArray[np.intp], Floats]:
        """Return the examples that may be asked, shape (m,), and the expected information of each, in nats."""
        now, shares = self.p_best, self._shares
        posterior = self._posterior[self._rows]
        expected = np.zeros(len(self._rows))
        for c, kind in enumerate(self._classes):
            after = _entropy(now + shares[c] * (kind.after - kind.best))
            expected += posterior[:, c] * after[self._pattern_of[:, c]]
        is_open = self._is_open[self._rows]
        return self._rows[is_open], (_entropy(now[None])[0] - expected)[is_open]

    def next_item(self, rng: np.random.Generator | None = None) -> int | None:
        """Return the example to ask about; None when no label can tell the candidates apart any more.

        Ties are broken by `rng`, or go to the first.
        """
        rows, gain = self.information()
        if not len(rows):
            return None
        best = rows[gain >= gain.max() - 1e-12]
        return int(best[0] if rng is None else rng.choice(best))

    def update(self, item: int, label: int | None) -> None:
        """Learn the true class of an example; None takes it off the list without learning anything.

        Raises
        ------
        ShapeError
            If the class is none of 0 ... c - 1.
        """
        self._is_open[item] = False
        if label is None:
            return
        if not 0 <= label < self._c:
            raise ShapeError(f"true class is {label}; allowed is 0 to {self._c - 1}")
        for h, said in enumerate(self._said[:, item]):
            self._alpha[h, label, said] += self._worth
        self._support[:, label] = self._supports(label)
        self._classes[label] = self._read_class(label)

    @property
    def _posterior(self) -> Floats:
        """Probability of each true class of each example, shape (n, c)."""
        return np.asarray(self._support / self._support.sum(axis=1, keepdims=True), dtype=np.float64)

    @property
    def _shares(self) -> Floats:
        return np.asarray(self._posterior.mean(axis=0), dtype=np.float64)

    def _supports(self, c: int) -> Floats:
        """Return, for each example, how likely the candidates say what they say if the true class is c, summed."""
        theta = self._alpha[:, c] / self._alpha[:, c].sum(axis=1, keepdims=True)
        return np.asarray(np.take_along_axis(theta, self._said % theta.shape[1], axis=1).sum(axis=0))

    def _read_class(self, c: int) -> _Class:
        right = self._alpha[:, c, c]
        wrong = self._alpha[:, c].sum(axis=1) - right
        best = _p_best(*_curves(right, wrong))
        hit, miss = _curves(right + 1.0, wrong), _curves(right, wrong + 1.0)
        after = np.zeros((len(self._who[c]), len(right)))
        for start in range(0, len(after), _CHUNK):
            who = self._who[c][start : start + _CHUNK, :, None]
            after[start : start + _CHUNK] = _p_best(np.where(who, hit[0], miss[0]), np.where(who, hit[1], miss[1]))
        return _Class(best, after)


def lead_certainty(is_right: NDArray[np.bool_], leader: int) -> float:
    """Return a lower bound of the probability that one candidate is better than each other, from who was right.

    Two candidates are compared on the labels where just one of them was right: w times the leader, l times the other.
    With a flat prior the leader is worse with probability ``P(Beta(w + 1, l + 1) < 1/2)``; the sum of these over all
    others is taken from 1. It holds for labels drawn at random; labels that were asked for because candidates
    disagree are harder on the leader, in our measurements, which makes it too small rather than too large.

    Parameters
    ----------
    is_right : ndarray of shape (h, m), bool
        Whether each candidate was right about each labelled example.
    leader : int

    Returns
    -------
    float
        In [0, 1].

    Examples
    --------
    >>> round(lead_certainty(np.array([[True] * 5, [False] * 5]), 0), 3)
    0.984
    """
    lead = is_right[leader]
    n_won = (lead & ~is_right).sum(axis=1)
    n_lost = (~lead & is_right).sum(axis=1)
    worse = np.delete(betainc(n_won + 1.0, n_lost + 1.0, 0.5), leader)
    return float(max(0.0, 1.0 - worse.sum()))


def _check(said: Ints, n_classes: int) -> None:
    if said.ndim != 2 or len(said) < 2 or not said.shape[1] or n_classes < 2:
        raise ShapeError(
            f"predictions have shape {said.shape} over {n_classes} classes; expected at least two candidates, "
            "one example and two classes"
        )
    if said.min() < ABSTAINS or said.max() >= n_classes:
        raise ShapeError(f"predictions run from {said.min()} to {said.max()}; allowed is -1 to {n_classes - 1}")


def _prior(said: Ints, c: int, *, strength: float, consensus: float) -> Floats:
    """Return Dirichlet parameters, shape (h, c, c or c + 1); a last column is for abstentions, where there are any."""
    h, n = said.shape
    # Abstentions are -1: the last column, once there is one more than classes.
    width = c + int((said == ABSTAINS).any())
    votes = np.zeros((n, width))
    for row in said:
        votes[np.arange(n), row] += 1.0
    agreed = votes[:, :c].argmax(axis=1)
    base = np.full((c, width), 1.0 / (width - 1))
    np.fill_diagonal(base, 1.0)
    confusion = np.zeros((h, c, width))
    for k in range(h):
        np.add.at(confusion[k], (agreed, said[k]), 1.0)
    confusion /= np.maximum(confusion.sum(axis=2, keepdims=True), 1.0)
    return np.asarray(strength * (base + consensus * confusion), dtype=np.float64)


def _patterns(is_right: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Return the distinct columns of (h, m), as rows of shape (p, h), and which one each column is."""
    packed = np.packbits(is_right, axis=0).T
    _, first, index = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return is_right[:, first].T, np.asarray(index, dtype=np.intp).reshape(-1)


def _curves(right: Floats, wrong: Floats) -> tuple[Floats, Floats]:
    """Return log density and log distribution of Beta(right, wrong) on the grid, each of shape (h, grid)."""
    x = _grid()
    log_density = (right[:, None] - 1.0) * np.log(x) + (wrong[:, None] - 1.0) * np.log1p(-x)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    density /= np.trapezoid(density, x, axis=1)[:, None]
    steps = 0.5 * (density[:, 1:] + density[:, :-1]) * np.diff(x)
    below = np.concatenate([np.zeros((len(right), 1)), np.cumsum(steps, axis=1)], axis=1)
    return np.log(density + 1e-300), np.log(below + 1e-30)


def _grid() -> Floats:
    return np.linspace(1e-6, 1.0 - 1e-6, _N_GRID)


def _p_best(log_density: Floats, log_below: Floats) -> Floats:
    """Return ``integral f_h prod_{j != h} F_j`` for each candidate, normalised; inputs of shape (..., h, grid)."""
    others = log_below.sum(axis=-2, keepdims=True) - log_below
    value = np.trapezoid(np.exp(log_density + others), _grid(), axis=-1)
    return np.asarray(value / value.sum(axis=-1, keepdims=True), dtype=np.float64)


def _entropy(rows: Sequence[Floats] | Floats) -> Floats:
    p = np.clip(np.asarray(rows, dtype=np.float64), 1e-300, 1.0)
    return np.asarray(-(p * np.log(p)).sum(axis=1), dtype=np.float64)
