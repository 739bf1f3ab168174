"""Students and their predictions as files beside the store: made once, made again when lost."""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from llm_al.corpus import Corpus
from llm_al.protocols import FittedStudent, Progress, Student
from llm_al.store.files import Artefacts
from llm_al.types import Embeddings, Proba, TrainingSet

__all__ = ["KeptPredictions", "StudentFiles"]

_CHUNK = 4096
_UNKNOWN_LABEL = 1e-6


@dataclass(frozen=True)
class KeptPredictions:
    """Reads what students have predicted without loading one, which takes seconds."""

    cache: Artefacts

    def pool(self, number: int, names: Sequence[str], n_rows: int) -> Proba | None:
        """Return what `StudentFiles.pool_proba` does if it is at hand; nothing is predicted for it."""
        return self.cache.load_array("proba", _file_name("pool", number, names), n_rows=n_rows) if number >= 1 else None


@dataclass(frozen=True)
class StudentFiles:
    """Trains a student a round and keeps it, with what it predicts.

    Parameters
    ----------
    student : Student
    folder : Path
        Holds one folder a round, ``round-0001`` and so on.
    load : callable
        Reads a saved student.
    cache : Artefacts
        Holds predictions; a file that is lost or corrupt is made again from the student.
    explain : callable
        Says why a saved student was chosen among several; empty where there was no choice.
    """

    student: Student
    folder: Path
    load: Callable[[Path], FittedStudent]
    cache: Artefacts
    explain: Callable[[Path], str] = lambda _folder: ""

    def path(self, number: int) -> Path:
        """Return where the student of a round lies."""
        return self.folder / f"round-{number:04d}"

    def remove_leftovers(self) -> None:
        """Delete what killed processes had begun to write; call it under the project lock."""
        for pattern in (".*.new", ".*.old"):
            for leftover in self.folder.glob(pattern):
                shutil.rmtree(leftover, ignore_errors=True)
        # What a student was writing down, beside one of its parts.
        for leftover in self.folder.glob("*/*/.*.new"):
            leftover.unlink(missing_ok=True)
        self.cache.remove_leftovers()

    def train(self, number: int, training: TrainingSet, labels: tuple[str, ...], *, seed: int) -> None:
        """Train and save the student of a round; one that is there already is kept.

        No label trains no student: one that knows names alone would label the whole export. A student that goes on
        from the last one is handed it.
        """
        if self.path(number).exists() or not len(training):
            return
        if getattr(self.student, "wants_previous", False) and self.path(number - 1).exists():
            previous, student = self.fitted(number - 1), cast(Any, self.student)
            student.fit_from(previous, training, labels=labels, seed=seed).save(self.path(number))
        else:
            self.student.fit(training, labels=labels, seed=seed).save(self.path(number))

    def why_chosen(self, number: int) -> str:
        """Return why the student of a round was chosen among several; empty where there was no choice."""
        return self.explain(self.path(number)) if self.path(number).exists() else ""

    def has_own_encoder(self, number: int) -> bool:
        """Say whether the student of a round changed its encoder, so that frozen vectors know less than it does.

        Most recipes know; only one that chooses anew in each round has to be looked up.
        """
        always: bool | None = getattr(self.student, "has_own_encoder", None)
        if always is not None:
            return always
        return self.path(number).exists() and bool(getattr(self.fitted(number), "has_own_encoder", False))

    def fitted(self, number: int) -> FittedStudent:
        """Read the student of a round."""
        return self.load(self.path(number))

    def predict(self, number: int, corpus: Corpus, progress: Progress) -> None:
        """Predict pool and test split with the student of a round, if it has one, and keep it.

        A student that goes on in the next round, with what it said in this one, is given the chance to write that down.
        """
        if not self.path(number).exists():
            return
        student, names = self.fitted(number), corpus.scheme.names
        pool = _in_chunks(student, corpus.texts, corpus.vectors, progress)
        self._keep("pool", number, names, _by_name(pool, student.labels, names))
        if corpus.test is not None:
            test = student.predict_proba(corpus.test.texts, embeddings=corpus.test.vectors)
            self._keep("test", number, names, _by_name(test, student.labels, names))
        remember = getattr(student, "remember", None)
        if remember is not None:
            remember(self.path(number))

    def pool_proba(self, number: int, corpus: Corpus) -> Proba | None:
        """Return shape (n, c), or None for a round without a student."""
        return self._read("pool", number, corpus, len(corpus))

    def test_proba(self, number: int, corpus: Corpus) -> Proba | None:
        """Return shape (t, c), or None without a student or a test split."""
        return None if corpus.test is None else self._read("test", number, corpus, len(corpus.test))

    def _keep(self, split: str, number: int, names: Sequence[str], proba: Proba) -> None:
        self.cache.save_array("proba", _file_name(split, number, names), proba)

    def _read(self, split: str, number: int, corpus: Corpus, n_rows: int) -> Proba | None:
        if number < 1:
            return None
        name = _file_name(split, number, corpus.scheme.names)
        found = self.cache.load_array("proba", name, n_rows=n_rows)
        if found is None and self.path(number).exists():
            self.predict(number, corpus, lambda _what, _done, _total: None)
            found = self.cache.load_array("proba", name, n_rows=n_rows)
        return found


def _in_chunks(student: FittedStudent, texts: Sequence[str], embeddings: Embeddings, progress: Progress) -> Proba:
    parts = []
    n = len(embeddings)
    for start in range(0, n, _CHUNK):
        stop = min(start + _CHUNK, n)
        parts.append(student.predict_proba(texts[start:stop], embeddings=embeddings[start:stop]))
        progress("pool predictions", stop, n)
    return np.concatenate(parts) if parts else np.zeros((0, len(student.labels)))


def _file_name(split: str, number: int, names: Sequence[str]) -> str:
    # A label list may be edited between rounds; columns of the old one must not be taken for the new one's.
    labels = hashlib.blake2b("\0".join(names).encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{split}-{number:04d}-{labels}"


def _by_name(proba: Proba, student_labels: Sequence[str], names: Sequence[str]) -> Proba:
    """Return probabilities in the order of the label list; a label that the student does not know gets next to none."""
    if tuple(student_labels) == tuple(names):
        return proba
    aligned = np.full((len(proba), len(names)), _UNKNOWN_LABEL)
    for column, label in enumerate(student_labels):
        if label in names:
            aligned[:, names.index(label)] = np.maximum(proba[:, column], _UNKNOWN_LABEL)
    aligned /= aligned.sum(axis=1, keepdims=True)
    return aligned
