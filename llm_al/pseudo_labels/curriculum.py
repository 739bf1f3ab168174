"""Curriculum labelling: the surest rows first, more in each cycle, and every cycle starts afresh."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, check, nothing, one_hot, sub_pool
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.types import Positions, Proba

__all__ = ["Curriculum"]


@dataclass(frozen=True)
class Curriculum:
    """Add pseudo-labels by percentiles of confidence, from a model that forgets after each cycle [1]_.

    The first cycle labels the `step` share of rows that the student is surest of. A new model learns from the labels
    known so far and from these, and labels the surest ``2 * step``, and so on until `max_share`; a wrong label of an
    early cycle is thus given anew in each later one. The rows and labels of the last cycle are the answer; they weigh
    as much as a person's label.

    Differs from the paper: the models of the cycles are softmax heads on the frozen embeddings, all within one round,
    where the paper trains a network from scratch in each; the student is trained once, on the last cycle's answer.
    Percentiles are those of the sub-pool without labelled rows.

    Parameters
    ----------
    step : float
        Share added in each cycle, in (0, 1].
    max_share : float
        Share that the last cycle labels, in (0, 1]; 1 labels the whole sub-pool, as the paper does.
    n_sample : int
        Size of the random sub-pool.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Cascante-Bonilla, Tan, Qi & Ordonez (2021). Curriculum Labeling: Revisiting Pseudo-Labeling for
           Semi-Supervised Learning. AAAI 35.
    """

    step: float = 0.2
    max_share: float = 1.0
    n_sample: int = 4096

    def __post_init__(self) -> None:
        check(self, n_sample=1)
        for name in ("step", "max_share"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is more than 0 and at most 1; correct it")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return the rows of the last cycle (m,) in ascending order, one-hot targets (m, c) and weights of 1.

        m is 0 before the first student and without a labelled row, else at least 1.
        """
        rows = sub_pool(view, self.n_sample, rng)
        if view.proba is None or not len(rows) or not view.is_labeled.any():
            return nothing(view)
        proba, shares = view.proba[rows], self._shares()
        for share in shares[:-1]:
            chosen = _surest(proba, share)
            proba = _relearned(view, rows, chosen, proba[chosen].argmax(axis=1))
        last = _surest(proba, shares[-1])
        return one_hot(view, rows[last], proba[last].argmax(axis=1), np.ones(len(last)))

    def _shares(self) -> list[float]:
        n_cycles = int(np.ceil(self.max_share / self.step - 1e-9))
        return [min(number * self.step, self.max_share) for number in range(1, n_cycles + 1)]


def _surest(proba: Proba, share: float) -> Positions:
    """Return the indices of the given share of rows with the highest confidence, at least one."""
    n_chosen = max(1, round(share * len(proba)))
    return np.argsort(-proba.max(axis=1), kind="stable")[:n_chosen]


def _relearned(view: PoolView, rows: Positions, chosen: Positions, classes: NDArray[np.intp]) -> Proba:
    """Return what a fresh head, fitted to known labels and pseudo-labels, predicts for all rows."""
    known = np.flatnonzero(view.is_labeled)
    labels = np.concatenate([view.labels[known], classes])
    vectors = view.embeddings[np.concatenate([known, rows[chosen]])]
    with threadpool_limits(limits=1, user_api="blas"):
        head = fit_head(vectors, np.eye(view.n_classes)[labels], np.ones(len(labels)))
        return predict_head(head, view.embeddings[rows])
