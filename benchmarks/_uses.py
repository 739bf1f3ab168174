"""A task on a frozen encoder, and the rules by which stand-ins for an LLM choose and write."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from _data import Task
from _writer import Choose, Write, Writer
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from llm_al import registry
from llm_al.annotators.chat import Chat, Endpoint, Limits, MemoryLedger, Pricing
from llm_al.annotators.chat.fences import cut_middle
from llm_al.corpus import Corpus, TestSplit
from llm_al.llm_tasks import LLMTasks
from llm_al.pool import PoolView
from llm_al.protocols import FittedStudent
from llm_al.types import Label, LabelScheme, TrainingSet

MODEL = "gpt-4o-mini"
_SHOWN = 400
"""Characters of a text that the choice is made by."""


@dataclass(frozen=True)
class Bench:
    """A task with its embeddings; students are heads on the frozen encoder."""

    task: Task
    folder: str
    embeddings: NDArray[np.float32]
    test_embeddings: NDArray[np.float32]
    embedder: Any = field(repr=False)

    @classmethod
    def of(cls, task: Task, folder: str, *, is_quick: bool = False) -> "Bench":
        """Embed a task; hashed words save the encoder's loading in a smoke run."""
        embedder = (
            registry.make("embedder", "hashing") if is_quick else registry.make("embedder", "sentence", model=folder)
        )
        return cls(task, folder, embedder.encode(task.texts), embedder.encode(task.test_texts), embedder)

    @property
    def scheme(self) -> LabelScheme:
        """The labels by name alone."""
        return LabelScheme(tuple(Label(name) for name in self.task.labels), "Choose the one label that fits best.")

    @property
    def groups(self) -> NDArray[np.int64]:
        """Texts that differ in case and spaces only share a number."""
        lines = [" ".join(text.casefold().split()) for text in self.task.texts]
        return np.unique(lines, return_inverse=True)[1].astype(np.int64)

    def view(self, known: NDArray[np.intp] | None = None) -> PoolView:
        """Return the pool in which some rows are labelled."""
        labels = np.full(len(self.task.texts), -1, dtype=np.int64)
        if known is not None:
            labels[known] = self.task.gold[known]
        return PoolView(self.task.texts, self.embeddings, len(self.task.labels), labels, labels < 0, groups=self.groups)

    def corpus(self) -> Corpus:
        """Return pool and test split."""
        test = TestSplit.of(
            ids=[str(n) for n in range(len(self.task.test_texts))],
            texts=self.task.test_texts,
            vectors=self.test_embeddings,
            labels=self.task.test_gold.tolist(),
            n_outside=0,
        )
        ids = [str(n) for n in range(len(self.task.texts))]
        return Corpus(self.scheme, ids, self.task.texts, self.embeddings, self.groups, test)

    def fit(self, training: TrainingSet, seed: int) -> FittedStudent:
        """Train a head."""
        student: Any = registry.make("student", "head", model=self.folder)
        fitted: FittedStudent = student.fit(training, labels=self.task.labels, seed=seed)
        return fitted

    def tested(self, student: FittedStudent) -> NDArray[np.intp]:
        """Return the predicted class indices of the test split."""
        proba = student.predict_proba(self.task.test_texts, embeddings=self.test_embeddings)
        return np.asarray(proba.argmax(axis=1), dtype=np.intp)


def tasks_on(writer: Writer, scheme: LabelScheme) -> LLMTasks:
    """Return the uses of the LLM at the list price of `MODEL`, on a stand-in."""
    chat = Chat(
        scheme, Endpoint(writer.url, MODEL), MemoryLedger(), limits=Limits(concurrency=8), pricing=Pricing(None, 10**12)
    )
    return LLMTasks(chat, lambda line: print(f"note: {line}", flush=True))


def at_random(rng: np.random.Generator) -> Choose:
    return lambda texts, k: rng.permutation(len(texts))[:k].tolist()


def near_centres(bench: Bench, seed: int) -> Choose:
    row_of = {cut_middle(text, _SHOWN): row for row, text in enumerate(bench.task.texts)}

    def choose(texts: Sequence[str], k: int) -> Sequence[int]:
        points = bench.embeddings[[row_of[text] for text in texts]]
        found = KMeans(min(k, len(texts)), n_init=1, random_state=seed).fit(points)
        return list(dict.fromkeys(found.transform(points).argmin(axis=0).tolist()))

    return choose


def knows_labels(bench: Bench) -> Choose:
    """Take the labels in turn, which no model could do better than: what perfect reading could bring."""
    shown = [cut_middle(text, _SHOWN) for text in bench.task.texts]
    label_of = dict(zip(shown, bench.task.gold.tolist(), strict=True))

    def choose(texts: Sequence[str], k: int) -> Sequence[int]:
        labels = [label_of[text] for text in texts]
        turn = [labels[:i].count(label) for i, label in enumerate(labels)]
        return sorted(range(len(texts)), key=lambda i: (turn[i], i))[:k]

    return choose


_OPENINGS = (
    "I have a question about",
    "Can you help me with",
    "What about",
    "I need to know more about",
    "Tell me about",
)


def by_name(label: str, n: int) -> Sequence[str]:
    return [f"{opening} {label.replace('_', ' ')}" for opening in _OPENINGS[:n]]


def by_wrong_name(labels: Sequence[str]) -> Write:
    def texts(label: str, n: int) -> Sequence[str]:
        return by_name(labels[(labels.index(label) + len(labels) // 2) % len(labels)], n)

    return texts


def nearly_copied(bench: Bench, known: NDArray[np.intp], rng: np.random.Generator) -> Write:
    """Garble texts of labels that people have given, so that they pull those labels away."""

    def texts(_label: str, n: int) -> Sequence[str]:
        rows = rng.choice(known, n, replace=False)
        return [" ".join(rng.permutation(bench.task.texts[row].split())) for row in rows]

    return texts
