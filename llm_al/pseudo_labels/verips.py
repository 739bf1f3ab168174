"""VERIPS: self-training on confident rows that a second model sees alike."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Floats, check, entropy, is_verified, nothing, one_hot, sub_pool
from llm_al.types import Proba

__all__ = ["Verips"]


@dataclass(frozen=True)
class Verips:
    """Keep a row when the student is sure, and a model that never saw a pseudo-label says the same [1]_.

    A row is a candidate when its certainty is at least `threshold`: the margin between its two likeliest classes, or
    one minus its entropy as a share of ``log c``. Candidates on which the verifier, fitted to the labels known so far
    alone, disagrees are left out. Kept rows weigh as much as a person's label.

    Differs from the paper: the verifier is a softmax head on the frozen embeddings instead of a second network of the
    student's kind, so that any student can be used; and it learns from the labels that the project holds, wrong ones
    included, never from gold.

    Parameters
    ----------
    measure : {"margin", "entropy"}
    threshold : float
        In (0, 1].
    n_sample : int
        Size of the random sub-pool.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Gilhuber, Jahn, Ma & Seidl (2022). VERIPS: Verified Pseudo-label Selection for Deep Active Learning. ICDM.
    """

    measure: Literal["margin", "entropy"] = "margin"
    threshold: float = 0.9
    n_sample: int = 16384

    def __post_init__(self) -> None:
        check(self, n_sample=1)
        if self.measure not in ("margin", "entropy"):
            raise ConfigError(f"measure is {self.measure!r}; choose from: entropy, margin")
        if not 0 < self.threshold <= 1:
            raise ConfigError(f"threshold is {self.threshold}; allowed is more than 0 and at most 1; correct it")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return verified rows (m,) in ascending order, one-hot targets (m, c) and weights of 1.

        m is 0 before the first student and without a labelled row.
        """
        rows = sub_pool(view, self.n_sample, rng)
        if view.proba is None or not len(rows) or not view.is_labeled.any():
            return nothing(view)
        rows = rows[self._certainty(view.proba[rows]) >= self.threshold]
        predicted = view.proba[rows].argmax(axis=1)
        kept = is_verified(view, rows, predicted)
        return one_hot(view, rows[kept], predicted[kept], np.ones(int(kept.sum())))

    def _certainty(self, proba: Proba) -> Floats:
        if self.measure == "entropy":
            return 1.0 - entropy(proba)
        best = np.partition(proba, -2, axis=1)
        return np.asarray(best[:, -1] - best[:, -2], dtype=np.float64)
