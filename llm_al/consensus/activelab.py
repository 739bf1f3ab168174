"""ActiveLab: whether the next answer is worth more on a new example, or as a second opinion on an old one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._student import read_student, scaled, temperature_of
from llm_al.consensus._votes import Votes, tabulate
from llm_al.consensus.crowdlab import CrowdlabFit
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.errors import ConfigError
from llm_al.types import NONE_OF_THESE, Annotation, Consensus, Known, Proba, Scores

__all__ = ["ActiveLab", "Doubts", "activelab_scores", "gain_per_second"]

Floats = NDArray[np.float64]

_LEAST = 1e-6


def activelab_scores(fit: CrowdlabFit, unlabelled: Proba) -> tuple[Scores, Scores]:
    """Return ActiveLab's scores [1]_ of what has votes, shape (n,), and of what has none, shape (m,).

    With q the posterior of the consensus label, W the weights of those who voted for an example and of the student,
    w the mean weight of an annotator and K the number of labels, a score is ``(W q + w / K) / (W + w)``: the quality
    of the consensus after one more annotator who knows nothing. Both lists are on one scale, in [0, 1]. **Low** scores
    are asked about first, as in the paper; `gain_per_second` turns them round.

    Differs from the paper where no example has two votes: there the paper sets all weights to 1, here they are those
    of `fit`, whose priors stand in.

    Parameters
    ----------
    fit : CrowdlabFit
    unlabelled : ndarray of shape (m, c)
        The student's probabilities; scaled here as those of labelled examples were.

    References
    ----------
    .. [1] Goh & Mueller (2023). ActiveLab: Active learning with re-labeling by multiple annotators. arXiv:2301.11856.
    """
    n_labels = len(fit.votes.labels)
    mean = float(fit.voter_weight.mean()) if len(fit.voter_weight) else 1.0
    weight = np.bincount(fit.votes.example, fit.votes.share * fit.entry_weight, minlength=len(fit.posterior))
    quality = fit.posterior.max(axis=1, initial=0.0)
    best = scaled(unlabelled, fit.temperature).max(axis=1, initial=0.0)
    student = fit.student_weight if len(fit.posterior) else 1.0
    return (
        _score(quality, np.asarray(weight + student), mean, n_labels),
        _score(best, np.full(len(best), student), mean, n_labels),
    )


def gain_per_second(scores: Scores, seconds: float) -> Scores:
    """Return what an answer is expected to be worth a second, higher means ask sooner.

    Raises
    ------
    ConfigError
        If `seconds` is not positive.
    """
    if not seconds > 0:
        raise ConfigError(f"an answer takes {seconds} seconds; allowed is more than 0; correct it")
    return np.asarray((1.0 - scores) / seconds, dtype=np.float64)


@dataclass(frozen=True)
class Doubts:
    """How much more answers are needed, on one scale; low scores are asked about first.

    Parameters
    ----------
    scores : mapping of str to float
        Of the annotated examples, by id.
    new_scores : ndarray of shape (m,)
        Of examples without an annotation.
    new_proba : ndarray of shape (m, c)
        Their calibrated probabilities.
    consensus : sequence of Consensus
        Of the annotated examples, the student's opinion included.
    """

    scores: Mapping[str, float]
    new_scores: Scores
    new_proba: Proba
    consensus: Sequence[Consensus]


@dataclass(frozen=True)
class ActiveLab:
    """ActiveLab's scale over one-coin Dawid-Skene with the student as prior, in place of CROWDLAB's mean.

    The mean of votes and student never becomes sure: a vote that the student shares counts as little as one that it
    doubts, so the paper's own scores label nearly everything once before they ask for a second opinion. Multiplied
    odds tell the two apart. An annotator's weight is ``max(1e-6, 1 - (1 - accuracy) / E)`` with E the error of always
    answering the commonest label, as in the paper, and the student's has the factor ``sqrt(mean votes per example)``.

    Parameters
    ----------
    labels : tuple of str
        Label names in class-index order, c of them.
    human_accuracy, human_strength : float
        As in `OneCoin`, but here people are known to err.

    Raises
    ------
    ConfigError
        If a setting is out of its range.
    """

    labels: tuple[str, ...]
    human_accuracy: float = 0.85
    human_strength: float = 10.0

    def __post_init__(self) -> None:
        self._crowd()

    def weigh(self, annotations: Sequence[Annotation], *, known: Known, unlabelled: Proba) -> Doubts:
        """Return the scores of annotated examples and of others.

        Parameters
        ----------
        annotations : sequence of Annotation
        known : Known
            With out-of-fold probabilities of the annotated examples.
        unlabelled : ndarray of shape (m, c)
            Probabilities of the same kind of student for examples without an annotation.

        Raises
        ------
        LabelError
            If an annotation names a label outside the list, or gold does.
        ShapeError
            If a student's probabilities are not one a label.
        """
        votes = tabulate(annotations, self.labels, known=known)
        consensus, quality = self._crowd().aggregate(annotations, known=known)
        proba, has_proba = read_student(votes, known)
        new_proba = scaled(unlabelled, temperature_of(votes, proba, has_proba))
        by_source = {q.name: self.human_accuracy if q.accuracy is None else q.accuracy for q in quality}
        label = np.array([_outcome(vote, self.labels) for vote in consensus], dtype=np.intp)
        chance = _chance_error(label, len(self.labels))
        weights = {name: max(1.0 - (1.0 - a) / chance, _LEAST) for name, a in by_source.items()}
        mean = float(np.mean(list(weights.values()))) if weights else 1.0
        student = _student_weight(votes, proba, label, has_proba=has_proba, chance=chance)
        total = np.array([sum(weights[source] for source in vote.sources) for vote in consensus])
        sure = np.array([_quality(vote, by_source) for vote in consensus], dtype=np.float64)
        scores = _score(sure, total + student, mean, len(self.labels))
        new = _score(new_proba.max(axis=1, initial=0.0), np.full(len(new_proba), student), mean, len(self.labels))
        ids = [vote.example_id for vote in consensus]
        return Doubts(dict(zip(ids, scores.tolist(), strict=True)), new, new_proba, consensus)

    def _crowd(self) -> OneCoin:
        return OneCoin(
            self.labels,
            people_stand=False,
            human_accuracy=self.human_accuracy,
            human_strength=self.human_strength,
        )


def _score(quality: Floats, weight: Floats, next_weight: float, n_labels: int) -> Scores:
    return np.asarray((weight * quality + next_weight / n_labels) / (weight + next_weight), dtype=np.float64)


def _outcome(vote: Consensus, labels: tuple[str, ...]) -> int:
    """Return the class index of a consensus, c for none of these, -1 without one."""
    if vote.label is None:
        return -1
    return len(labels) if vote.label == NONE_OF_THESE else labels.index(vote.label)


def _quality(vote: Consensus, accuracy: Mapping[str, float]) -> float:
    """Return the posterior of the consensus label; a consensus on none of these is as good as those who gave it."""
    if vote.label == NONE_OF_THESE and vote.sources:
        return float(np.mean([accuracy[source] for source in vote.sources]))
    return max(vote.posterior, default=0.0)


def _chance_error(label: NDArray[np.intp], n_labels: int) -> float:
    """Return the error of always answering the commonest label, shrunk to that of even labels by ten examples."""
    counts = np.bincount(label[label >= 0], minlength=1)
    wrong = float(counts.sum() - counts.max(initial=0))
    return (wrong + 10.0 * (1.0 - 1.0 / n_labels)) / (float(counts.sum()) + 10.0)


def _student_weight(
    votes: Votes, proba: Floats, label: NDArray[np.intp], *, has_proba: NDArray[np.bool_], chance: float
) -> float:
    rows = np.flatnonzero(has_proba & (label >= 0))
    if not len(rows):
        return 1.0
    error = float((proba[rows].argmax(axis=1) != label[rows]).mean())
    pairs = np.unique(np.stack([votes.example, votes.voter]), axis=1)
    per_example = pairs.shape[1] / max(len(np.unique(pairs[0])), 1)
    return max(1.0 - error / chance, _LEAST) * float(per_example**0.5)
