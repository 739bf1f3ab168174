"""A data set with its vectors, and the rows that are labelled first."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _data import Task
from numpy.typing import NDArray

from llm_al import registry
from llm_al.embedders.cached import Cached, views_in_cache
from llm_al.pool import PoolView
from llm_al.types import Embeddings, Positions, Proba
from llm_al.views import FIRST, best_view, encode_views, view_beside, view_of


@dataclass(frozen=True)
class Place:
    """What every learner is given.

    Parameters
    ----------
    task : Task
    vectors, test_vectors : ndarray of shape (n, v, d) and (t, v, d)
        By the encoder in `folder`, all views. Peers are given the first, which is the encoder's own.
    label_vectors : ndarray of shape (c, v, d)
        Of the labels' names.
    folder : str
    groups : ndarray of shape (n,)
        Number of the text, alike for texts that differ in case or spaces only.
    catch_all : int or None
        Class of texts that fit no other one, where ours is told of it. Peers know no such thing.
    """

    task: Task
    vectors: Embeddings
    test_vectors: Embeddings
    label_vectors: Embeddings
    folder: str
    groups: NDArray[np.int64]
    catch_all: int | None = None

    @property
    def embeddings(self) -> Embeddings:
        """The encoder's own vectors, shape (n, d)."""
        return view_of(self.vectors, FIRST)

    @property
    def test_embeddings(self) -> Embeddings:
        """The same of the test split."""
        return view_of(self.test_vectors, FIRST)

    def view(
        self,
        labels: NDArray[np.int64],
        proba: Proba | None,
        *,
        is_open: NDArray[np.bool_],
        standing: int | None = None,
    ) -> PoolView:
        """Return the pool as a step sees it; `standing` is the encoder's view on which the last student stood."""
        known, n_classes = np.flatnonzero(labels >= 0), len(self.task.labels)
        view = best_view(self.vectors[known], np.eye(n_classes)[labels[known]], standing)
        return PoolView(
            self.task.texts,
            view_of(self.vectors, view),
            n_classes,
            labels,
            is_open,
            proba,
            self.groups,
            view_of(self.label_vectors, view),
            view=view,
            beside=view_beside(self.vectors, view),
            catch_all=self.catch_all,
        )

    def at(self, rows: Positions) -> "Place":
        """Return a part of the pool; a whole one is handed on as it is."""
        if len(rows) == len(self.task.texts):
            return self
        task = replace(self.task, texts=[self.task.texts[int(row)] for row in rows], gold=self.task.gold[rows])
        return replace(self, task=task, vectors=self.vectors[rows], groups=self.groups[rows])

    def keeping(self, kept: Positions) -> "Place":
        """Return the rows of some classes alone, by their ascending indices; of all of them, the place as it is."""
        task = self.task
        if len(kept) == len(task.labels):
            return self
        pool, test = np.flatnonzero(np.isin(task.gold, kept)), np.flatnonzero(np.isin(task.test_gold, kept))
        smaller = Task(
            f"{task.name}-{len(kept)}",
            tuple(task.labels[i] for i in kept),
            [task.texts[i] for i in pool],
            np.searchsorted(kept, task.gold[pool]),
            [task.test_texts[i] for i in test],
            np.searchsorted(kept, task.test_gold[test]),
        )
        return replace(
            self,
            task=smaller,
            vectors=self.vectors[pool],
            test_vectors=self.test_vectors[test],
            label_vectors=self.label_vectors[kept],
            groups=self.groups[pool],
        )

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
        encode_views(embedder, texts)
        if cache is None
        else np.asarray(views_in_cache(Cached(embedder, cache, name=f"{task.name}-{part}"), texts))
        for part, texts in (("train", task.texts), ("test", task.test_texts))
    )
    names = encode_views(embedder, [label.replace("_", " ") for label in task.labels])
    plain = [" ".join(text.casefold().split()) for text in task.texts]
    groups = np.unique(plain, return_inverse=True)[1].astype(np.int64)
    return Place(task, pool, test, names, folder, groups)
