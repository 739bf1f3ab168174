"""All standing answers about the pool, as arrays by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.corpus import Corpus
from llm_al.llm_votes import LLMVotes
from llm_al.protocols import Aggregator
from llm_al.types import (
    NONE_OF_THESE,
    SKIP,
    Annotation,
    AnnotatorKind,
    AnnotatorQuality,
    Consensus,
    Known,
    Proba,
)

__all__ = ["Answers", "read_answers"]

NO_LABEL = -1


@dataclass(frozen=True)
class Answers:
    """What people and LLMs have said so far, one row a pool example.

    Parameters
    ----------
    human : ndarray of shape (n,), int64
        Class index of the consensus where a person answered with a label, else -1.
    is_asked : ndarray of shape (n,), bool
        A person answered in any way: a label, none of these, or a skip.
    is_outside : ndarray of shape (n,), bool
        People hold that no label fits.
    is_llm : ndarray of shape (n,), bool
        An LLM has answered, validly or not.
    llm : mapping of position to Consensus
        What the LLM's runs say together, people left out.
    everyone : mapping of position to Consensus
        What all annotators say together.
    quality : tuple of AnnotatorQuality
    """

    human: NDArray[np.int64]
    is_asked: NDArray[np.bool_]
    is_outside: NDArray[np.bool_]
    is_llm: NDArray[np.bool_]
    llm: Mapping[int, Consensus]
    everyone: Mapping[int, Consensus]
    quality: tuple[AnnotatorQuality, ...]
    by_example: Mapping[int, Sequence[Annotation]]
    settled: frozenset[int] = frozenset()
    """Positions whose label a reviewer settled; they count as asked, whether somebody answered or not."""
    n_pairs: int | None = None

    @property
    def n_human(self) -> int:
        """Answers of people: what counts against the budget.

        Each person counts once on an example, so that with one person these are the examples with an answer.
        """
        return int(self.is_asked.sum()) if self.n_pairs is None else self.n_pairs

    def human_shares(self, rows: Sequence[int], n_classes: int) -> Proba:
        """Return how people's votes are spread over the labels on some rows, shape (len(rows), c).

        What is settled, or has no vote for a label, is the label alone.
        """
        shares = np.eye(n_classes)[self.human[list(rows)]].reshape(len(rows), n_classes)
        for place, row in enumerate(rows):
            vote = self.everyone.get(row)
            if vote is not None and vote.votes and row not in self.settled:
                shares[place] = vote.votes
        return shares

    def llm_votes(self, names: Sequence[str]) -> LLMVotes:
        """Return what LLMs said about the pool, ascending; where people answered too, it shows how LLMs err.

        Parameters
        ----------
        names : sequence of str
            Labels in class-index order. An answer that is none of them counts as not given.
        """
        index = {name: place for place, name in enumerate(names)}
        said = {
            row: {a.source: index.get(a.label or "", NO_LABEL) for a in answers if a.kind is AnnotatorKind.LLM}
            for row, answers in sorted(self.by_example.items())
            if self.is_llm[row]
        }
        voters = tuple(sorted({voter for votes in said.values() for voter in votes}))
        votes = [[votes.get(voter, NO_LABEL) for voter in voters] for votes in said.values()]
        table = np.array(votes, dtype=np.int64).reshape(len(said), len(voters))
        return LLMVotes(np.array(list(said), dtype=np.intp), table, voters)

    def llm_posterior(self, rows: Sequence[int], n_classes: int) -> Proba:
        """Return the LLM's consensus posteriors of some rows, shape (len(rows), c)."""
        return np.array([self.llm[row].posterior for row in rows], dtype=np.float64).reshape(len(rows), n_classes)


def read_answers(
    annotations: Sequence[Annotation], corpus: Corpus, consensus: Aggregator, *, known: Known | None = None
) -> Answers:
    """Sort the annotations of a project by example and by kind of annotator.

    Parameters
    ----------
    annotations : sequence of Annotation
        Standing ones only. Those of examples outside the pool are passed over.
    known : Known, optional
        Settled labels stand above all answers, and are known without one. A student's probabilities are weighed beside
        the answers of people; the LLM's consensus is its own.
    """
    gold = known.gold if known is not None else {}
    position_of = corpus.position_of
    pool = [answer for answer in annotations if answer.example_id in position_of]
    by_example: dict[int, list[Annotation]] = {}
    for answer in pool:
        by_example.setdefault(position_of[answer.example_id], []).append(answer)
    votes, quality = consensus.aggregate(pool, known=known)
    everyone = {position_of[vote.example_id]: vote for vote in votes}
    machine = [answer for answer in pool if answer.kind is AnnotatorKind.LLM]
    llm = {position_of[vote.example_id]: vote for vote in consensus.aggregate(machine)[0]}
    human = np.full(len(corpus), NO_LABEL, dtype=np.int64)
    is_asked, is_outside, is_llm = (np.zeros(len(corpus), dtype=np.bool_) for _ in range(3))
    for position, answers in by_example.items():
        is_asked[position] = any(answer.kind.is_human for answer in answers)
        is_llm[position] = any(answer.kind is AnnotatorKind.LLM for answer in answers)
        label = _human_label(answers, everyone.get(position))
        is_outside[position] = label == NONE_OF_THESE
        if label in corpus.scheme.names:
            human[position] = corpus.scheme.index(label)
    settled = _settle(gold, corpus, human=human, is_asked=is_asked, is_outside=is_outside)
    n_pairs = len({(answer.example_id, answer.source) for answer in pool if answer.kind.is_human})
    return Answers(human, is_asked, is_outside, is_llm, llm, everyone, tuple(quality), by_example, settled, n_pairs)


def _settle(
    gold: Mapping[str, str],
    corpus: Corpus,
    *,
    human: NDArray[np.int64],
    is_asked: NDArray[np.bool_],
    is_outside: NDArray[np.bool_],
) -> frozenset[int]:
    """Write settled labels into the arrays of one `Answers` that is being made; return their positions."""
    rows = {corpus.position_of[id_]: label for id_, label in gold.items() if id_ in corpus.position_of}
    for position, label in rows.items():
        is_asked[position] = True
        is_outside[position] = label == NONE_OF_THESE
        human[position] = corpus.scheme.index(label) if label in corpus.scheme.names else NO_LABEL
    return frozenset(rows)


def _human_label(answers: Sequence[Annotation], vote: Consensus | None) -> str:
    """Return what people say: their own word when they agree, the consensus when they do not."""
    said = {answer.label for answer in answers if answer.kind.is_human and answer.label not in (None, SKIP)}
    if not said:
        return ""
    if len(said) == 1 or vote is None or vote.label is None:
        return str(min(said, key=str))
    return vote.label
