"""A distilled student that predicts with onnxruntime: neither torch nor transformers is loaded for it."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from llm_al.errors import MissingExtraError, StudentError
from llm_al.students._batches import clean, pad, prediction_batches
from llm_al.students._folder import HEADER, new_folder, read_header
from llm_al.students.calibration import scaled_proba
from llm_al.types import Embeddings, Proba

__all__ = ["KIND", "MODEL", "TOKENIZER", "FittedOnnx", "OnnxSettings"]

KIND = "onnx"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"

_MOST_THREADS = 4
_CHUNK = 4096


@dataclass(frozen=True)
class OnnxSettings:
    """How an exported student predicts.

    Parameters
    ----------
    is_int8 : bool
        Whether weights are 8-bit integers.
    n_threads : int or None
        CPU threads; None takes as many as there are cores, at most four.
    max_batch_tokens : int
        Padded tokens of one batch.
    max_tokens : int
        Longer texts are cut.
    pad_id : int
        Token that fills rows of a batch; it is masked.
    """

    is_int8: bool = True
    n_threads: int | None = None
    max_batch_tokens: int = 2048
    max_tokens: int = 128
    pad_id: int = 0


@dataclass(frozen=True, eq=False)
class FittedOnnx:
    """A graph with its tokeniser, read from a folder that has to stay.

    Notes
    -----
    With int8, activations are scaled by the largest one of their batch. The probability of a text may therefore differ
    in the third decimal with the texts beside it.
    """

    folder: Path
    labels: tuple[str, ...]
    student: OnnxSettings

    @classmethod
    def load(cls, folder: Path) -> "FittedOnnx":
        """Read an exported student.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        MissingExtraError
            If onnxruntime is not installed.
        """
        folder, header = Path(folder), read_header(folder)
        try:
            settings = OnnxSettings(**header.settings)
        except TypeError as exc:
            raise StudentError(f"{folder / HEADER} is damaged ({exc}); export the student again") from exc
        student = cls(folder, header.labels, settings)
        # Damage shows now, not at the first text.
        _ = student.session, student.tokenizer
        return student

    @cached_property
    def session(self) -> Any:
        """The runtime's session on the CPU."""
        runtime, path = _runtime(), self.folder / MODEL
        options = runtime.SessionOptions()
        options.intra_op_num_threads = self.student.n_threads or min(os.cpu_count() or 1, _MOST_THREADS)
        options.inter_op_num_threads = 1
        # Warnings would go to standard error past every log handler.
        options.log_severity_level = 3
        if not path.is_file():
            raise StudentError(f"{path} is missing; export the student again")
        try:
            return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as exc:  # The runtime's errors have no common class of their own.
            raise StudentError(f"{path} is damaged ({type(exc).__name__}); export the student again") from exc

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokeniser, cutting and not padding."""
        path = self.folder / TOKENIZER
        try:
            tokenizer = Tokenizer.from_file(str(path))
        except Exception as exc:  # The library raises plain exceptions.
            raise StudentError(
                f"{path} is missing or damaged ({type(exc).__name__}); export the student again"
            ) from exc
        tokenizer.enable_truncation(self.student.max_tokens)
        tokenizer.no_padding()
        return tokenizer

    def with_threads(self, n_threads: int) -> "FittedOnnx":
        """Return the same student on another number of CPU threads."""
        return replace(self, student=replace(self.student, n_threads=n_threads))

    def predict_logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return calibrated logits, shape (n, c)."""
        logits = np.zeros((len(texts), len(self.labels)))
        for start in range(0, len(texts), _CHUNK):
            part = texts[start : start + _CHUNK]
            ids = [encoded.ids for encoded in self.tokenizer.encode_batch(clean(part, self.student.max_tokens))]
            lengths = np.array([len(row) for row in ids], dtype=np.intp)
            for rows in prediction_batches(lengths, self.student.max_batch_tokens):
                tokens, mask = pad([ids[row] for row in rows], self.student.pad_id)
                given = {"input_ids": tokens, "attention_mask": mask}
                logits[start + rows] = self.session.run(None, given)[0]
        return logits

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return calibrated probabilities, shape (n, c). `embeddings` are of no use to this student."""
        del embeddings
        return scaled_proba(self.predict_logits(texts), 1.0)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[i] for i in self.predict_logits(texts).argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Copy graph, tokeniser and labels; nothing outside the folder is needed to load them.

        Raises
        ------
        StudentError
            If `folder` exists and holds something else.
        StorageFullError
            If the disk is full; an older student in `folder` is kept.
        """
        with new_folder(folder) as fresh:
            for path in sorted(self.folder.iterdir()):
                shutil.copy2(path, fresh / path.name)


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError as exc:
        raise MissingExtraError(
            'a student of kind onnx needs an extra package; install it with: pip install "llm-al[onnx]"'
        ) from exc
    return onnxruntime
