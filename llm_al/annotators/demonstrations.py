"""Few-shot retrieval: which labelled texts a model is shown beside the one that it is asked about.

Three ways put the demonstration nearest to the question last, where models heed it most; `Fixed` keeps one
order for all texts, so that servers can cache it. A text is never shown as its own demonstration, nor is
what is nearly the same: the label would be given away.
"""

import hashlib
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.bank import LabelledBank
from llm_al.errors import ConfigError
from llm_al.protocols import Demonstrations
from llm_al.types import Demonstration, Embeddings, Example, Positions

__all__ = ["Diverse", "Fixed", "Mmr", "Nearest", "Retrieval", "normalise"]

MAX_SIMILARITY = 0.95
"""Cosine from which two texts count as nearly the same."""
_BLOCK_ROWS = 256

Similarities = NDArray[np.float32]


def normalise(text: str) -> str:
    """Return what two texts share that differ in case, width of letters and blanks only.

    Examples
    --------
    >>> normalise(" Wo  ist mein PAKET ")
    'wo ist mein paket'
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


@dataclass(frozen=True)
class _Index:
    """Rows of a bank by everything that makes a query the same text."""

    by_id: Mapping[str, list[int]]
    by_text: Mapping[str, list[int]]
    by_group: Mapping[int, list[int]]

    @classmethod
    def of(cls, bank: LabelledBank) -> "_Index":
        by_id, by_text, by_group = defaultdict(list), defaultdict(list), defaultdict(list)
        for row, (id_, text, group) in enumerate(zip(bank.ids, bank.texts, bank.groups.tolist(), strict=True)):
            by_id[id_].append(row)
            by_text[normalise(text)].append(row)
            if group >= 0:
                by_group[group].append(row)
        return cls(dict(by_id), dict(by_text), dict(by_group))

    def same(self, query: Example) -> list[int]:
        """Return the rows that are the query itself or a known duplicate."""
        rows = [*self.by_id.get(query.id, ()), *self.by_text.get(normalise(query.text), ())]
        return rows + self.by_group.get(query.group, [])


def _similarities(
    bank: LabelledBank, queries: Sequence[Example], embeddings: Embeddings, max_similarity: float
) -> Iterator[Similarities]:
    """Yield the similarity of each query to each row of the bank; -inf where a row must not be shown."""
    index, known = _Index.of(bank), np.asarray(bank.embeddings, dtype=np.float32)
    for start in range(0, len(queries), _BLOCK_ROWS):
        block = np.asarray(embeddings[start : start + _BLOCK_ROWS], dtype=np.float32) @ known.T
        block[block >= max_similarity] = -np.inf
        for row, query in zip(block, queries[start : start + _BLOCK_ROWS], strict=True):
            row[index.same(query)] = -np.inf
            yield row


def _ranked(similar: Similarities) -> Positions:
    """Return rows that may be shown, nearest first; among equals the first row of the bank."""
    order = np.argsort(-similar, kind="stable")
    return order[: int(np.isfinite(similar).sum())]


def _shown(bank: LabelledBank, rows: Sequence[int] | Positions) -> tuple[Demonstration, ...]:
    return tuple(Demonstration(bank.texts[int(row)], bank.labels[int(row)]) for row in rows)


def _check(max_similarity: float) -> None:
    if not 0.0 < max_similarity <= 1.0:
        raise ConfigError(f"max_similarity is {max_similarity}; a cosine above 0 and at most 1 is needed; correct it")


@dataclass(frozen=True)
class Nearest:
    """The k most similar texts, the nearest one last.

    Parameters
    ----------
    max_similarity : float
        Texts at least this similar to the question (cosine) count as the same and are left out.

    References
    ----------
    Liu et al. (2022). What makes good in-context examples for GPT-3? DeeLIO 2022, 100-114.
    """

    max_similarity: float = MAX_SIMILARITY

    def __post_init__(self) -> None:
        _check(self.max_similarity)

    def choose(
        self, bank: LabelledBank, queries: Sequence[Example], embeddings: Embeddings, *, k: int
    ) -> list[tuple[Demonstration, ...]]:
        """Return at most k demonstrations a query; see `protocols.Demonstrations`."""
        similar = _similarities(bank, queries, embeddings, self.max_similarity)
        return [_shown(bank, _ranked(row)[:k][::-1]) for row in similar]


def _round_robin(labels: NDArray[np.intp]) -> Positions:
    """Return an order of ranked rows that takes one of each label in turn, in order of first appearance.

    Examples
    --------
    >>> _round_robin(np.array([7, 7, 7, 2, 2])).tolist()
    [0, 3, 1, 4, 2]
    """
    _, first, kind = np.unique(labels, return_index=True, return_inverse=True)
    by_label = np.argsort(kind, kind="stable")
    starts = np.searchsorted(kind[by_label], kind[by_label])
    turn = np.empty(len(labels), dtype=np.intp)
    turn[by_label] = np.arange(len(labels)) - starts
    order: Positions = np.lexsort((first[kind], turn))
    return order


@dataclass(frozen=True)
class Diverse:
    """The most similar text of each label in turn, labels in order of their nearest text; the nearest one last.

    Parameters
    ----------
    max_similarity : float
        As in `Nearest`.
    """

    max_similarity: float = MAX_SIMILARITY

    def __post_init__(self) -> None:
        _check(self.max_similarity)

    def choose(
        self, bank: LabelledBank, queries: Sequence[Example], embeddings: Embeddings, *, k: int
    ) -> list[tuple[Demonstration, ...]]:
        """Return at most k demonstrations a query; see `protocols.Demonstrations`."""
        names = sorted(set(bank.labels))
        labels = np.array([names.index(label) for label in bank.labels], dtype=np.intp)
        chosen = []
        for similar in _similarities(bank, queries, embeddings, self.max_similarity):
            ranked = _ranked(similar)
            ranks = np.sort(_round_robin(labels[ranked])[:k])
            chosen.append(_shown(bank, ranked[ranks][::-1]))
        return chosen


@dataclass(frozen=True)
class Mmr:
    """Maximal marginal relevance: similar to the question, unlike each other; the nearest one last.

    Parameters
    ----------
    relevance : float
        Weight of the similarity to the question against that to what is chosen already (lambda); 1 is
        `Nearest`.
    n_candidates : int
        So many of the most similar texts are looked at.
    max_similarity : float
        As in `Nearest`.

    References
    ----------
    Carbonell & Goldstein (1998). The use of MMR, diversity-based reranking. SIGIR 1998, 335-336.
    """

    relevance: float = 0.5
    n_candidates: int = 50
    max_similarity: float = MAX_SIMILARITY

    def __post_init__(self) -> None:
        _check(self.max_similarity)
        if not 0.0 <= self.relevance <= 1.0 or self.n_candidates < 1:
            raise ConfigError(
                f"mmr has relevance {self.relevance} and n_candidates {self.n_candidates}; relevance lies between "
                "0 and 1, and at least one candidate is needed; correct it"
            )

    def choose(
        self, bank: LabelledBank, queries: Sequence[Example], embeddings: Embeddings, *, k: int
    ) -> list[tuple[Demonstration, ...]]:
        """Return at most k demonstrations a query; see `protocols.Demonstrations`."""
        chosen = []
        for similar in _similarities(bank, queries, embeddings, self.max_similarity):
            ranked = _ranked(similar)[: max(self.n_candidates, k)]
            vectors = np.asarray(bank.embeddings[ranked], dtype=np.float32)
            ranks = np.sort(_marginal(similar[ranked], vectors, k=k, relevance=self.relevance))
            chosen.append(_shown(bank, ranked[ranks][::-1]))
        return chosen


def _marginal(similar: Similarities, vectors: NDArray[np.float32], *, k: int, relevance: float) -> Positions:
    """Return ranks by maximal marginal relevance; the first is always rank 0."""
    taken: list[int] = []
    crowded = np.full(len(similar), -np.inf, dtype=np.float32)
    for _ in range(min(k, len(similar))):
        score = relevance * similar - (1.0 - relevance) * crowded if taken else similar.copy()
        score[taken] = -np.inf
        taken.append(int(score.argmax()))
        crowded = np.maximum(crowded, vectors @ vectors[taken[-1]])
    return np.array(taken, dtype=np.intp)


@dataclass(frozen=True)
class Fixed:
    """The same texts in the same order for every question, one of each label in turn.

    Drawn by a hash of seed and id, so that a growing bank changes the choice as little as possible. Where one of them
    is the question itself, the next in line takes its place at the end.

    Parameters
    ----------
    seed : int
    max_similarity : float
        As in `Nearest`.
    """

    seed: int = 0
    max_similarity: float = MAX_SIMILARITY

    def __post_init__(self) -> None:
        _check(self.max_similarity)

    def choose(
        self, bank: LabelledBank, queries: Sequence[Example], embeddings: Embeddings, *, k: int
    ) -> list[tuple[Demonstration, ...]]:
        """Return at most k demonstrations a query; see `protocols.Demonstrations`."""
        line = self._line(bank)
        similar = _similarities(bank, queries, embeddings, self.max_similarity)
        return [_shown(bank, line[np.isfinite(row[line])][:k]) for row in similar]

    def _line(self, bank: LabelledBank) -> Positions:
        drawn = [hashlib.sha256(f"{self.seed}:{id_}".encode("utf-8", "replace")).digest() for id_ in bank.ids]
        order = np.array(sorted(range(len(bank)), key=drawn.__getitem__), dtype=np.intp)
        names = sorted(set(bank.labels))
        labels = np.array([names.index(bank.labels[int(row)]) for row in order], dtype=np.intp)
        line: Positions = order[_round_robin(labels)]
        return line


@dataclass
class Retrieval:
    """Demonstrations for an annotator from what has been labelled so far.

    Shared by all annotators of a run; the loop teaches it before each step in which LLMs are asked.

    Parameters
    ----------
    method : Demonstrations
    k : int
        Demonstrations a text, at least 1.

    Raises
    ------
    ConfigError
        If k is below 1.
    """

    method: Demonstrations
    k: int = 5
    _bank: LabelledBank | None = field(default=None, init=False, repr=False)
    _embed: Callable[[Sequence[Example]], Embeddings] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"n_demonstrations is {self.k}; it must be at least 1; for none set demonstrations: none")

    def learn(self, bank: LabelledBank, embed: Callable[[Sequence[Example]], Embeddings]) -> None:
        """Take the place of what was known; see `protocols.Demonstrator`."""
        self._bank, self._embed = bank, embed

    def show(self, queries: Sequence[Example]) -> list[tuple[Demonstration, ...]]:
        """Return the demonstrations of each query; empty ones as long as nothing was learnt."""
        if self._bank is None or self._embed is None or not len(self._bank):
            return [()] * len(queries)
        return self.method.choose(self._bank, queries, self._embed(queries), k=self.k)
