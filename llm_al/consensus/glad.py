"""GLAD: able annotators and hard examples."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp

from llm_al.consensus._evidence import Evidence, Trust, gather
from llm_al.consensus._settings import check_settings
from llm_al.consensus._votes import measure_annotators, tabulate, to_consensus
from llm_al.types import Annotation, AnnotatorQuality, Consensus, Known

__all__ = ["Glad"]

Floats = NDArray[np.float64]

_CLASS_PSEUDO_COUNT = 1.0
_PER_VOTE = 1e-5


@dataclass(frozen=True)
class Glad:
    """Posterior over labels when voter j is right about example i with probability ``1 / (1 + exp(-a_j b_i))`` [1]_.

    The ability a_j may be negative; ``1 / b_i`` is the difficulty of the example, always positive. Errors fall on the
    other outcomes evenly. EM, where each M-step maximises the expected log posterior of all abilities and of all
    ``log b_i`` together; it stops when the evidence changes by less than 1e-5 a vote.

    Differs from the paper: the normal priors have means and spreads of their own (the paper's are 1 and 1, for both),
    more than two outcomes are taken from its supplement, gold is clamped, and each class has one pseudo-count in the
    class prior. Machines are discounted by their correlation and merged by model as in `OneCoin`. A student's
    probabilities, where `known` has them, are the prior of the example.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    people_stand : bool
        Whether people who agree are never outvoted by machines or the student.
    ability, ability_spread : float
        Mean and standard deviation of the prior of a_j. At b = 1, 1.4 is an accuracy of 0.8.
    difficulty_spread : float
        Standard deviation of the prior of ``log b_i``, whose mean is 0.
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
    .. [1] Whitehill, Ruvolo, Wu, Bergsma & Movellan (2009). Whose vote should count more: optimal integration of
           labels from labelers of unknown expertise. NIPS 2009.
    """

    labels: tuple[str, ...]
    people_stand: bool = True
    ability: float = 1.4
    ability_spread: float = 1.0
    difficulty_spread: float = 0.5
    correlation: float = 0.5
    correlation_strength: float = 20.0
    max_steps: int = 50

    def __post_init__(self) -> None:
        positive = ("ability_spread", "difficulty_spread", "correlation_strength")
        check_settings(self, unit=("correlation",), positive=positive)

    def aggregate(
        self, annotations: Sequence[Annotation], *, known: Known | None = None
    ) -> tuple[list[Consensus], list[AnnotatorQuality]]:
        """Return one consensus an example in order of first appearance, and one quality an annotator.

        Gold stands whatever the votes, and abilities are learned from it. The accuracy of an annotator who was
        compared with nobody is the one on an example of difficulty 1.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        ShapeError
            If a student's probabilities are not one a label.
        """
        votes = tabulate(annotations, self.labels, known=known)
        evidence = gather(votes, known, Trust(self.people_stand, self.correlation, self.correlation_strength))
        posterior, ability, _ = self.fit(evidence)
        if self.people_stand:
            posterior = votes.with_people_standing(posterior)
        quality = measure_annotators(annotations, evidence.estimated(expit(ability)), known=known)
        return to_consensus(votes, annotations, posterior), quality

    def fit(self, evidence: Evidence) -> tuple[Floats, Floats, Floats]:
        """Return the posterior, shape (n, c + 1), abilities, shape (v,), and log b of the examples, shape (n,)."""
        votes = evidence.votes
        x = np.concatenate([np.full(len(votes.voters), self.ability), np.zeros(len(votes.example_ids))])
        posterior, bound = _expect(evidence, x, np.zeros((0, votes.n_outcomes)))
        for _ in range(self.max_steps if len(votes.voter) else 0):
            # A few steps are enough: the next E-step moves the optimum anyway.
            x = minimize(self.loss(evidence, posterior), x, jac=True, method="L-BFGS-B", options={"maxiter": 20}).x
            before = bound
            posterior, bound = _expect(evidence, x, posterior)
            if abs(bound - before) < _PER_VOTE:
                break
        return posterior, x[: len(votes.voters)], x[len(votes.voters) :]

    def loss(self, evidence: Evidence, posterior: Floats) -> Callable[[Floats], tuple[float, Floats]]:
        """Return minus the expected log posterior of abilities and log b, one after the other, and its slope."""
        votes, n_voters = evidence.votes, len(evidence.votes.voters)
        right = posterior[votes.example, votes.outcome]
        count = votes.share * evidence.is_lesson

        def loss(x: Floats) -> tuple[float, Floats]:
            ability, log_b = x[:n_voters], x[n_voters:]
            b = np.exp(log_b)[votes.example]
            z = ability[votes.voter] * b
            value = count @ (right * log_expit(z) + (1.0 - right) * log_expit(-z))
            slope = count * (right - expit(z))
            off, hard = (ability - self.ability) / self.ability_spread, log_b / self.difficulty_spread
            to_ability = np.bincount(votes.voter, slope * b, n_voters) - off / self.ability_spread
            to_b = np.bincount(votes.example, slope * z, len(log_b)) - hard / self.difficulty_spread
            penalty = (off @ off + hard @ hard) / 2.0
            return float(penalty - value), -np.concatenate([to_ability, to_b])

        return loss


def _expect(evidence: Evidence, x: Floats, before: Floats) -> tuple[Floats, float]:
    """Return the posterior under abilities and log b, and the logarithm of the evidence a vote."""
    votes, n_voters = evidence.votes, len(evidence.votes.voters)
    z = x[:n_voters][votes.voter] * np.exp(x[n_voters:])[votes.example]
    wrong = log_expit(-z) - np.log(votes.n_outcomes - 1)
    count = votes.share * evidence.weight
    logits = _log_prior(evidence, before) + votes.totals(count * (log_expit(z) - wrong))
    logits += np.bincount(votes.example, count * wrong, len(votes.example_ids))[:, None]
    total = logsumexp(logits, axis=1, keepdims=True) if len(logits) else np.zeros((0, 1))
    return votes.clamped(np.exp(logits - total)), float(total.sum()) / max(float(count.sum()), 1.0)


def _log_prior(evidence: Evidence, posterior: Floats) -> Floats:
    """Return the student's opinion where it has one, else the log frequencies of the classes; shape (n, c + 1)."""
    classes = np.log(posterior.sum(axis=0) + _CLASS_PSEUDO_COUNT)
    return np.where(evidence.student.is_heard[:, None], evidence.student.prior, classes - logsumexp(classes))
