"""Students and their predictions as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_al.corpus import Corpus
from llm_al.store.files import Artefacts
from llm_al.student_files import StudentFiles
from llm_al.types import Label, LabelScheme, TrainingSet

LABELS = ("x", "y")


@dataclass
class Remembering:
    """A student that writes down of which texts it was asked."""

    read: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        return LABELS

    def fit(self, _training: TrainingSet, *, labels: Sequence[str], seed: int) -> "Remembering":
        del labels, seed
        return self

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True)

    def predict_proba(self, texts: Sequence[str], *, embeddings: Any = None) -> Any:
        del embeddings
        self.read += len(texts)
        return np.tile([0.75, 0.25], (len(texts), 1))

    def remember(self, folder: Path) -> None:
        (folder / "read").write_text(str(self.read))


def test_a_student_may_write_down_what_it_said_once_all_is_predicted(tmp_path: Path) -> None:
    scheme = LabelScheme(tuple(Label(name) for name in LABELS))
    vectors = np.eye(3, 4, dtype=np.float32)
    corpus = Corpus(scheme, ["1", "2", "3"], ["a", "b", "c"], vectors, np.arange(3))
    students = StudentFiles(Remembering(), tmp_path / "models", lambda _folder: Remembering(), Artefacts(tmp_path))
    training = TrainingSet(["a"], np.eye(2)[:1], np.ones(1), vectors[:1])
    students.train(1, training, LABELS, seed=0)
    assert not (students.path(1) / "read").exists()
    students.predict(1, corpus, lambda *_: None)
    assert (students.path(1) / "read").read_text() == "3"
    assert students.pool_proba(1, corpus) is not None
    # A round without a student predicts nothing.
    students.predict(2, corpus, lambda *_: None)
    assert students.pool_proba(2, corpus) is None


def test_what_killed_processes_had_begun_to_write_is_deleted(tmp_path: Path) -> None:
    students = StudentFiles(Remembering(), tmp_path / "models", lambda _folder: Remembering(), Artefacts(tmp_path))
    part = students.path(1) / "transformer"
    part.mkdir(parents=True)
    (students.folder / ".round-0002.1.new").mkdir()
    (part / ".said.safetensors.1.new").write_bytes(b"half")
    (part / "said.safetensors").write_bytes(b"whole")
    students.remove_leftovers()
    assert [found.name for found in part.iterdir()] == ["said.safetensors"]
    assert [found.name for found in students.folder.iterdir()] == ["round-0001"]
