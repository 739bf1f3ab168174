"""Dawid-Skene: votes weighted by how often each voter is right, or by what it takes for what."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._confusion import Confusion, Fit, Prior
from llm_al.consensus._evidence import Evidence, Trust, gather
from llm_al.consensus._settings import check_settings
from llm_al.consensus._votes import measure_annotators, tabulate, to_consensus
from llm_al.errors import ConfigError
from llm_al.types import Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["DawidSkene", "OneCoin"]

Floats = NDArray[np.float64]

_EDGE = 1e-6
_TARGETS = ("answers", "truth")


@dataclass(frozen=True)
class OneCoin:
    """Posterior over labels when voter j is right with probability a_j and otherwise errs evenly [1]_.

    Differs from the paper: one accuracy a voter instead of a confusion matrix, because there are few labels a voter;
    each accuracy has a beta prior; the runs of one model are one voter whose vote is split by their shares, because
    their errors are the same errors; `none_of_these` is an outcome of its own; and an accuracy is learned only from
    examples that another voter answered too, because a voter alone would confirm itself. Before that it is the
    prior's mean.

    The answer of a person stands unless `people_stand` is False: machines vote only where nobody answered or people
    disagree.

    Different models are not independent either: a text that is hard for one is hard for the other, and Dawid and
    Skene's product of odds is far too sure of what both say. Here a machine's log odds are divided by the sum of its
    error correlations with the machines that answered the same example, so that n models of correlation rho count as
    ``n / (1 + (n - 1) rho)``. The correlations are measured where people answered and shrunk to a prior. People answer
    doubtful texts more often, on which models disagree; that makes the measured correlation too small, the prior
    is there against it.

    Where `known` has a student's probabilities, they are the prior of the example, at the temperature at which they
    foretell the votes best; elsewhere the prior is flat.

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
    people_stand : bool
        Whether people who agree are never outvoted by machines or the student.

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
    people_stand: bool = True

    def __post_init__(self) -> None:
        check_settings(
            self,
            open_unit=("human_accuracy", "machine_accuracy"),
            unit=("correlation",),
            positive=("human_strength", "machine_strength", "correlation_strength"),
        )

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes, and accuracies are learned from it.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        ShapeError
            If a student's probabilities are not one a label.
        """
        votes = tabulate(annotations, self.labels, known=known)
        evidence = gather(votes, known, Trust(self.people_stand, self.correlation, self.correlation_strength))
        posterior, accuracy = self._fit(evidence)
        quality = measure_annotators(annotations, evidence.estimated(accuracy), known=known)
        return to_consensus(votes, annotations, posterior), quality

    def _fit(self, evidence: Evidence) -> tuple[Floats, Floats]:
        votes, lesson = evidence.votes, evidence.is_lesson
        mean = np.where(votes.is_human, self.human_accuracy, self.machine_accuracy)
        strength = np.where(votes.is_human, self.human_strength, self.machine_strength)
        n_answers = np.bincount(votes.voter, votes.share * lesson, minlength=len(mean))
        accuracy, posterior = mean, _expect(evidence, mean)
        for _ in range(self.max_steps):
            right = posterior[votes.example, votes.outcome] * votes.share * lesson
            n_right = np.bincount(votes.voter, right, minlength=len(mean))
            accuracy = (mean * strength + n_right) / (strength + n_answers)
            before, posterior = posterior, _expect(evidence, accuracy)
            if np.abs(posterior - before).max(initial=0.0) < self.tolerance:
                break
        return posterior, accuracy


def _expect(evidence: Evidence, accuracy: Floats) -> Floats:
    """Return the posterior over outcomes, shape (n, c + 1), computed in logs."""
    votes, a = evidence.votes, np.clip(accuracy, _EDGE, 1.0 - _EDGE)
    # An entry adds log a to its outcome and log((1 - a) / (L - 1)) to the others; only the difference matters.
    gain = np.log(a) - np.log((1.0 - a) / (votes.n_outcomes - 1))
    logits = evidence.student.prior + votes.totals(votes.share * evidence.weight * gain[votes.voter])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return votes.clamped(odds / odds.sum(axis=1, keepdims=True))


@dataclass(frozen=True)
class DawidSkene:
    """Posterior over labels when each voter takes each label for others with probabilities of its own [1]_.

    Voter j says l where k is true with probability ``e_jkl``. EM finds the matrices, the frequencies of the labels and
    the posteriors; it stops when the evidence changes by less than 1e-5 a vote.

    Differs from the paper. Matrices have pseudo-counts in two tiers: each voter's is shrunk to that of all voters of
    its kind (people or machines), and that one to even errors, so that somebody with ten answers is read as most
    people are. Each class has one pseudo-count more, so that a rare one does not vanish. Gold is clamped. Machines are
    discounted by their correlation and merged by model as in `OneCoin`. A voter is learned about only where somebody
    else speaks too. `none_of_these` is ruled out as long as nobody has said it.

    Where `known` has a student's probabilities, they are the prior of the example in place of the labels'
    frequencies, at the temperature at which they foretell the votes best. A text that misleads one person misleads
    others and so the student that learned from them, and what people and student have in common would count twice. A
    person's log likelihood counts ``vote_weight * (1 - s)`` beside the student, where s is the share of the errors of
    always saying the commonest label that the student avoids, as the votes have it: what it foretells so well is no
    news, and what it does not is likelier a slip.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    people_stand : bool
        Whether people who agree are never outvoted by machines or the student.
    target : {"answers", "truth"}
        What the posterior is about: what one more person would say of the text, or what is true. Where people share a
        habit (they read hate as mere offence), the two differ. Labels on which people may differ are better served by
        "answers": its probabilities are soft labels. Where no person has answered, it is "truth" in any case.
    vote_weight : float
        What a person's vote counts beside a student without skill, in (0, 1]. The default was chosen on train texts
        of md_agreement and davidson_hate.
    human_accuracy, machine_accuracy : float
        Accuracy that the matrices start from, errors spread evenly, in (0, 1).
    kind_strength : float
        How many answers of a true label that start is worth against all voters of the kind.
    strength : float
        How many answers of a true label the kind is worth against one voter.
    correlation, correlation_strength : float
        As in `OneCoin`.
    max_steps : int
        Most EM steps.

    Raises
    ------
    ConfigError
        If a setting is out of its range.

    References
    ----------
    .. [1] Dawid & Skene (1979). Maximum likelihood estimation of observer error-rates using the EM algorithm. Applied
           Statistics 28(1), 20-28.
    """

    labels: tuple[str, ...]
    people_stand: bool = True
    target: Literal["answers", "truth"] = "answers"
    vote_weight: float = 0.8
    human_accuracy: float = 0.9
    machine_accuracy: float = 0.75
    kind_strength: float = 1000.0
    strength: float = 10.0
    correlation: float = 0.5
    correlation_strength: float = 20.0
    max_steps: int = 100

    def __post_init__(self) -> None:
        if self.target not in _TARGETS:
            raise ConfigError(f"target is {self.target!r}; choose from: {', '.join(_TARGETS)}; correct it")
        if not 0.0 < self.vote_weight <= 1.0:
            raise ConfigError(f"vote_weight is {self.vote_weight}; allowed is more than 0, to 1; correct it")
        check_settings(
            self,
            open_unit=("human_accuracy", "machine_accuracy"),
            unit=("correlation",),
            positive=("kind_strength", "strength", "correlation_strength"),
        )

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes, and confusions are learned from it.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        ShapeError
            If a student's probabilities are not one a label.
        """
        votes = tabulate(annotations, self.labels, known=known)
        evidence = gather(votes, known, Trust(self.people_stand, self.correlation, self.correlation_strength))
        fit = self._fit(evidence)
        quality = measure_annotators(annotations, evidence.estimated(fit.accuracy), known=known)
        foretold = (self.target == "answers") & (votes.votes_of_people.sum(axis=1) > 0.0)
        posterior = np.where(foretold[:, None], fit.answer, fit.posterior)
        if self.people_stand:
            posterior = votes.with_people_standing(posterior)
        return to_consensus(votes, annotations, posterior), quality

    def _fit(self, evidence: Evidence) -> Fit:
        votes = evidence.votes
        student = evidence.student
        is_discounted = votes.is_human[votes.voter] & student.is_heard[votes.example]
        weight = evidence.weight * np.where(is_discounted, self.vote_weight * (1.0 - student.skill), 1.0)
        prior = Prior(self._mean(votes.n_outcomes), self.kind_strength, self.strength)
        lesson = evidence.is_lesson.astype(np.float64)
        return Confusion(votes, weight, lesson, student, prior).run(self.max_steps)

    def _mean(self, n_outcomes: int) -> Floats:
        """Return the matrices of a machine and of a person that err evenly, shape (2, c + 1, c + 1)."""
        mean = np.empty((2, n_outcomes, n_outcomes))
        for kind, accuracy in enumerate((self.machine_accuracy, self.human_accuracy)):
            mean[kind] = (1.0 - accuracy) / (n_outcomes - 1)
            np.fill_diagonal(mean[kind], accuracy)
        return mean
