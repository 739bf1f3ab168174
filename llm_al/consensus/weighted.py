"""Votes weighted by how often each voter was right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from llm_al.consensus._settings import check_settings
from llm_al.consensus._votes import Votes, mask_overruled, measure_annotators, tabulate, to_consensus
from llm_al.types import Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["Weighted"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weighted:
    """Each vote counts the log odds of its voter's measured accuracy, people and machines alike [1]_.

    A voter who is right with probability a, and otherwise says each of the L - 1 other outcomes equally often, counts
    ``log(a (L - 1) / (1 - a))``, and 0 below chance. The accuracy is measured once, against gold where there is gold,
    else against what most of the *other* voters say (a tie is nothing), and shrunk to a prior. Nothing is iterated:
    what a voter is worth can be checked by counting. The posterior is the softmax of the sums; `none_of_these` is an
    outcome like the labels. A student's probabilities are no votes.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them; L = c + 1.
    people_stand : bool
        Whether people who agree are never outvoted by machines.
    accuracy : float
        Mean of the prior, in (0, 1).
    strength : float
        How many answers the prior is worth.

    Raises
    ------
    ConfigError
        If a setting is out of its range.

    References
    ----------
    .. [1] Nitzan & Paroush (1982). Optimal decision rules in uncertain dichotomous choice situations. International
           Economic Review 23(2), 289-297.
    """

    labels: tuple[str, ...]
    people_stand: bool = True
    accuracy: float = 0.8
    strength: float = 10.0

    def __post_init__(self) -> None:
        check_settings(self, open_unit=("accuracy",), positive=("strength",))

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        """
        votes = tabulate(annotations, self.labels, known=known)
        right, n = _measured(votes)
        accuracy = (self.accuracy * self.strength + right) / (self.strength + n)
        odds = np.log(accuracy) - np.log((1.0 - accuracy) / (votes.n_outcomes - 1))
        weight = mask_overruled(votes) if self.people_stand else np.ones(len(votes.voter))
        posterior = softmax(votes.totals(votes.share * weight * np.maximum(odds, 0.0)[votes.voter]), axis=1)
        if self.people_stand:
            posterior = votes.with_people_standing(posterior)
        estimated = {name: float(a) for name, a, m in zip(votes.voters, accuracy, n, strict=True) if m > 0.0}
        return to_consensus(votes, annotations, posterior), measure_annotators(annotations, estimated, known=known)


def _measured(votes: Votes) -> tuple[Floats, Floats]:
    """Return how often each voter was right and how often there was something to compare with, both of shape (v,)."""
    key = votes.example * max(len(votes.voters), 1) + votes.voter
    ballots, ballot_of = np.unique(key, return_inverse=True)
    example, voter = ballots // max(len(votes.voters), 1), ballots % max(len(votes.voters), 1)
    own = np.zeros((len(ballots), votes.n_outcomes))
    np.add.at(own, (ballot_of, votes.outcome), votes.share)
    # Rounding keeps shares such as 1/3 + 2/3 and 2/3 + 1/3 a tie.
    others = (votes.totals(votes.share)[example] - own).round(9)
    has_gold = votes.gold[example] >= 0
    truth = np.where(has_gold, votes.gold[example], others.argmax(axis=1))
    best = others.max(axis=1, keepdims=True)
    is_clear = has_gold | ((best[:, 0] > 0.0) & ((others == best).sum(axis=1) == 1))
    right = own[np.arange(len(ballots)), truth] * is_clear
    n_voters = len(votes.voters)
    n = np.bincount(voter, is_clear.astype(np.float64), n_voters)
    return np.bincount(voter, right, n_voters).astype(np.float64), n.astype(np.float64)
