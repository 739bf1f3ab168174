"""The default of self-training: by the shape of the pool, as long as the student stands on it."""

from dataclasses import dataclass, field

import numpy as np

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Chosen, nothing
from llm_al.pseudo_labels.propagation import Propagation

__all__ = ["Adaptive"]


@dataclass(frozen=True)
class Adaptive:
    """Propagate labels over the pool for a student on frozen vectors; leave a fine-tuned student to its labels.

    A student that changed its encoder knows more than the frozen vectors can teach it. Its own labels, on the other
    hand, confirm themselves when they come back round after round: on trec6 the fine-tuned student fell from .87 to
    .68 at 70 labels that way. What the pool can teach such a student it is taught once, after the last round, by
    distillation from students that have seen labels only.

    Parameters
    ----------
    propagation : Propagation
    """

    propagation: Propagation = field(default_factory=Propagation)

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return rows (m,) in ascending order, soft targets (m, c) and positive weights (m,)."""
        chosen = self.choose(view, rng)
        return chosen.positions, chosen.targets, chosen.weights

    def choose(self, view: PoolView, rng: np.random.Generator) -> Chosen:
        """Return the same, with the targets that it would give without some labels."""
        return Chosen(*nothing(view)) if view.is_outgrown else self.propagation.choose(view, rng)
