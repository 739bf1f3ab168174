"""Keep a student's own labels from confirming themselves round after round."""

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Chosen, is_verified

__all__ = ["witnessed"]


def witnessed(view: PoolView, chosen: Chosen) -> Chosen:
    """Return the rows whose label a head gives too that learned from the known labels alone.

    A student that learned from its own labels gives them again, right or wrong, while people's labels that speak
    against them are few beside them. The head has never seen one of them. It is also what the guard lets give them in
    its folds, so that what it tests is what the student learns from. `Verips` asks such a head of its own accord.

    Parameters
    ----------
    view : PoolView
        With at least one known label where rows are chosen.
    chosen : Chosen
        Rows that a strategy can give anew without some labels are no student's own; all of these stay. So do those
        of a student that changed its encoder (`PoolView.is_outgrown`): a head on frozen vectors knows less than that.

    Notes
    -----
    Held-out rows of trec6, loops of 30 to 130 labels with a `head`, six seeds, accuracy as the mean of the curve and at
    its end: without pseudo-labels .848 and .867; `ust` .829 and .844 without this, .857 and .880 with it; `hast` .838
    and .854, .854 and .877. Two loops fell or stayed low by it: one from .862 to .818 when it began to learn from its
    own labels, one began at .693 with 30 labels and ended at .767, where people's labels alone ended at .885.
    """
    if chosen.without is not None or view.is_outgrown:
        return chosen
    return chosen.at(is_verified(view, chosen.positions, chosen.targets.argmax(axis=1)))
