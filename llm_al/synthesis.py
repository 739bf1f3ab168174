"""Texts that an LLM wrote for labels without an example: made, checked, kept apart from all real ones.

They live in the notes of a round, never in the examples of the store: no selector, person, test or export
can meet one by accident. Only training reads them, and an export that asks for them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.answers import Answers
from llm_al.corpus import Corpus
from llm_al.errors import ConfigError
from llm_al.types import Embeddings, SyntheticText, TrainingSet
from llm_al.views import FIRST, view_of

__all__ = ["Synthesis", "Write", "read_synthetic", "synthetic_to_json"]

Write = Callable[[Mapping[str, int], Sequence[str], int], Mapping[str, Sequence[str]]]
"""Takes how many texts each label needs, real texts that show the style, and the round; returns texts by label.
Never raises: a label without texts is simply absent."""

_N_STYLE = 6
_BLOCK_ROWS = 8192


def synthetic_to_json(texts: Sequence[SyntheticText]) -> list[dict[str, Any]]:
    """Return plain values for the store."""
    return [asdict(text) for text in texts]


def read_synthetic(notes: Sequence[Sequence[Mapping[str, Any]] | None]) -> list[SyntheticText]:
    """Read what `synthetic_to_json` wrote, round after round."""
    return [SyntheticText(**row) for note in notes for row in note or ()]


@dataclass(frozen=True)
class Synthesis:
    """Lets an LLM write examples for labels of which people have found none.

    Parameters
    ----------
    write : callable
    encode : callable
        Texts -> unit-length embeddings by the pool's encoder, all views.
    n_per_label : int
        Texts of each label that has no example.
    weight : float
        Of a written text in training, in (0, 1); a person's label weighs 1.
    max_cosine : float
        A written text as near as this to a text of the pool, of the test split or to another written one is dropped.

    Raises
    ------
    ConfigError
        If the weight is not below 1, or a number below 1.
    """

    write: Write = field(repr=False)
    encode: Callable[[Sequence[str]], Embeddings] = field(repr=False)
    n_per_label: int = 5
    weight: float = 0.3
    max_cosine: float = 0.95

    def __post_init__(self) -> None:
        if not 0.0 < self.weight < 1.0:
            raise ConfigError(f"the weight of synthetic texts is {self.weight}; allowed is above 0 and below 1")
        if self.n_per_label < 1:
            raise ConfigError(f"n_per_label is {self.n_per_label}; allowed is 1 or more; raise it")

    def wanted(self, answers: Answers, corpus: Corpus, known: Sequence[SyntheticText]) -> dict[str, int]:
        """Return how many texts each label lacks; none before people have answered anything."""
        if not answers.n_human:
            return {}
        counts = np.bincount(answers.human[answers.human >= 0], minlength=len(corpus.scheme))
        empty = [name for name, n in zip(corpus.scheme.names, counts, strict=True) if n == 0]
        lacking = {name: self.n_per_label - sum(text.label == name for text in known) for name in empty}
        return {name: n for name, n in lacking.items() if n > 0}

    def make(
        self, answers: Answers, corpus: Corpus, known: Sequence[SyntheticText], *, number: int, rng: np.random.Generator
    ) -> list[SyntheticText]:
        """Return new texts for labels without an example; near-copies of real texts and of each other are dropped.

        Parameters
        ----------
        known : sequence of SyntheticText
            Written before.
        number : int
            The round.
        """
        wanted = self.wanted(answers, corpus, known)
        if not wanted:
            return []
        style = np.sort(rng.choice(len(corpus), min(_N_STYLE, len(corpus)), replace=False)).astype(np.intp)
        written = self.write(wanted, corpus.texts_at(style), number)
        new = [
            SyntheticText(text, label, number)
            for label, n in wanted.items()
            for text in list(written.get(label, ()))[:n]
        ]
        return self._distinct(new, corpus, known)

    def training_set(self, known: Sequence[SyntheticText], corpus: Corpus) -> TrainingSet | None:
        """Return the written texts of labels that still exist, with their weight; None when there are none."""
        names = corpus.scheme.names
        kept = [text for text in known if text.label in names]
        if not kept:
            return None
        texts = [text.text for text in kept]
        targets = np.eye(len(names))[[names.index(text.label) for text in kept]]
        embeddings = np.asarray(self.encode(texts), dtype=np.float32)
        return TrainingSet(texts, targets, np.full(len(kept), self.weight), embeddings)

    def _distinct(
        self, new: Sequence[SyntheticText], corpus: Corpus, known: Sequence[SyntheticText]
    ) -> list[SyntheticText]:
        if not new:
            return []
        views = self.encode([text.text for text in [*known, *new]])
        vectors = np.asarray(view_of(views, FIRST), dtype=np.float32)
        before, mine = vectors[: len(known)], vectors[len(known) :]
        nearest = _max_cosine(mine, corpus.embeddings)
        if corpus.test is not None:
            nearest = np.maximum(nearest, _max_cosine(mine, corpus.test.embeddings))
        kept: list[int] = []
        for row in range(len(new)):
            others = np.concatenate([before, mine[kept]])
            if max(nearest[row], float((others @ mine[row]).max(initial=-1.0))) < self.max_cosine:
                kept.append(row)
        return [new[row] for row in kept]


def _max_cosine(points: NDArray[np.float32], others: Embeddings) -> NDArray[np.float32]:
    """Return the largest cosine of each point with any of the other rows, shape (m,); -1 when there are none."""
    nearest = np.full(len(points), -1.0, dtype=np.float32)
    for start in range(0, len(others), _BLOCK_ROWS):
        block = np.asarray(others[start : start + _BLOCK_ROWS], dtype=np.float32)
        np.maximum(nearest, (points @ block.T).max(axis=1), out=nearest)
    return nearest
