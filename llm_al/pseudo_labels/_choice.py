"""What every self-training strategy does alike: a sub-pool, a quick head, an answer of rows, targets and weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.protocols import PseudoLabeler
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.types import Positions, Proba

Floats = NDArray[np.float64]
Choice = tuple[Positions, Proba, Floats]

Without = Callable[[Positions], Proba]
"""Gives the targets as they would be if the labels of some pool rows were not known."""

_LEAST = 1e-12


@dataclass(frozen=True, eq=False)
class Chosen:
    """What a strategy chose, and how its labels depend on those of people.

    Parameters
    ----------
    positions : ndarray of shape (m,)
    targets : ndarray of shape (m, c)
    weights : ndarray of shape (m,)
    without : callable or None
        None where the strategy cannot tell.
    """

    positions: Positions
    targets: Proba
    weights: Floats
    without: Without | None = None

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def plain(self) -> Choice:
        """Rows, targets and weights."""
        return self.positions, self.targets, self.weights

    def at(self, kept: NDArray[Any]) -> "Chosen":
        """Return some of the rows: indices, or a mask."""
        given = self.without
        without = None if given is None else lambda unknown: given(unknown)[kept]
        return Chosen(self.positions[kept], self.targets[kept], self.weights[kept], without)


def choose(strategy: PseudoLabeler, view: PoolView, rng: np.random.Generator) -> Chosen:
    """Return what a strategy chooses, with `without` where it has a method `choose` of its own."""
    own: Any = getattr(strategy, "choose", None)
    chosen: Chosen = Chosen(*strategy.pseudo_label(view, rng)) if own is None else own(view, rng)
    return chosen


def nothing(view: PoolView) -> Choice:
    """Return no rows, targets of shape (0, c) and no weights."""
    return np.zeros(0, dtype=np.intp), np.zeros((0, view.n_classes)), np.zeros(0)


def sub_pool(view: PoolView, n_sample: int, rng: np.random.Generator) -> Positions:
    """Return at most `n_sample` random rows without a label, as positions in the pool, ascending."""
    unlabelled = np.flatnonzero(~view.is_labeled)
    return np.sort(rng.choice(unlabelled, min(n_sample, len(unlabelled)), replace=False))


def one_hot(view: PoolView, rows: Positions, classes: NDArray[np.intp], weights: Floats) -> Choice:
    """Return rows in ascending order with hard targets."""
    order = np.argsort(rows)
    return rows[order], np.eye(view.n_classes)[classes[order]], weights[order]


def fit_labelled(view: PoolView) -> Floats:
    """Fit the quick head to the labels known so far, all with the same weight."""
    rows = np.flatnonzero(view.is_labeled)
    # Small fits: several threads gain little on an idle machine and lose tenfold on a busy one.
    with threadpool_limits(limits=1, user_api="blas"):
        return fit_head(view.embeddings[rows], np.eye(view.n_classes)[view.labels[rows]], np.ones(len(rows)))


def is_verified(view: PoolView, rows: Positions, classes: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Mark the rows to which a quick head of the known labels alone gives their class too, shape (m,).

    With rows there must be a known label.
    """
    if not len(rows):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(predict_head(fit_labelled(view), view.embeddings[rows]).argmax(axis=1) == classes)


def entropy(proba: Proba) -> Floats:
    """Return the entropy of each row as a share of the largest there is, in [0, 1]."""
    raw = -(proba * np.log(np.maximum(proba, _LEAST))).sum(axis=1)
    return np.asarray(raw / np.log(proba.shape[1]), dtype=np.float64)


def is_among_best(classes: NDArray[np.intp], confidence: Floats, k: int) -> NDArray[np.bool_]:
    """Mark the k most confident rows of each class; of equals the first."""
    order = np.lexsort((-confidence, classes))
    first_of_class = np.searchsorted(classes[order], classes[order], side="left")
    is_best = np.zeros(len(classes), dtype=np.bool_)
    is_best[order] = np.arange(len(classes)) - first_of_class < k
    return is_best


def check(settings: object, **lowest: float) -> None:
    """Raise `ConfigError` for the first setting below its lowest value."""
    for name, low in lowest.items():
        if getattr(settings, name) < low:
            raise ConfigError(f"{name} is {getattr(settings, name)}; allowed is {low:g} or more; correct it")
