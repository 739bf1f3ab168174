"""The default of self-training: by the shape of the pool, as long as the student stands on it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Chosen, check, nothing, sub_pool
from llm_al.pseudo_labels.hast import Hast
from llm_al.pseudo_labels.propagation import Propagation
from llm_al.types import Embeddings, Positions, Proba

__all__ = ["Adaptive"]


@dataclass(frozen=True)
class Adaptive:
    """Propagate labels over the pool for a student on frozen vectors; let a fine-tuned student train itself.

    A student that changed its encoder knows more than the frozen vectors can teach it. It is trained on labels, and
    then on what it holds of a draw of unlabelled texts, within each round and from the start: labels that come back
    round after round confirm themselves (on trec6 the fine-tuned student fell from .87 to .68 at 70 labels that way).

    Parameters
    ----------
    propagation : Propagation
    within : Hast
        What a fine-tuned student trains itself on.
    n_unlabelled : int
        Texts that a fine-tuned student draws; 0 leaves it to its labels.
    min_labels : int
    min_labels_per_class : float
        With fewer labels than either allows it draws none: what it would teach itself is wrong too often. On held-out
        rows of trec6 (two seeds) self-training gave .871 to .874 with 60 labels and .879 to .892 with 80. On banking77
        with 385 labels, 5 a class, the fine-tuned encoder alone was .837 without and .835 with it, and pooled with a
        head .849 and .853.

    Notes
    -----
    Held-out rows of trec6, two seeds, mean of 110 and 130 labels: .895 without self-training; .897 with 1,000 texts
    after .4 of the steps on labels (see `Transformer.own_start`), .899 after .7 of them, .900 after all.

    Raises
    ------
    ConfigError
        If `n_unlabelled`, `min_labels` or `min_labels_per_class` is negative.
    """

    propagation: Propagation = field(default_factory=Propagation)
    within: Hast = field(default_factory=Hast)
    n_unlabelled: int = 1000
    min_labels: int = 60
    min_labels_per_class: float = 5.0

    def __post_init__(self) -> None:
        check(self, n_unlabelled=0, min_labels=0, min_labels_per_class=0)

    def draw(self, view: PoolView, rng: np.random.Generator) -> Positions:
        """Return rows without a label, (u,) ascending, on which a student may train itself; u may be 0.

        One that stands on the frozen vectors is no worse with few labels than with many, and needs no `min_labels`.
        """
        least = self.min_labels if view.is_outgrown else 0
        is_enough = int(view.is_labeled.sum()) >= max(least, self.min_labels_per_class * view.n_classes)
        return sub_pool(view, self.n_unlabelled, rng) if is_enough else np.zeros(0, dtype=np.intp)

    def own_labels(
        self, features: Embeddings, proba: Proba, rng: np.random.Generator
    ) -> tuple[Positions, NDArray[np.float64]]:
        """Return which of its own labels a student may learn from within a round, by its own features, as HAST does.

        Parameters
        ----------
        features : ndarray of shape (u, d)
            Unit rows, of texts without a label.
        proba : ndarray of shape (u, c)
        rng : Generator

        Returns
        -------
        tuple of ndarray
            Rows (k,) in ascending order, and their weights (k,).
        """
        unknown = np.full(len(proba), -1, dtype=np.int64)
        view = PoolView([""] * len(proba), features, proba.shape[1], unknown, unknown < 0, proba)
        rows, _, weights = self.within.pseudo_label(view, rng)
        return rows, weights

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return rows (m,) in ascending order, soft targets (m, c) and positive weights (m,)."""
        return self.choose(view, rng).plain

    def choose(self, view: PoolView, rng: np.random.Generator) -> Chosen:
        """Return the same, with the targets that it would give without some labels."""
        return Chosen(*nothing(view)) if view.is_outgrown else self.propagation.choose(view, rng)
