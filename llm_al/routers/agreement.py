"""How far several answers about one example agree: over prompts, over models, over both."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from llm_al.types import SKIP, Annotation

__all__ = ["Ballots", "count_ballots", "smoothed_agreement"]


def smoothed_agreement(count: float, n_votes: int, n_classes: int) -> float:
    """Return ``(count + 1/c) / (n_votes + 1)``: a share that few votes cannot push to 1.

    Examples
    --------
    >>> smoothed_agreement(3, 3, 10)
    0.775
    """
    return (count + 1.0 / n_classes) / (n_votes + 1.0)


@dataclass(frozen=True)
class Ballots:
    """The valid answers about one example, by model; an annotator without a model is a model of its own.

    Parameters
    ----------
    votes : mapping of str to Counter
        Model to how many of its answers name each label, `none_of_these` included.
    """

    votes: Mapping[str, Counter[str]] = field(default_factory=dict)

    @property
    def n_valid(self) -> int:
        """Answers that name a label or `none_of_these`."""
        return sum(votes.total() for votes in self.votes.values())

    def model_shares(self, label: str) -> dict[str, float]:
        """Return the share of each model's answers that name `label`."""
        return {model: votes[label] / votes.total() for model, votes in sorted(self.votes.items())}

    def shares(self) -> dict[str, float]:
        """Return each label's share when every model has one vote, split by its prompts."""
        names = sorted({label for votes in self.votes.values() for label in votes})
        return {label: sum(self.model_shares(label).values()) / len(self.votes) for label in names}

    def agreement(self, label: str, n_classes: int) -> float:
        """Return the smoothed share of `label`: models count alike, all answers count as votes."""
        return smoothed_agreement(self.shares().get(label, 0.0) * self.n_valid, self.n_valid, n_classes)

    def model_agreement(self, label: str, n_classes: int) -> float | None:
        """Return the smoothed share of models for `label`; None with one model only."""
        if len(self.votes) < 2:
            return None
        return smoothed_agreement(sum(self.model_shares(label).values()), len(self.votes), n_classes)

    def prompt_agreement(self, label: str, n_classes: int) -> float | None:
        """Return the smoothed share of one model's prompts for `label`, averaged over models that had several."""
        several = [votes for votes in self.votes.values() if votes.total() > 1]
        if not several:
            return None
        return float(np.mean([smoothed_agreement(votes[label], votes.total(), n_classes) for votes in several]))


def count_ballots(answers: Sequence[Annotation]) -> Ballots:
    """Sort valid answers by model; abstentions and skips are no votes."""
    votes: dict[str, Counter[str]] = {}
    for answer in answers:
        if answer.label is not None and answer.label != SKIP:
            votes.setdefault(answer.model or answer.source, Counter())[answer.label] += 1
    return Ballots(votes)
