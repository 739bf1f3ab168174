"""One-coin Dawid-Skene: votes weighted by how often each voter is right."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._correlation import error_correlation, independence
from llm_al.consensus._votes import Votes, mask_overruled, measure_annotators, tabulate, to_consensus
from llm_al.errors import ConfigError
from llm_al.types import Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["OneCoin"]

Floats = NDArray[np.float64]

_EDGE = 1e-6


@dataclass(frozen=True)
class OneCoin:
    """Posterior over labels when voter j is right with probability a_j and otherwise errs evenly [1]_.

    Differs from the paper: one accuracy a voter instead of a confusion matrix, because there are few labels a voter;
    each accuracy has a beta prior; the runs of one model are one voter whose vote is split by their shares, because
    their errors are the same errors; `none_of_these` is an outcome of its own; and an accuracy is learned only from
    examples that another voter answered too, because a voter alone would confirm itself. Before that it is the
    prior's mean.

    The answer of a person stands: machines vote only where nobody answered or people disagree.

    Different models are not independent either: a text that is hard for one is hard for the other, and Dawid and
    Skene's product of odds is far too sure of what both say. Here a machine's log odds are divided by the sum of its
    error correlations with the machines that answered the same example, so that n models of correlation rho count as
    ``n / (1 + (n - 1) rho)``. The correlations are measured where people answered and shrunk to a prior. People answer
    doubtful texts more often, on which models disagree; that makes the measured correlation too small, the prior
    is there against it.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    human_accuracy, human_strength : float
        Mean of the prior for people, and how many answers it is worth. The default makes them nearly gold.
    machine_accuracy, machine_strength : float
        The same for models and rules.
    correlation, correlation_strength : float
        Mean of the prior for the correlation of two machines' errors, in [0, 1], and how many answers of people it is
        worth. Pairs of language models on banking77 and tweeteval were measured at 0.4 to 0.7.
    max_steps : int
        Most EM steps.
    tolerance : float
        Largest change of a posterior at which EM stops.

    Raises
    ------
    ConfigError
        If an accuracy is outside (0, 1), the correlation outside [0, 1] or a strength is not positive.

    References
    ----------
    .. [1] Dawid & Skene (1979). Maximum likelihood estimation of observer error-rates using the EM algorithm. Applied
           Statistics 28(1), 20-28.
    """

    labels: tuple[str, ...]
    human_accuracy: float = 0.98
    human_strength: float = 200.0
    machine_accuracy: float = 0.75
    machine_strength: float = 8.0
    correlation: float = 0.5
    correlation_strength: float = 20.0
    max_steps: int = 100
    tolerance: float = 1e-6

    def __post_init__(self) -> None:
        for name in ("human_accuracy", "machine_accuracy"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is between 0 and 1; correct it")
        if not 0.0 <= self.correlation <= 1.0:
            raise ConfigError(f"correlation is {self.correlation}; allowed is 0 to 1; correct it")
        for name in ("human_strength", "machine_strength", "correlation_strength"):
            if getattr(self, name) <= 0.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is more than 0; correct it")

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes, and accuracies are learned from it.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        """
        votes = tabulate(annotations, self.labels, known=known)
        posterior, accuracy = self._fit(votes)
        is_shared = _is_shared(votes)
        learned = np.bincount(votes.voter[is_shared], minlength=len(votes.voters)) > 0
        estimated = {name: float(a) for name, a, known in zip(votes.voters, accuracy, learned, strict=True) if known}
        return to_consensus(votes, annotations, posterior), measure_annotators(annotations, estimated, known=known)

    def _fit(self, votes: Votes) -> tuple[Floats, Floats]:
        mean = np.where(votes.is_human, self.human_accuracy, self.machine_accuracy)
        strength = np.where(votes.is_human, self.human_strength, self.machine_strength)
        together = error_correlation(votes, prior=self.correlation, strength=self.correlation_strength)
        weight, shared = mask_overruled(votes) * independence(votes, together), _is_shared(votes)
        n_answers = np.bincount(votes.voter, votes.share * shared, minlength=len(mean))
        accuracy, posterior = mean, votes.clamped(_expect(votes, weight, mean))
        for _ in range(self.max_steps):
            right = posterior[votes.example, votes.outcome] * votes.share * shared
            n_right = np.bincount(votes.voter, right, minlength=len(mean))
            accuracy = (mean * strength + n_right) / (strength + n_answers)
            before, posterior = posterior, votes.clamped(_expect(votes, weight, accuracy))
            if np.abs(posterior - before).max(initial=0.0) < self.tolerance:
                break
        return posterior, accuracy


def _expect(votes: Votes, weight: Floats, accuracy: Floats) -> Floats:
    """Return the posterior over outcomes, shape (n, c + 1), under a flat prior, computed in logs."""
    a = np.clip(accuracy, _EDGE, 1.0 - _EDGE)
    # An entry adds log a to its outcome and log((1 - a) / (L - 1)) to the others; only the difference matters.
    gain = np.log(a) - np.log((1.0 - a) / (votes.n_outcomes - 1))
    logits = votes.totals(votes.share * weight * gain[votes.voter])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)


def _is_shared(votes: Votes) -> NDArray[np.bool_]:
    """Entries on examples that more than one voter answered, or whose label is gold."""
    pairs = np.unique(np.stack([votes.example, votes.voter]), axis=1)
    n_voters = np.bincount(pairs[0], minlength=len(votes.example_ids))
    is_shared = (n_voters > 1) | (votes.gold >= 0)
    return np.asarray(is_shared[votes.example], dtype=np.bool_)
