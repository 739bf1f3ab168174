"""CROWDLAB: annotators and a student vote together, each with the weight that it has earned."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llm_al.consensus._correlation import error_correlation, independence
from llm_al.consensus._student import read_student, scaled, temperature_of
from llm_al.consensus._votes import Votes, mask_overruled, measure_annotators, tabulate, to_consensus
from llm_al.errors import ConfigError
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["Crowdlab", "CrowdlabFit"]

Floats = NDArray[np.float64]

_LEAST = 1e-6


@dataclass(frozen=True)
class CrowdlabFit:
    """What CROWDLAB holds of n examples, v voters and the student.

    Parameters
    ----------
    votes : Votes
    posterior : ndarray of shape (n, c + 1)
        The last column is `none_of_these`.
    consensus : ndarray of shape (n,)
        Outcome that the weights were measured against.
    voter_weight : ndarray of shape (v,)
    entry_weight : ndarray, one a vote entry
        Weight of its voter, less what is discounted for correlation, or 0 where people stand against machines.
    student_weight : float
        0 without a student.
    likelihood : float
        P, the share of votes that agree with the consensus.
    temperature : float
        By which the student's logits were divided.
    """

    votes: Votes
    posterior: Floats
    consensus: NDArray[np.intp]
    voter_weight: Floats
    entry_weight: Floats
    student_weight: float
    likelihood: float
    temperature: float


@dataclass(frozen=True)
class Crowdlab:
    """Weighted mean of the votes and of a student's out-of-fold probabilities [1]_.

    With agree_j the agreement of voter j with the co-voters, E the error of always answering the commonest consensus
    label, and err the student's disagreement with the consensus, both over examples with several votes::

        w_j       = max(1e-6, 1 - (1 - agree_j) / E)
        w_student = max(1e-6, 1 - err / E) * sqrt(mean votes per example)
        posterior_i(c) = (w_student p_i(c) + sum_j w_j [P if y_ij = c else (1 - P) / (c - 1)]) / (sum of the weights)

    The consensus starts as the majority (a tie goes to the student's likelier label, then to the list's first), the
    posterior's argmax replaces it, and the weights are estimated once more. The label is the argmax of what comes out;
    the authors' code keeps the argmax of the first pass.

    Differs from the paper: agreements and errors are shrunk to a prior as if that were `strength` examples more, since
    a loop begins with next to no shared examples (0 gives the paper's numbers, and with no example that two annotators
    share, the prior alone counts). Gold is the consensus, and where it is known agreement is with gold. The runs of one
    model are one voter that may split its vote, and correlated models are discounted as in `OneCoin`. `none_of_these`
    is one more class once somebody says it; the student never does.

    Without probabilities of a student, this is voting weighted by agreement.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    people_stand : bool
        Whether the answer of people who agree with each other is the consensus whatever machines say. The student's
        doubt about it shows in the posterior all the same: its label may not be the likeliest then.
    human_agreement, machine_agreement : float
        Means of the priors, in (0, 1).
    strength : float
        Not negative.
    is_calibrated : bool
        Whether the student's probabilities are temperature-scaled on the votes first.
    correlation, correlation_strength : float
        As in `OneCoin`.

    Raises
    ------
    ConfigError
        If a setting is out of its range.

    References
    ----------
    .. [1] Goh, Tkachenko & Mueller (2022). CROWDLAB: Supervised learning to infer consensus labels and quality scores
           for data with multiple annotators. arXiv:2210.06812.
    """

    labels: tuple[str, ...]
    people_stand: bool = True
    human_agreement: float = 0.9
    machine_agreement: float = 0.75
    strength: float = 8.0
    is_calibrated: bool = True
    correlation: float = 0.5
    correlation_strength: float = 20.0

    def __post_init__(self) -> None:
        for name in ("human_agreement", "machine_agreement"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is between 0 and 1; correct it")
        if not 0.0 <= self.correlation <= 1.0:
            raise ConfigError(f"correlation is {self.correlation}; allowed is 0 to 1; correct it")
        if self.strength < 0.0:
            raise ConfigError(f"strength is {self.strength}; allowed is 0 or more; correct it")
        if self.correlation_strength <= 0.0:
            raise ConfigError(
                f"correlation_strength is {self.correlation_strength}; allowed is more than 0; correct it"
            )

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        ShapeError
            If probabilities in `known` are not one for each label.
        """
        fit = self.fit(annotations, known=known)
        consensus = to_consensus(fit.votes, annotations, fit.posterior)
        if self.people_stand:
            consensus = _let_people_stand(fit, consensus)
        return consensus, measure_annotators(annotations, _estimated(fit), known=known)

    def fit(self, annotations: Sequence[Annotation], *, known: Known | None = None) -> CrowdlabFit:
        """Return weights and posteriors."""
        votes = tabulate(annotations, self.labels, known=known)
        proba, has_proba = read_student(votes, known)
        temperature = temperature_of(votes, proba, has_proba) if self.is_calibrated else 1.0
        proba[:, :-1] = scaled(proba[:, :-1], temperature) * has_proba[:, None]
        together = error_correlation(votes, prior=self.correlation, strength=self.correlation_strength)
        worth = independence(votes, together)
        if self.people_stand:
            worth = worth * mask_overruled(votes)
        majority = _majority(votes, proba)
        first = self._weigh(votes, proba, has_proba, consensus=majority, worth=worth)
        best = first.posterior.argmax(axis=1)
        # Rounding must not break what is a tie of the votes.
        is_tie = np.isclose(first.posterior[np.arange(len(best)), majority], first.posterior.max(axis=1, initial=0.0))
        second = np.where(is_tie, majority, best)
        return replace(self._weigh(votes, proba, has_proba, consensus=second, worth=worth), temperature=temperature)

    def _weigh(
        self, votes: Votes, proba: Floats, has_proba: NDArray[np.bool_], *, consensus: NDArray[np.intp], worth: Floats
    ) -> CrowdlabFit:
        prior = np.where(votes.is_human, self.human_agreement, self.machine_agreement)
        n_voters = _n_voters(votes)
        is_shared = n_voters > 1
        chance = self._chance_error(votes, consensus, is_shared)
        agree = self._agreement(votes, n_voters, prior)
        voter_weight = np.maximum(1.0 - (1.0 - agree) / chance, _LEAST)
        likelihood = self._likelihood(votes, consensus, is_shared, prior)
        error = self._student_error(proba, consensus, is_shared & has_proba, has_proba)
        has_votes = n_voters > 0
        mean_votes = float(n_voters[has_votes].mean()) if has_votes.any() else 0.0
        student = max(1.0 - error / chance, _LEAST) * float(mean_votes**0.5) if has_proba.any() else 0.0
        entry_weight = voter_weight[votes.voter] * worth
        posterior = _posterior(
            votes, entry_weight, likelihood, np.asarray(student * proba), student * has_proba.astype(np.float64)
        )
        return CrowdlabFit(votes, posterior, consensus, voter_weight, entry_weight, student, likelihood, 1.0)

    def _shrunk(self, total: ArrayLike, n: ArrayLike, prior: ArrayLike) -> Floats:
        """Return ``total / n``, shrunk; the prior itself where there is nothing else."""
        size = np.asarray(n, dtype=np.float64) + self.strength
        mean = (np.asarray(total) + self.strength * np.asarray(prior)) / np.where(size > 0, size, 1.0)
        return np.asarray(np.where(size > 0, mean, prior), dtype=np.float64)

    def _chance_error(self, votes: Votes, consensus: NDArray[np.intp], is_shared: NDArray[np.bool_]) -> float:
        counts = np.bincount(consensus[is_shared], minlength=votes.n_outcomes)
        n = int(counts.sum())
        even = 1.0 - 1.0 / _n_used(votes)
        return max(float(self._shrunk(float(n - counts.max(initial=0)), float(n), even)), _LEAST)

    def _agreement(self, votes: Votes, n_voters: NDArray[np.intp], prior: Floats) -> Floats:
        """Return the agreement of each voter with co-voters and gold, shape (v,)."""
        others = votes.totals(votes.share)[votes.example, votes.outcome] - votes.share
        gold = votes.gold[votes.example]
        # Where gold is known, co-voters add nothing but their own errors.
        same = votes.share * np.where(gold >= 0, gold == votes.outcome, others)
        n_pairs = votes.share * np.where(gold >= 0, 1.0, n_voters[votes.example] - 1.0)
        v = len(votes.voters)
        agreed, n = np.bincount(votes.voter, same, minlength=v), np.bincount(votes.voter, n_pairs, minlength=v)
        if not self.strength and n.any():
            # The paper's rule for a voter that shares no example: the mean of the others.
            prior = np.full(v, (agreed[n > 0] / n[n > 0]).mean())
        return self._shrunk(agreed, n, prior)

    def _likelihood(
        self, votes: Votes, consensus: NDArray[np.intp], is_shared: NDArray[np.bool_], prior: Floats
    ) -> float:
        right: Floats = votes.totals(votes.share)[np.arange(len(consensus)), consensus]
        share = right[is_shared] / _n_voters(votes)[is_shared]
        mean_prior = float(prior[votes.voter].mean()) if len(votes.voter) else self.human_agreement
        return float(self._shrunk(float(share.sum()), float(is_shared.sum()), mean_prior))

    def _student_error(
        self,
        proba: Floats,
        consensus: NDArray[np.intp],
        is_shared: NDArray[np.bool_],
        has_proba: NDArray[np.bool_],
    ) -> float:
        is_wrong = proba.argmax(axis=1) != consensus if len(proba) else np.zeros(0, dtype=np.bool_)
        overall = float(is_wrong[has_proba].mean()) if has_proba.any() else 0.0
        return float(self._shrunk(float(is_wrong[is_shared].sum()), float(is_shared.sum()), overall))


def _n_voters(votes: Votes) -> NDArray[np.intp]:
    pairs = np.unique(np.stack([votes.example, votes.voter]), axis=1)
    return np.bincount(pairs[0], minlength=len(votes.example_ids))


def _n_used(votes: Votes) -> int:
    """Return how many outcomes there are: the labels, and none of these where it occurs."""
    none = len(votes.labels)
    return none + int((votes.outcome == none).any() or (votes.gold == none).any())


def _majority(votes: Votes, proba: Floats) -> NDArray[np.intp]:
    # Half a vote cannot be tipped by a millionth; a tie can.
    counts = votes.clamped(votes.totals(votes.share).round(9)) + 1e-6 * proba
    return np.asarray(counts.argmax(axis=1), dtype=np.intp) if len(counts) else np.zeros(0, dtype=np.intp)


def _posterior(
    votes: Votes, entry_weight: Floats, likelihood: float, student: Floats, student_weight: Floats
) -> Floats:
    """Return the weighted mean of votes and student, shape (n, c + 1); gold stands."""
    n_used = _n_used(votes)
    wrong = (1.0 - likelihood) / max(n_used - 1, 1)
    weight = votes.share * entry_weight
    by_example = np.bincount(votes.example, weight, minlength=len(votes.example_ids))
    mixed = student + votes.totals(weight * (likelihood - wrong))
    mixed[:, :n_used] += by_example[:, None] * wrong
    total = by_example + student_weight
    return votes.clamped(mixed / np.where(total > 0, total, 1.0)[:, None])


def _let_people_stand(fit: CrowdlabFit, consensus: list[Consensus]) -> list[Consensus]:
    """Give back their word to people who agree; gold is above them."""
    votes = fit.votes
    by_people = votes.totals(np.where(votes.is_human[votes.voter], votes.share, 0.0)) > 0
    names = (*votes.labels, NONE_OF_THESE)
    settled = np.flatnonzero((by_people.sum(axis=1) == 1) & (votes.gold < 0))
    standing = list(consensus)
    for row in settled:
        label, kept = names[int(by_people[row].argmax())], fit.posterior[row, :-1]
        if label == standing[row].label:
            continue
        is_label = label != NONE_OF_THESE and kept.sum() > 0
        posterior = tuple(float(p) for p in kept / kept.sum()) if is_label else (0.0,) * len(kept)
        standing[row] = replace(standing[row], label=label, posterior=posterior)
    return standing


def _estimated(fit: CrowdlabFit) -> dict[str, float]:
    """Return each voter's quality: a weighted mean of its labels' posteriors and its agreement with the consensus."""
    votes, v = fit.votes, len(fit.votes.voters)
    is_shared = (_n_voters(votes) > 1)[votes.example] | (votes.gold >= 0)[votes.example]
    quality = fit.posterior[votes.example, votes.outcome]
    n = np.bincount(votes.voter, votes.share, minlength=v)
    n_shared = np.bincount(votes.voter, votes.share * is_shared, minlength=v)
    agreed = np.bincount(
        votes.voter, votes.share * is_shared * (fit.consensus[votes.example] == votes.outcome), minlength=v
    )
    mean_quality = np.bincount(votes.voter, votes.share * quality, minlength=v) / np.maximum(n, _LEAST)
    people = fit.voter_weight.mean() * n.sum() / max(len(votes.example_ids), 1) if v else 1.0
    w = fit.student_weight / max(fit.student_weight + people, _LEAST)
    blended = w * mean_quality + (1.0 - w) * agreed / np.maximum(n_shared, _LEAST)
    return {name: float(blended[j]) for j, name in enumerate(votes.voters) if n_shared[j] > 0}
