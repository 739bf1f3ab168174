"""EM over confusion matrices that are shrunk to what voters of their kind have in common."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import logsumexp

from llm_al.consensus._opinion import Opinion
from llm_al.consensus._votes import Votes

Floats = NDArray[np.float64]

_CLASS_PSEUDO_COUNT = 1.0
"""Added to each class, so that a rare one does not vanish."""
_NEVER = 1e-12
_PER_VOTE = 1e-5
"""EM stops when the evidence gains less than this a vote."""


@dataclass(frozen=True)
class Prior:
    """Where confusion matrices start from.

    Parameters
    ----------
    mean : ndarray of shape (2, c + 1, c + 1)
        Of a machine and of a person; rows are true outcomes and sum to 1.
    kind_strength : float
        How many answers of an outcome the mean is worth against those of all voters of the kind.
    strength : float
        How many answers of an outcome the kind is worth against those of one voter.
    """

    mean: Floats
    kind_strength: float
    strength: float


@dataclass(frozen=True)
class Fit:
    """What EM ended with.

    Parameters
    ----------
    posterior : ndarray of shape (n, c + 1)
        Of what is true.
    answer : ndarray of shape (n, c + 1)
        Of what one more person would say.
    accuracy : ndarray of shape (v,)
        Share of a voter's answers that are right, shrunk to the prior.
    """

    posterior: Floats
    answer: Floats
    accuracy: Floats


class Confusion:
    """EM for one table of votes.

    Parameters
    ----------
    votes : Votes
    weight : ndarray of shape (m,)
        What each entry counts for its example.
    lesson : ndarray of shape (m,)
        What each entry counts when its voter is learned about.
    student : Opinion
    prior : Prior
    """

    def __init__(self, votes: Votes, weight: Floats, lesson: Floats, student: Opinion, prior: Prior) -> None:
        self._votes, self._prior, self._student = votes, prior, student
        n = len(votes.example_ids)
        pairs, pair_of = np.unique(votes.voter * votes.n_outcomes + votes.outcome, return_inverse=True)
        self._voter, self._outcome = pairs // votes.n_outcomes, pairs % votes.n_outcomes
        self._kind = votes.is_human.astype(np.intp)
        # Sums over entries as products of sparse matrices, examples by pairs of voter and outcome, and back.
        self._to_example = csr_array((votes.share * weight, (votes.example, pair_of)), shape=(n, len(pairs)))
        self._to_pair = csr_array((votes.share * lesson, (pair_of, votes.example)), shape=(len(pairs), n))
        self._n_votes = max(float((votes.share * weight).sum()), 1.0)
        self._is_open = bool((votes.outcome == len(votes.labels)).any() or (votes.gold == len(votes.labels)).any())

    def run(self, max_steps: int) -> Fit:
        """Return the end of at most `max_steps` steps that begin with matrices at their prior."""
        learned = self._prior.mean[self._kind[self._voter], :, self._outcome]
        classes = self._class_prior(np.zeros((0, self._votes.n_outcomes)))
        posterior, evidence = self._expect(np.log(learned), classes)
        for _ in range(max_steps):
            before, counts = evidence, self._to_pair @ posterior
            learned, classes = self._matrices(counts), self._class_prior(posterior)
            posterior, evidence = self._expect(np.log(learned), classes)
            if abs(evidence - before) < _PER_VOTE:
                break
        counts = self._to_pair @ posterior
        return Fit(posterior, self._votes.clamped(posterior) @ self._pooled(counts)[1], self._accuracy(counts))

    def _expect(self, log_learned: Floats, classes: Floats) -> tuple[Floats, float]:
        """Return the posterior, shape (n, c + 1), and the logarithm of the evidence a vote."""
        prior = np.tile(classes, (len(self._votes.example_ids), 1))
        # A student has seen how frequent the labels are; of their prior only what it cannot say is kept.
        prior[self._student.is_heard, :-1] = 0.0
        logits = prior + self._student.prior + self._to_example @ log_learned
        total = logsumexp(logits, axis=1, keepdims=True) if len(logits) else np.zeros((0, 1))
        return self._votes.clamped(np.exp(logits - total)), float(total.sum()) / self._n_votes

    def _class_prior(self, posterior: Floats) -> Floats:
        """Return log frequencies, shape (c + 1,); `none_of_these` is ruled out as long as nobody has said it."""
        counts = posterior.sum(axis=0) + _CLASS_PSEUDO_COUNT
        if not self._is_open:
            counts[-1] = _NEVER
        return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)

    def _pooled(self, counts: Floats) -> Floats:
        """Return what voters of a kind have in common, shape (2, c + 1, c + 1)."""
        said = np.zeros((2, self._votes.n_outcomes, self._votes.n_outcomes))
        np.add.at(said, (self._kind[self._voter], self._outcome), counts)
        pooled = self._prior.mean * self._prior.kind_strength + said.transpose(0, 2, 1)
        return np.asarray(pooled / pooled.sum(axis=2, keepdims=True), dtype=np.float64)

    def _matrices(self, counts: Floats) -> Floats:
        """Return the probability of each (voter, outcome) pair given each true outcome, shape (pairs, c + 1).

        `counts` has the same shape: how often a voter said the outcome where each outcome was true.
        """
        usual = self._pooled(counts)[self._kind[self._voter], :, self._outcome]
        totals = np.zeros((len(self._votes.voters), self._votes.n_outcomes))
        np.add.at(totals, self._voter, counts)
        strength = self._prior.strength
        return np.asarray((strength * usual + counts) / (strength + totals[self._voter]), dtype=np.float64)

    def _accuracy(self, counts: Floats) -> Floats:
        n_voters, strength = len(self._votes.voters), self._prior.strength
        right = np.bincount(self._voter, counts[np.arange(len(counts)), self._outcome], minlength=n_voters)
        total = np.bincount(self._voter, counts.sum(axis=1), minlength=n_voters)
        usual = self._prior.mean[self._kind, 0, 0]
        return np.asarray((strength * usual + right) / (strength + total), dtype=np.float64)
