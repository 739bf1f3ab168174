"""All standing answers about the pool, as arrays by position."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.corpus import Corpus
from llm_al.protocols import Aggregator
from llm_al.types import (
    NONE_OF_THESE,
    SKIP,
    Annotation,
    AnnotatorKind,
    AnnotatorQuality,
    Consensus,
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

    @property
    def n_human(self) -> int:
        """Pool examples that a person has answered: what counts against the budget."""
        return int(self.is_asked.sum())

    def llm_posterior(self, rows: Sequence[int], n_classes: int) -> Proba:
        """Return the LLM's consensus posteriors of some rows, shape (len(rows), c)."""
        return np.array([self.llm[row].posterior for row in rows], dtype=np.float64).reshape(len(rows), n_classes)


def read_answers(annotations: Sequence[Annotation], corpus: Corpus, consensus: Aggregator) -> Answers:
    """Sort the annotations of a project by example and by kind of annotator.

    Parameters
    ----------
    annotations : sequence of Annotation
        Standing ones only. Those of examples outside the pool are passed over.
    """
    position_of = corpus.position_of
    pool = [answer for answer in annotations if answer.example_id in position_of]
    by_example: dict[int, list[Annotation]] = {}
    for answer in pool:
        by_example.setdefault(position_of[answer.example_id], []).append(answer)
    votes, quality = consensus.aggregate(pool)
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
    return Answers(human, is_asked, is_outside, is_llm, llm, everyone, tuple(quality), by_example)


def _human_label(answers: Sequence[Annotation], vote: Consensus | None) -> str:
    """Return what people say: their own word when they agree, the consensus when they do not."""
    said = {answer.label for answer in answers if answer.kind.is_human and answer.label not in (None, SKIP)}
    if not said:
        return ""
    if len(said) == 1 or vote is None or vote.label is None:
        return str(min(said, key=str))
    return vote.label
