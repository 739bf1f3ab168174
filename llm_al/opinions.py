"""What a student that has not learned from them says of answered texts, and which of them deserve a second opinion."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus.activelab import ActiveLab, gain_per_second
from llm_al.corpus import Corpus
from llm_al.evaluation.cross_fit import CrossFit
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, Embeddings, Known, Positions, Proba

__all__ = ["Opinion", "SecondOpinions", "out_of_fold", "people_at_work"]

_LEAST_TIMES = 10
"""Answers of a kind from which on their time is taken for what the next takes."""
_RULING = "ruling"
"""Begins the reason of an answer that a reviewer's ruling appended."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """A text that somebody has answered and that another person is to answer too.

    Parameters
    ----------
    score : float
        Expected gain a second, in units of the next new text's.
    reason : str
        In words that a user reads.
    """

    example_id: str
    score: float
    reason: str


def people_at_work(annotations: Sequence[Annotation]) -> set[str]:
    """Return who has answered; those who only settled what others answered are reviewers."""
    return {a.source for a in annotations if a.kind.is_human and not a.reason.startswith(_RULING)}


def out_of_fold(
    annotations: Sequence[Annotation], corpus: Corpus, gold: Mapping[str, str] | None = None
) -> dict[str, tuple[float, ...]]:
    """Return what students that have not learned from it say of each text that people have labelled.

    A logistic regression on the embeddings learns from people's votes as shares, and from settled labels, in five
    folds. It takes about a second for a thousand labels.

    Parameters
    ----------
    annotations : sequence of Annotation
        Standing ones; those of machines are passed over.
    corpus : Corpus
    gold : mapping of str to str, optional
        Example id to settled label.

    Returns
    -------
    dict of str to tuple of c floats
        By example id; texts that fit no label are left out.
    """
    known, _ = _fit(annotations, corpus, gold or {}, corpus.embeddings[:0])
    return known


def _fit(
    annotations: Sequence[Annotation], corpus: Corpus, gold: Mapping[str, str], unseen: Embeddings
) -> tuple[dict[str, tuple[float, ...]], Proba]:
    shares = _shares(annotations, corpus, gold)
    ids = list(shares)
    rows = np.array([corpus.position_of[id_] for id_ in ids], dtype=np.intp)
    targets = np.array([shares[id_] for id_ in ids]).reshape(len(ids), len(corpus.scheme))
    own, others = CrossFit().fit(ids, corpus.embeddings[rows], targets, unseen=unseen)
    return dict(zip(ids, map(tuple, own.tolist()), strict=True)), others


def _shares(
    annotations: Sequence[Annotation], corpus: Corpus, gold: Mapping[str, str]
) -> dict[str, NDArray[np.float64]]:
    """Return people's votes as shares by example id, in pool order of first appearance."""
    index = {name: row for row, name in enumerate(corpus.scheme.names)}
    latest = {(a.example_id, a.source): a.label for a in annotations if a.kind.is_human}
    counts: dict[str, NDArray[np.float64]] = {}
    for (id_, _), label in latest.items():
        if id_ in corpus.position_of and id_ not in gold and label in index:
            counts.setdefault(id_, np.zeros(len(index)))[index[label]] += 1.0
    counts |= {
        id_: np.eye(len(index))[index[label]]
        for id_, label in gold.items()
        if id_ in corpus.position_of and label in index
    }
    return {id_: row / row.sum() for id_, row in counts.items()}


@dataclass(frozen=True)
class SecondOpinions:
    """Weighs a second opinion on an answered text against a new one by ActiveLab's scale and by seconds.

    Parameters
    ----------
    corpus : Corpus
    annotations : sequence of Annotation
        Standing ones, in row order.
    gold : mapping of str to str
        What is settled needs no opinion.
    n_people : int
        How many there are; a text that each of them has answered can get no other answer.
    """

    corpus: Corpus
    annotations: Sequence[Annotation]
    gold: Mapping[str, str] = field(default_factory=dict)
    n_people: int = 2

    def choose(self, picks: Positions, n_most: int, *, per_pick: int = 1) -> list[Opinion]:
        """Return at most `n_most` texts, most wanted first; each takes the place of the last of the picks.

        Parameters
        ----------
        picks : ndarray of shape (k,)
            New texts, most wanted first.
        n_most : int
        per_pick : int
            Answers that a new text gets, each of which is a place.
        """
        open_ids = self._open()
        if n_most < 1 or not open_ids:
            return []
        pool = [a for a in self.annotations if a.kind.is_human and a.example_id in self.corpus.position_of]
        said, new_proba = _fit(pool, self.corpus, self.gold, self.corpus.embeddings[picks])
        known = Known(self.gold, said)
        doubts = ActiveLab(self.corpus.scheme.names).weigh(pool, known=known, unlabelled=new_proba)
        new_s, second_s = seconds_of(pool)
        new = gain_per_second(doubts.new_scores, new_s)
        scores = np.array([doubts.scores[id_] for id_ in open_ids])
        old = gain_per_second(scores, second_s)
        order = np.argsort(-old, kind="stable")[:n_most]
        n_kept = _n_worthwhile(old[order], new, per_pick)
        sure = {vote.example_id: (vote.label, max(vote.posterior, default=0.0)) for vote in doubts.consensus}
        votes = Counter(id_ for id_, _ in {(a.example_id, a.source) for a in pool if a.label not in (None, SKIP)})
        usual = float(new[-1]) if len(new) else float(old[order[0]])
        return [
            _opinion(open_ids[row], float(old[row]) / max(usual, 1e-9), votes, sure) for row in order[:n_kept].tolist()
        ]

    def _open(self) -> list[str]:
        """Return the texts with a label of people that somebody else can still answer."""
        by: dict[str, set[str]] = {}
        labelled: set[str] = set()
        for a in self.annotations:
            if a.kind.is_human and a.example_id in self.corpus.position_of:
                by.setdefault(a.example_id, set()).add(a.source)
                if a.label not in (None, SKIP):
                    labelled.add(a.example_id)
        return [id_ for id_, who in by.items() if id_ in labelled and id_ not in self.gold and len(who) < self.n_people]


def _n_worthwhile(old: NDArray[np.float64], new: NDArray[np.float64], per_pick: int) -> int:
    """Return how many of the wanted texts beat the pick whose place they take, from the last one on."""
    for n, gain in enumerate(old):
        last = len(new) - 1 - n // per_pick
        if last >= 0 and gain <= new[last]:
            return n
    return len(old)


def seconds_of(annotations: Sequence[Annotation]) -> tuple[float, float]:
    """Return the median seconds of a first answer to a text, and of a later one by somebody else.

    As long as either was measured fewer than ten times, both are taken for the same.
    """
    first_by: dict[str, str] = {}
    times: dict[bool, list[float]] = {True: [], False: []}
    for a in annotations:
        is_first = first_by.setdefault(a.example_id, a.source) == a.source
        if a.duration_s is not None and a.duration_s > 0:
            times[is_first].append(a.duration_s)
    if min(len(found) for found in times.values()) < _LEAST_TIMES:
        return 1.0, 1.0
    return float(np.median(times[True])), float(np.median(times[False]))


def _opinion(id_: str, score: float, votes: Mapping[str, int], sure: Mapping[str, tuple[str | None, float]]) -> Opinion:
    label, probability = sure[id_]
    n = votes[id_]
    held = f"{label!r}, with a probability of {probability:.2f}" if label != NONE_OF_THESE else "that no label fits"
    answers = "one answer says" if n == 1 else f"{n} answers say"
    reason = (
        f"a second opinion: {answers} {held}; another is worth {score:.1f} times as much a second as the next new text"
    )
    return Opinion(id_, score, reason)
