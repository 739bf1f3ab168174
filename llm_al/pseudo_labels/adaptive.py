"""The default of self-training: by the shape of the pool, as long as the student stands on it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Chosen, check, nothing
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

    Raises
    ------
    ConfigError
        If `n_unlabelled` is negative.
    """

    propagation: Propagation = field(default_factory=Propagation)
    within: Hast = field(default_factory=Hast)
    n_unlabelled: int = 2000

    def __post_init__(self) -> None:
        check(self, n_unlabelled=0)

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
        chosen = self.choose(view, rng)
        return chosen.positions, chosen.targets, chosen.weights

    def choose(self, view: PoolView, rng: np.random.Generator) -> Chosen:
        """Return the same, with the targets that it would give without some labels."""
        return Chosen(*nothing(view)) if view.is_outgrown else self.propagation.choose(view, rng)
