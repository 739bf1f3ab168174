"""The default of self-training: by the shape of the pool, as long as the student stands on it."""

from dataclasses import dataclass, field

import numpy as np

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Chosen, check, nothing
from llm_al.pseudo_labels.propagation import Propagation

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
    n_unlabelled : int
        Texts that a fine-tuned student draws; 0 leaves it to its labels.

    Raises
    ------
    ConfigError
        If `n_unlabelled` is negative.
    """

    propagation: Propagation = field(default_factory=Propagation)
    n_unlabelled: int = 2000

    def __post_init__(self) -> None:
        check(self, n_unlabelled=0)

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return rows (m,) in ascending order, soft targets (m, c) and positive weights (m,)."""
        chosen = self.choose(view, rng)
        return chosen.positions, chosen.targets, chosen.weights

    def choose(self, view: PoolView, rng: np.random.Generator) -> Chosen:
        """Return the same, with the targets that it would give without some labels."""
        return Chosen(*nothing(view)) if view.is_outgrown else self.propagation.choose(view, rng)
