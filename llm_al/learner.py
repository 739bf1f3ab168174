"""The loop without a folder and without a store, for pipelines that bring their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al import registry
from llm_al.errors import ConfigError, DataError, LabelError, NotFittedError
from llm_al.pool import PoolView
from llm_al.protocols import Embedder, FittedStudent, Strategy, Student
from llm_al.types import RESERVED_LABELS, Label, LabelScheme, Positions, Proba, Scores, TrainingSet
from llm_al.views import FIRST, best_view, can_choose, encode_views, view_beside, view_of

__all__ = ["ActiveLearner", "Query"]


@dataclass(frozen=True)
class Query:
    """Texts that a learner wants labels for.

    Parameters
    ----------
    positions : ndarray of shape (k,)
        Rows of the pool that was queried, most wanted first.
    texts : tuple of str, length k
    scores : ndarray of shape (k,)
        Higher means that the label is worth more.
    """

    positions: Positions
    texts: tuple[str, ...]
    scores: Scores

    def __len__(self) -> int:
        return len(self.texts)


class ActiveLearner:
    """Ask for the most useful labels, learn from them, predict.

    Parameters
    ----------
    labels : sequence of str
        At least two names; their order fixes the columns of `predict_proba`.
    descriptions : mapping of str to str, or None
        What labels mean, by name; names and descriptions are a prior for labels without examples.
    catch_all : str or None
        The label of texts that fit no other one, if there is such a label; examples are looked for from the start.
    student : str or Student
        Registered name (``"head"``, ``"transformer"``, ``"setfit"``, ``"auto"``, ``"blend"``, ``"distilled"``) or an
        object with ``fit``. A ``head`` predicts before the first label, from the labels' names.
    strategy : str or Strategy
        ``"scorer+selector"`` or an object with ``query``.
    encoder : str
        Sentence encoder for diversity and for the student: a hub name, a local folder, or ``"offline"``.
    embedder : Embedder or None
        Replaces the sentence encoder of the selection.
    student_options : mapping or None
        Constructor fields of a student that is given by name.
    seed : int
        One seed gives one sequence of queries, on one device.

    Examples
    --------
    >>> from llm_al.embedders.hashing import HashEmbedder
    >>> learner = ActiveLearner(["cat", "dog"], student="head", embedder=HashEmbedder(n_dimensions=64))
    >>> pool = ["the cat purrs", "a dog barks", "my cat sleeps", "that dog runs"]
    >>> query = learner.query(pool, k=2)
    >>> len(query)
    2
    >>> learner.teach(query, ["cat" if "cat" in text else "dog" for text in query.texts])
    >>> learner.predict_proba(pool).shape
    (4, 2)
    """

    def __init__(
        self,
        labels: Sequence[str],
        *,
        descriptions: Mapping[str, str] | None = None,
        catch_all: str | None = None,
        student: str | Student = "head",
        strategy: str | Strategy = "margin+diverse",
        encoder: str = "sentence-transformers/all-MiniLM-L6-v2",
        embedder: Embedder | None = None,
        student_options: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.scheme = _scheme(labels, descriptions or {}, catch_all)
        self.labels = self.scheme.names
        self.embedder: Embedder = embedder or registry.make("embedder", "sentence", model=encoder)
        self.strategy = registry.make_strategy(strategy) if isinstance(strategy, str) else strategy
        self.student = self._student(student, encoder, student_options or {})
        self.seed = seed
        self._texts: list[str] = []
        self._targets: list[int] = []
        self._passed_over: set[str] = set()
        self._n_queries = 0
        self._fitted: FittedStudent | None = None
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._standing_view: int | None = None

    @staticmethod
    def _student(student: str | Student, encoder: str, options: Mapping[str, Any]) -> Student:
        if not isinstance(student, str):
            return student
        made: Student = registry.make("student", student, **{"model": encoder, **options})
        return made

    def query(self, pool_texts: Sequence[str], k: int = 20) -> Query:
        """Pick up to k texts of the pool that have no answer yet.

        Parameters
        ----------
        pool_texts : sequence of str, length n
            May change between calls; texts that were taught or passed over are never asked again.
        k : int
            At least 1; fewer are returned when fewer are left, none when the pool is used up.

        Raises
        ------
        ConfigError
            If k is below 1.
        """
        if k < 1:
            raise ConfigError(f"k is {k}; ask for at least one text")
        view = self._view(pool_texts)
        rng = np.random.default_rng([self.seed, self._n_queries])
        positions, scores = self.strategy.query(view, k, rng)
        self._n_queries += 1
        return Query(positions, tuple(pool_texts[int(row)] for row in positions), scores)

    def teach(self, query: Query | Sequence[str], labels: Sequence[str | None]) -> None:
        """Add answers and train the student on all answers so far.

        Parameters
        ----------
        query : Query or sequence of str
            What `query` returned, or any texts.
        labels : sequence of str or None, same length
            A label, or None for a text that has no label (it is not asked again).

        Raises
        ------
        DataError
            If the lengths differ. Nothing is learned then.
        LabelError
            If a label is unknown. Nothing is learned then.
        """
        texts = query.texts if isinstance(query, Query) else tuple(query)
        if len(texts) != len(labels):
            raise DataError(f"{len(labels)} labels for {len(texts)} texts; give one label (or None) for each text")
        indices = [self._index(label) for label in labels]
        for text, index in zip(texts, indices, strict=True):
            if index is None:
                self._passed_over.add(text)
            else:
                self._texts.append(text)
                self._targets.append(index)
        if self._texts:
            self._fitted = self._train()

    def predict_proba(self, texts: Sequence[str]) -> Proba:
        """Return calibrated probabilities, shape (n, c), columns in the order of `labels`."""
        return self.fitted.predict_proba(texts, embeddings=self._embed(texts))

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[int(best)] for best in self.predict_proba(texts).argmax(axis=1)]

    def save(self, folder: str | Path) -> None:
        """Write the student; ``llm_al.load_student(folder)`` reads it in any process."""
        self.fitted.save(Path(folder))

    @property
    def fitted(self) -> FittedStudent:
        """The trained student.

        Raises
        ------
        NotFittedError
            Before the first `teach` with a label, unless the student learns from the labels' names.
        """
        if self._fitted is None and getattr(self.student, "learns_from_names", False):
            self._fitted = self._train()
        if self._fitted is None:
            raise NotFittedError("the learner has no labels yet; call query and teach first")
        return self._fitted

    @property
    def n_labels(self) -> int:
        """How many answers the student has learned from."""
        return len(self._texts)

    def _index(self, label: str | None) -> int | None:
        if label is None or label in RESERVED_LABELS:
            return None
        if label not in self.labels:
            raise LabelError(f"unknown label {label!r}; choose from: {', '.join(self.labels)}, or None to pass over")
        return self.labels.index(label)

    def _embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if missing:
            self._vectors.update(zip(missing, encode_views(self.embedder, missing), strict=True))
        if not texts:
            return np.zeros((0, self.embedder.n_dimensions), dtype=np.float32)
        return np.stack([self._vectors[text] for text in texts])

    def _view(self, texts: Sequence[str]) -> PoolView:
        known = dict(zip(self._texts, self._targets, strict=True))
        labels = np.array([known.get(text, -1) for text in texts], dtype=np.int64)
        is_open = np.array([text not in known and text not in self._passed_over for text in texts], dtype=np.bool_)
        vectors = self._embed(texts)
        proba = self._fitted.predict_proba(texts, embeddings=vectors) if self._fitted and len(texts) else None
        groups = np.unique(np.asarray(texts, dtype=object), return_inverse=True)[1] if len(texts) else None
        # That of the student: the pool of a query need not hold the labelled texts.
        view = FIRST if self._standing_view is None else self._standing_view
        return PoolView(
            texts,
            view_of(vectors, view),
            len(self.labels),
            labels,
            is_open,
            proba,
            groups,
            view=view,
            beside=view_beside(vectors, view),
            catch_all=self.scheme.catch_all_index,
        )

    def _training_set(self) -> TrainingSet:
        targets = np.eye(len(self.labels))[np.asarray(self._targets, dtype=np.intp)]
        vectors = self._embed(self._texts)
        if can_choose(len(targets), len(self.labels)):
            self._standing_view = best_view(vectors, targets, self._standing_view)
        return TrainingSet(
            self._texts,
            targets,
            np.ones(len(self._texts)),
            vectors,
            label_embeddings=self._embed([label.text for label in self.scheme.labels]),
            view=self._standing_view,
        )

    def _train(self) -> FittedStudent:
        training, options = self._training_set(), {"labels": self.labels, "seed": self.seed}
        if self._fitted is not None and getattr(self.student, "wants_previous", False):
            student: Any = self.student
            going_on: FittedStudent = student.fit_from(self._fitted, training, **options)
            return going_on
        return self.student.fit(training, labels=self.labels, seed=self.seed)


def _scheme(labels: Sequence[str], descriptions: Mapping[str, str], catch_all: str | None) -> LabelScheme:
    unknown = [name for name in descriptions if name not in labels]
    if unknown:
        raise LabelError(f"unknown label {unknown[0]!r} in descriptions; choose from: {', '.join(labels)}")
    return LabelScheme(tuple(Label(name, descriptions.get(name, "")) for name in labels), catch_all=catch_all)
