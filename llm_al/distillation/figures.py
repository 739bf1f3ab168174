"""How the teacher, the small student and the exported one compare."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llm_al.assembly import Assembly
from llm_al.corpus import Corpus
from llm_al.distillation.measured import Predict, bytes_on_disk, texts_per_s, threads
from llm_al.distillation.report import Measured
from llm_al.distillation.rows import Draw
from llm_al.distillation.small import Small
from llm_al.distillation.teachers import Said, Teachers
from llm_al.evaluation.metrics import evaluate
from llm_al.protocols import FittedStudent, Student
from llm_al.students.head import Head
from llm_al.students.onnx_student import FittedOnnx
from llm_al.types import Embeddings, Positions, Proba
from llm_al.views import encode_views
from llm_al.weights import resolve

__all__ = ["Figures"]

_N_TIMED = 256


@dataclass(frozen=True, eq=False)
class Figures:
    """Measures the three on the same texts.

    Parameters
    ----------
    assembly : Assembly
    corpus : Corpus
    draw : Draw
    teachers : Teachers
    said : Said
        What the teachers say of the rows with soft labels, those held out and those of people, in this order.
    small : Small
    n_threads : int
    """

    assembly: Assembly
    corpus: Corpus
    draw: Draw
    teachers: Teachers
    said: Said
    small: Small
    n_threads: int

    @property
    def is_seen(self) -> bool:
        """Whether the students have learned from the labels that they are compared with."""
        return self.corpus.test is None or not len(self.corpus.test)

    @cached_property
    def truth(self) -> NDArray[np.int64]:
        """Class indices of the test split, or of people's labels where there is none."""
        if self.corpus.test is None or self.is_seen:
            return np.asarray(self.draw.targets.argmax(axis=1), dtype=np.int64)
        return self.corpus.test.labels

    def results(self, student: FittedStudent, exported: FittedOnnx, folder: Path) -> tuple[Measured, ...]:
        """Return teacher, small student and exported student.

        Parameters
        ----------
        folder : Path
            Where `student` and `onnx` lie.
        """
        quick = exported.with_threads(self.n_threads)
        with threads(self.n_threads):
            told, told_int8 = self._told(student), self._told(quick)
        named_bytes = self._encoder_bytes(self.small.recipe)
        n_bytes, n_bytes_int8 = bytes_on_disk(folder / "student") + named_bytes, bytes_on_disk(folder / "onnx")
        predicts = [self._reading(self.teachers.member(0)), student.predict_proba, quick.predict_proba]
        speeds = texts_per_s(predicts, self._timed_texts, self.n_threads)
        return (
            # Members are alike: one is timed, and all of them are asked.
            self._measured("teacher", self._taught, speeds[0] / self.teachers.n, self._teachers_bytes()),
            self._measured("student", told, speeds[1], n_bytes),
            self._measured("int8", told_int8, speeds[2], n_bytes_int8),
        )

    @cached_property
    def _taught(self) -> tuple[Proba, Proba]:
        """What the teachers say of the held-out rows, and of the rows of `truth`."""
        n, m = len(self.draw.soft), len(self.draw.held_out)
        held_out, human = self.said.pool[n : n + m], self.said.pool[n + m :]
        return held_out, human if self.is_seen or self.said.test is None else self.said.test

    def _told(self, model: FittedStudent) -> tuple[Proba, Proba]:
        held_out = self._predicted(model, self.draw.held_out)
        if self.corpus.test is None or self.is_seen:
            return held_out, self._predicted(model, self.draw.human)
        test = self.corpus.test
        return held_out, model.predict_proba(test.texts, embeddings=self.small.vectors(test.vectors))

    def _predicted(self, model: FittedStudent, rows: Positions) -> Proba:
        vectors = self.small.vectors(self.corpus.vectors[rows])
        return model.predict_proba(self.corpus.texts_at(rows), embeddings=vectors)

    def _measured(self, name: str, told: tuple[Proba, Proba], speed: float, n_bytes: int) -> Measured:
        (held_out, proba), (taught, _) = told, self._taught
        metrics = evaluate(self.truth, proba, self.corpus.scheme.names) if len(self.truth) else None
        is_same = held_out.argmax(axis=1) == taught.argmax(axis=1)
        return Measured(
            name,
            metrics.accuracy if metrics else None,
            metrics.macro_f1 if metrics else None,
            float(is_same.mean()) if len(is_same) else None,
            speed,
            n_bytes,
        )

    def _reading(self, member: FittedStudent) -> Predict:
        encode = self._encode
        return lambda texts: member.predict_proba(texts, embeddings=None if encode is None else encode(texts))

    @cached_property
    def _encode(self) -> Callable[[Sequence[str]], Embeddings] | None:
        """What makes the vectors that the teachers predict from; None where they read texts."""
        return partial(encode_views, self.assembly.embedder()) if isinstance(self.teachers.recipe, Head) else None

    def _teachers_bytes(self) -> int:
        folders = sum(bytes_on_disk(path) for path in self.teachers.paths())
        return folders + self._encoder_bytes(self.teachers.recipe)

    def _encoder_bytes(self, recipe: Student) -> int:
        """Return the size of an encoder that a saved student names and does not hold."""
        if not isinstance(recipe, Head) or self.assembly.config.embedder.name != "sentence":
            return 0
        return bytes_on_disk(Path(resolve(recipe.model)))

    @cached_property
    def _timed_texts(self) -> list[str]:
        n = len(self.corpus)
        return self.corpus.texts_at(np.random.default_rng(0).choice(n, min(n, _N_TIMED), replace=False))
