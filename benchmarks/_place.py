"""A data set with its vectors, and the rows that are labelled first."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _data import Task
from numpy.typing import NDArray

from llm_al import registry
from llm_al.embedders.cached import Cached
from llm_al.pool import PoolView
from llm_al.types import Embeddings, Positions, Proba


@dataclass(frozen=True)
class Place:
    """What every learner is given.

    Parameters
    ----------
    task : Task
    embeddings, test_embeddings : ndarray of shape (n, d) and (t, d)
        By the encoder in `folder`.
    label_embeddings : ndarray of shape (c, d)
        Of the labels' names.
    folder : str
    groups : ndarray of shape (n,)
        Number of the text, alike for texts that differ in case or spaces only.
    """

    task: Task
    embeddings: Embeddings
    test_embeddings: Embeddings
    label_embeddings: Embeddings
    folder: str
    groups: NDArray[np.int64]

    def view(self, labels: NDArray[np.int64], proba: Proba | None, *, is_open: NDArray[np.bool_]) -> PoolView:
        """Return the pool as a step sees it."""
        return PoolView(
            self.task.texts,
            self.embeddings,
            len(self.task.labels),
            labels,
            is_open,
            proba,
            self.groups,
            self.label_embeddings,
        )

    def at(self, rows: Positions) -> "Place":
        """Return a part of the pool; a whole one is handed on as it is."""
        if len(rows) == len(self.task.texts):
            return self
        task = replace(self.task, texts=[self.task.texts[int(row)] for row in rows], gold=self.task.gold[rows])
        return replace(self, task=task, embeddings=self.embeddings[rows], groups=self.groups[rows])

    def first(self, n: int, seed: int, cold_start: str) -> Positions:
        """Return the n rows that are labelled first, the same for every learner of a seed."""
        nothing = np.full(len(self.task.texts), -1, dtype=np.int64)
        view = self.view(nothing, None, is_open=np.ones(len(nothing), dtype=np.bool_))
        return registry.make("cold_start", cold_start).query(view, n, np.random.default_rng([seed, 0]))[0]


def digest(rows: Positions) -> str:
    """Return a short name of a set of rows."""
    return hashlib.blake2b(np.sort(rows).astype(np.int64).tobytes(), digest_size=6).hexdigest()


def place_of(task: Task, folder: str, cache: Path | None) -> Place:
    """Embed a data set, or read its vectors from `cache`."""
    embedder = registry.make("embedder", "sentence", model=folder)
    pool, test = (
        embedder.encode(texts)
        if cache is None
        else np.asarray(Cached(embedder, cache, name=f"{task.name}-{part}").encode_pool(texts))
        for part, texts in (("train", task.texts), ("test", task.test_texts))
    )
    names = embedder.encode([label.replace("_", " ") for label in task.labels])
    plain = [" ".join(text.casefold().split()) for text in task.texts]
    groups = np.unique(plain, return_inverse=True)[1].astype(np.int64)
    return Place(task, pool, test, names, folder, groups)
