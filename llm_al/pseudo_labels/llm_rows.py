"""Rows that only LLMs have labelled, made fit for training."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError, ShapeError
from llm_al.llm_votes import LLMVotes
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, check, nothing
from llm_al.pseudo_labels._head import predict_head
from llm_al.pseudo_labels._names import fit_named
from llm_al.pseudo_labels._smoothing import Known, smoothed, walk
from llm_al.pseudo_labels.confident import in_doubt
from llm_al.pseudo_labels.noise_matrix import NoiseFit, NoiseModel
from llm_al.pseudo_labels.small_loss import CLEAN, clean_probability
from llm_al.types import Positions, Proba

__all__ = ["LLMRows", "Labelled", "Prepared"]

Floats = NDArray[np.float64]

_FILTERS = ("all", "confident", "small_loss")
# The quick head's penalty suits hundreds of labels; with few it is too strong.
_HEAD_WEIGHT = 3.0
# Edges of the graph weigh their cosine to this power.
_POWER = 6.0
_LEAST_TRUST = 0.3
_LEAST_TARGET = 1e-3


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows whose label is known.

    Parameters
    ----------
    positions : ndarray of shape (k,)
        Distinct pool rows.
    targets : ndarray of shape (k, c)
        Rows sum to 1.

    Raises
    ------
    ShapeError
        If lengths differ.
    """

    positions: Positions
    targets: Proba

    def __post_init__(self) -> None:
        if len(self.positions) != len(self.targets):
            raise ShapeError(f"got {len(self.positions)} rows and {len(self.targets)} targets; give one of each a row")

    def __len__(self) -> int:
        return len(self.positions)

    def at(self, rows: NDArray[np.intp]) -> "Labelled":
        """Return some of the rows."""
        return Labelled(self.positions[rows], self.targets[rows])

    def and_also(self, other: "Labelled") -> "Labelled":
        """Return these rows and those of another that are not among them."""
        new = np.flatnonzero(~np.isin(other.positions, self.positions))
        positions = np.concatenate([self.positions, other.positions[new]])
        return Labelled(positions, np.concatenate([self.targets, other.targets[new]]))


@dataclass(frozen=True)
class LLMRows:
    """Turn what LLMs said about the pool into training rows with soft targets and weights.

    1. A quick head on the frozen embeddings learns from people's labels and the labels' names; where there is a
       student of the round before, its probabilities are mixed in.
    2. Its probabilities are smoothed over each row's nearest neighbours; rows of people keep their labels.
    3. They are corrected by the votes through each voter's noise matrix (see `NoiseModel`).
    4. The result is smoothed over the neighbours again: votes on similar texts support each other.
    5. Doubtful rows may be left out, by the student's loss or by confident learning.
    6. Targets are sharpened, and a row weighs `weight` times its largest probability.

    All that is learned of LLMs is in the targets: any student learns from them with its own loss.

    Parameters
    ----------
    noise : NoiseModel
    n_neighbours : int
        Neighbours of a row; at least 1.
    alpha : float
        How much a row listens to them, in [0, 1); 0 does without.
    temperature : float or None
        By which the head's logits are divided; fitted with a penalty, it is too unsure. None falls with the number n of
        known labels, ``sqrt(c / n)`` within 0.3 and 1.
    trust : float or None
        What votes count beside the head, more than 0, to 1. None falls in the same way: what is left of a good head's
        errors are texts on which LLMs err too.
    student_share : float
        Of the student of the round before, in [0, 1].
    sharpness : float
        Exponent of the targets before they are normalised. Positive.
    weight : float
        Of a row that is quite sure; a person's label weighs 1. Positive.
    keep : {'all', 'confident', 'small_loss'}
        Which rows stay: all; those that confident learning does not doubt; those whose label is clean by the student's
        loss with a probability above 0.7. The label is the one that most voters gave.
    max_rows : int
        Of larger pools so many rows, at random: the neighbours of n rows take n squared operations.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    noise: NoiseModel = field(default_factory=NoiseModel)
    n_neighbours: int = 10
    alpha: float = 0.8
    temperature: float | None = None
    trust: float | None = None
    student_share: float = 0.5
    sharpness: float = 2.0
    weight: float = 0.3
    keep: Literal["all", "confident", "small_loss"] = "all"
    max_rows: int = 20000

    def __post_init__(self) -> None:
        check(self, n_neighbours=1, max_rows=1)
        for name in ("temperature", "sharpness", "weight"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigError(f"{name} is {value}; allowed is more than 0; correct it")
        if not 0.0 <= self.alpha < 1.0:
            raise ConfigError(f"alpha is {self.alpha}; allowed is 0 to less than 1; correct it")
        if self.trust is not None and not 0.0 < self.trust <= 1.0:
            raise ConfigError(f"trust is {self.trust}; allowed is more than 0, to 1, or none; correct it")
        if not 0.0 <= self.student_share <= 1.0:
            raise ConfigError(f"student_share is {self.student_share}; allowed is 0 to 1; correct it")
        if self.keep not in _FILTERS:
            raise ConfigError(f"keep is {self.keep!r}; choose from: {', '.join(_FILTERS)}; correct it")

    def balance(self, labels_per_class: float) -> tuple[float, float]:
        """Return the temperature of the head and the trust in votes."""
        usual = float(np.clip(1.0 / np.sqrt(max(labels_per_class, 1.0)), _LEAST_TRUST, 1.0))
        return usual if self.temperature is None else self.temperature, usual if self.trust is None else self.trust

    def rows(
        self,
        view: PoolView,
        votes: LLMVotes,
        human: Labelled,
        rng: np.random.Generator,
        *,
        certified: Labelled | None = None,
    ) -> Choice:
        """Return rows that people did not label, with targets and weights.

        Parameters
        ----------
        view : PoolView
        votes : LLMVotes
        human : Labelled
            Rows that people labelled; none of them is returned.
        rng : Generator
            Draws rows where there are more than `max_rows`.
        certified : Labelled, optional
            LLM labels that an audit vouches for: they are learned from like people's, and returned with weight 1.

        Returns
        -------
        tuple of ndarray
            Positions (k,) in ascending order, targets (k, c), weights (k,). k is 0 where nobody has voted.

        Raises
        ------
        ShapeError
            If a vote is no class, or the labels' vectors are not one a class.
        """
        return self.prepare(view, votes, human, rng, certified=certified).rows()

    def prepare(
        self,
        view: PoolView,
        votes: LLMVotes,
        human: Labelled,
        rng: np.random.Generator,
        *,
        certified: Labelled | None = None,
    ) -> "Prepared":
        """Return the same rows with their neighbours found, to be labelled several times."""
        extra = Labelled(np.zeros(0, dtype=np.intp), np.zeros((0, view.n_classes))) if certified is None else certified
        extra = extra.at(np.flatnonzero(~np.isin(extra.positions, human.positions)))
        voted = votes.positions[(votes.votes >= 0).any(axis=1)]
        free = np.setdiff1d(voted, np.concatenate([human.positions, extra.positions]))
        if len(free) > self.max_rows:
            free = np.sort(rng.choice(free, self.max_rows, replace=False))
        return Prepared(self, view, votes, human, extra, free.astype(np.intp))


@dataclass(frozen=True, eq=False)
class Prepared:
    """Rows with votes, ready to be labelled from all of people's labels or from some.

    Parameters
    ----------
    settings : LLMRows
    view : PoolView
    votes : LLMVotes
    human, certified : Labelled
        Without a row in common.
    free : ndarray of shape (k,)
        Rows that have votes alone.
    """

    settings: LLMRows
    view: PoolView
    votes: LLMVotes
    human: Labelled
    certified: Labelled
    free: Positions

    def __len__(self) -> int:
        return len(self.free) + len(self.certified)

    def rows(self, without: NDArray[np.intp] | None = None) -> Choice:
        """Return the rows to learn from, as `LLMRows.rows` does.

        Parameters
        ----------
        without : ndarray of shape (t,), optional
            Indices into people's labels that are not to be known: so a comparison can test on them. Their rows are
            not returned.
        """
        if not len(self):
            return nothing(self.view)
        # Many small products: several threads gain little on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            posterior, is_kept = self._posterior(self._known(without))
        targets = posterior**self.settings.sharpness
        targets /= targets.sum(axis=1, keepdims=True)
        targets[targets < _LEAST_TARGET] = 0.0
        targets /= targets.sum(axis=1, keepdims=True)
        weights = self.settings.weight * targets.max(axis=1)
        positions = np.concatenate([self.free[is_kept], self.certified.positions])
        order = np.argsort(positions)
        return (
            positions[order],
            np.concatenate([targets[is_kept], self.certified.targets])[order],
            np.concatenate([weights[is_kept], np.ones(len(self.certified))])[order],
        )

    def noise(self, without: NDArray[np.intp] | None = None) -> NoiseFit:
        """Return the voters' noise matrices; the posterior has the rows of `positions`."""
        with threadpool_limits(limits=1, user_api="blas"):
            return self._fit(self._known(without))[0]

    @cached_property
    def positions(self) -> Positions:
        """All rows that take part: those of people, certified ones, then those with votes alone."""
        return np.concatenate([self.human.positions, self.certified.positions, self.free])

    @cached_property
    def _steps(self) -> sparse.csr_array:
        vectors = np.asarray(self.view.embeddings[self.positions], dtype=np.float32)
        return walk(vectors, self.settings.n_neighbours, _POWER)

    @cached_property
    def _said(self) -> NDArray[np.int64]:
        """Votes on the rows that take part, -1 where there is none."""
        row_of = np.full(len(self.view), -1)
        row_of[self.votes.positions] = np.arange(len(self.votes))
        found = row_of[self.positions]
        said = np.full((len(found), self.votes.votes.shape[1]), -1, dtype=np.int64)
        said[found >= 0] = self.votes.votes[found[found >= 0]]
        return said

    def _known(self, without: NDArray[np.intp] | None) -> NDArray[np.bool_]:
        is_known = np.arange(len(self.positions)) < len(self.human) + len(self.certified)
        if without is not None:
            is_known[without] = False
        return is_known

    def _balance(self, is_known: NDArray[np.bool_]) -> tuple[float, float]:
        return self.settings.balance(float(is_known.sum()) / self.view.n_classes)

    def _fit(self, is_known: NDArray[np.bool_]) -> tuple[NoiseFit, Proba]:
        """Return the corrected rows, and what the student says without the votes."""
        student = self._student(is_known)
        prior, trust = self._smoothed(student, is_known), self._balance(is_known)[1]
        fit = self.settings.noise.fit(self._said, prior, is_known, trust=trust)
        return fit, student

    def _posterior(self, is_known: NDArray[np.bool_]) -> tuple[Proba, NDArray[np.bool_]]:
        """Return the posterior of the free rows and which of them stay."""
        fit, student = self._fit(is_known)
        start = len(self.positions) - len(self.free)
        is_kept = self._stays(student[start:], self._said[start:])
        return self._smoothed(fit.posterior, is_known)[start:], is_kept

    def _student(self, is_known: NDArray[np.bool_]) -> Proba:
        """Return what a quick head, and the student before, say of the rows; known rows have their targets."""
        targets = np.concatenate([self.human.targets, self.certified.targets])
        known = np.flatnonzero(is_known)
        vectors = np.asarray(self.view.embeddings[self.positions], dtype=np.float32)
        weights = np.full(len(known), _HEAD_WEIGHT)
        proba = np.full((len(vectors), self.view.n_classes), 1.0 / self.view.n_classes)
        if len(known) or self.view.label_embeddings is not None:
            head = fit_named(vectors[known], targets[known], weights, self.view.label_embeddings)
            proba = predict_head(head / self._balance(is_known)[0], vectors)
        if self.view.proba is not None and self.settings.student_share > 0:
            share = self.settings.student_share
            proba = (1.0 - share) * proba + share * self.view.proba[self.positions]
        proba[known] = targets[known]
        return proba

    def _smoothed(self, proba: Proba, is_known: NDArray[np.bool_]) -> Proba:
        if self.settings.alpha == 0.0 or len(proba) < 2:
            return proba
        known = np.flatnonzero(is_known)
        given = proba.astype(np.float32)
        found = smoothed(self._steps, given, Known(known, given[known]), self.settings.alpha)
        return found.astype(np.float64)

    def _stays(self, student: Proba, said: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.settings.keep == "all" or not len(said):
            return np.ones(len(said), dtype=np.bool_)
        labels = _plurality(said, student)
        if self.settings.keep == "confident":
            return ~in_doubt(student, labels)
        return clean_probability(student, labels) > CLEAN


def _plurality(said: NDArray[np.int64], student: Proba) -> NDArray[np.int64]:
    """Return the class that most voters gave; of equals the one that the student holds likelier."""
    counts = np.zeros(student.shape)
    for column in said.T:
        answered = np.flatnonzero(column >= 0)
        counts[answered, column[answered]] += 1.0
    return np.asarray((counts + 0.5 * student).argmax(axis=1), dtype=np.int64)
