"""What LLMs take for what: one noise matrix a voter, few human labels to learn it from, and EM over the rest."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, ShapeError
from llm_al.pseudo_labels._agreement import Votes, excess_correlation, independent_share
from llm_al.types import Proba

__all__ = ["NoiseFit", "NoiseModel"]

Floats = NDArray[np.float64]

_LEAST = 1e-4
_CHANGE = 1e-3


@dataclass(frozen=True, eq=False)
class NoiseFit:
    """Noise matrices, and what rows are by them.

    Parameters
    ----------
    matrices : ndarray of shape (j, c, c)
        ``matrices[j, y, v]`` is the probability that voter j says v where y is true.
    discounts : ndarray of shape (j,)
        What a vote counts on average beside the others on its row, in (0, 1].
    posterior : ndarray of shape (m, c)
        Of the rows that were fitted; known rows have their known targets.
    correlation : ndarray of shape (j, j)
        How dependent voters are, given what is true.
    """

    matrices: Floats
    discounts: Floats
    posterior: Proba
    correlation: Floats

    @property
    def accuracies(self) -> Floats:
        """How often each voter is right by its matrix, on the rows that were fitted, shape (j,)."""
        share = self.posterior.mean(axis=0)
        return np.asarray(np.diagonal(self.matrices, axis1=1, axis2=2) @ share, dtype=np.float64)


@dataclass(frozen=True)
class NoiseModel:
    """Estimate a class-conditional noise matrix of each voter, and correct the student's view of each row by it.

    Voter j says v where y is true with probability ``T_j[y, v]``. Pairs of a person's and an LLM's label are few: a
    matrix of c by c cells is learned from a label or two a class. So each row is shrunk, with `strength` answers, to a
    mixture of "right" and "says what the voter likes to say", whose share is the voter's accuracy. EM adds the rows
    that no person has labelled: their truth is the student's probability, corrected by the vote, as in [1]_ with a
    student for the prior.

    That correction is the forward correction of [2]_. There the student's loss on a noisy label v is ``-log sum_y p(y |
    x) T[y, v]``. Maximising this likelihood by EM means: soft targets ``q(y)`` in proportion to ``p(y | x) prod_j
    T_j[y, v_j]``, then an ordinary cross-entropy step on q. The two have the same stationary points, so any student
    that learns from soft targets, linear or deep, learns from corrected LLM labels without a loss of its own.

    Differs from the papers. Prompts of one model, and models of one kind, err together. So each matrix is learned with
    its own voter and the student alone: learned together, voters that err together confirm each other. And the
    exponent of ``T_j`` is not 1 but what a vote counts beside the others on its row, by their correlation. That is
    taken from how much more often two voters agree than their matrices explain; it needs no human labels.

    Parameters
    ----------
    strength : float
        How many answers of a true class the mixture is worth. Positive.
    accuracy, accuracy_strength : float
        Share of right answers that a voter starts from, in (0, 1), and how many answers that is worth.
    known_weight : float
        What a row that people labelled counts in the matrices; another row counts 1. Positive.
    discount : float or None
        Exponent of every matrix; None measures the correlation.
    correlation, correlation_strength : float
        Where the correlation starts, in [0, 1], and how many rows that is worth.
    max_steps : int
        Most EM steps; at least 1.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Raykar et al. (2010). Learning From Crowds. JMLR 11, 1297-1322.
    .. [2] Patrini et al. (2017). Making Deep Neural Networks Robust to Label Noise: A Loss Correction Approach. CVPR.

    Examples
    --------
    >>> votes = np.array([[0], [0], [1], [1], [0]])
    >>> prior = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.5, 0.5]])
    >>> fit = NoiseModel(discount=1.0).fit(votes, prior, np.array([True, True, True, True, False]))
    >>> bool(fit.posterior[4, 0] > 0.7)
    True
    """

    strength: float = 3.0
    accuracy: float = 0.5
    accuracy_strength: float = 10.0
    known_weight: float = 1.0
    discount: float | None = None
    correlation: float = 0.5
    correlation_strength: float = 20.0
    max_steps: int = 10

    def __post_init__(self) -> None:
        for name in ("strength", "accuracy_strength", "known_weight", "correlation_strength"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is more than 0; correct it")
        if not 0.0 < self.accuracy < 1.0:
            raise ConfigError(f"accuracy is {self.accuracy}; allowed is between 0 and 1; correct it")
        if not 0.0 <= self.correlation <= 1.0:
            raise ConfigError(f"correlation is {self.correlation}; allowed is 0 to 1; correct it")
        if self.discount is not None and not 0.0 < self.discount <= 1.0:
            raise ConfigError(f"discount is {self.discount}; allowed is more than 0, to 1, or none; correct it")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps is {self.max_steps}; allowed is 1 or more; correct it")

    def fit(self, votes: Votes, prior: Proba, is_known: NDArray[np.bool_], *, trust: float = 1.0) -> NoiseFit:
        """Return the matrices and the corrected rows.

        Parameters
        ----------
        votes : ndarray of shape (m, j), int64
            Class index, or -1 where a voter gave no answer or one off the list: that says nothing.
        prior : ndarray of shape (m, c)
            The student's probabilities; of known rows, their targets.
        is_known : ndarray of shape (m,), bool
            Rows that people labelled.
        trust : float
            What all votes count beside the prior, more than 0, to 1: voters share errors with the student too.

        Raises
        ------
        ShapeError
            If lengths differ or a vote is no column of `prior`.
        """
        _check(votes, prior, is_known)
        n_classes, log_prior = prior.shape[1], np.log(np.maximum(prior, _LEAST))
        matrices, mean = np.empty((votes.shape[1], n_classes, n_classes)), np.zeros(prior.shape)
        for j in range(votes.shape[1]):
            matrices[j], posterior = self._alone(votes[:, j : j + 1], log_prior, is_known)
            mean += posterior / votes.shape[1]
        strength = {"prior": self.correlation, "strength": self.correlation_strength}
        correlation = excess_correlation(votes, mean, matrices, **strength)
        worth = independent_share(votes, correlation)
        if self.discount is not None:
            worth = self.discount * (votes >= 0).astype(np.float64)
        posterior = _corrected(log_prior, votes, matrices, trust * worth)
        counts = np.maximum((votes >= 0).sum(axis=0), 1)
        kept = np.where(is_known[:, None], prior, posterior)
        return NoiseFit(matrices, worth.sum(axis=0) / counts, kept, correlation)

    def _alone(self, vote: Votes, log_prior: Floats, is_known: NDArray[np.bool_]) -> tuple[Floats, Proba]:
        """Return the matrix of one voter, whose votes have shape (m, 1), and the rows corrected by it."""
        prior, answered = np.exp(log_prior), (vote >= 0).astype(np.float64)
        habit, posterior = _habit(vote[:, 0], prior.shape[1]), prior
        matrix = self._mixture(habit, self.accuracy)
        for _ in range(self.max_steps):
            before = posterior
            posterior = _corrected(log_prior, vote, matrix[None], answered)
            posterior = np.where(is_known[:, None], prior, posterior)
            matrix = self._matrix(vote[:, 0], posterior * np.where(is_known, self.known_weight, 1.0)[:, None], habit)
            if np.abs(posterior - before).max(initial=0.0) < _CHANGE:
                break
        return matrix, posterior

    def _matrix(self, vote: NDArray[np.int64], weighted: Floats, habit: Floats) -> Floats:
        said = _pairs(weighted, vote)
        right = np.trace(said) + self.accuracy * self.accuracy_strength
        mixture = self._mixture(habit, right / (said.sum() + self.accuracy_strength))
        total = self.strength + said.sum(axis=1, keepdims=True)
        return np.asarray((self.strength * mixture + said) / total, dtype=np.float64)

    def _mixture(self, habit: Floats, accuracy: float) -> Floats:
        return np.asarray((1.0 - accuracy) * habit[None, :] + accuracy * np.eye(len(habit)), dtype=np.float64)


def _pairs(weighted: Floats, votes: NDArray[np.int64]) -> Floats:
    """Return how often a voter said each class where each was true, shape (c, c)."""
    said = np.zeros((weighted.shape[1], weighted.shape[1]))
    answered = votes >= 0
    np.add.at(said, votes[answered], weighted[answered])
    return said.T


def _habit(vote: NDArray[np.int64], n_classes: int) -> Floats:
    """Return how often a voter says each class, one count more for each, shape (c,)."""
    counts = np.bincount(vote[vote >= 0], minlength=n_classes) + 1.0
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _corrected(log_prior: Floats, votes: Votes, matrices: Floats, worth: Floats) -> Proba:
    logits = log_prior.copy()
    for j, matrix in enumerate(matrices):
        answered = np.flatnonzero(votes[:, j] >= 0)
        logits[answered] += worth[answered, j, None] * np.log(matrix.T[votes[answered, j]])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)


def _check(votes: Votes, prior: Proba, is_known: NDArray[np.bool_]) -> None:
    if votes.ndim != 2 or prior.ndim != 2 or not len(votes) == len(prior) == len(is_known):
        raise ShapeError(
            f"votes have shape {votes.shape}, the prior {prior.shape} and is_known {is_known.shape}; "
            "give each one row an example"
        )
    if votes.size and votes.max() >= prior.shape[1]:
        raise ShapeError(f"a vote is class {votes.max()}; there are {prior.shape[1]} classes; correct the vote")
