"""Embeddings on disk: computed once, in chunks, and taken up again after a kill."""

import hashlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeGuard

import numpy as np
from numpy.typing import NDArray

from llm_al.embedders._file import Chunk, EmbeddingFile, space_watched, storage_full
from llm_al.errors import ConfigError, DataError, ShapeError, StorageFullError
from llm_al.protocols import Embedder, Progress
from llm_al.types import Embeddings
from llm_al.views import encode_views, n_views

__all__ = ["Cached", "embed_to_file", "views_in_cache"]

Warn = Callable[[str], None]
"""Called with one sentence for the user."""

# Large enough to sort texts into batches of like length, small enough to lose little in a kill.
_CHUNK_ROWS = 1024


def _is_sequence(texts: object) -> TypeGuard[Sequence[str]]:
    # A lazy sequence need not be registered as one.
    return hasattr(texts, "__len__") and hasattr(texts, "__getitem__")


def _one_by_one(texts: Sequence[str] | Iterable[Sequence[str]]) -> Iterator[str]:
    if _is_sequence(texts):
        for start in range(0, len(texts), _CHUNK_ROWS):
            yield from texts[start : min(start + _CHUNK_ROWS, len(texts))]
        return
    for chunk in texts:
        if isinstance(chunk, str):
            raise DataError("texts came one by one; expected a sequence of texts, or an iterable of lists; pass a list")
        yield from chunk


def _digest(texts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class _Run:
    """One pass over the texts: what is kept of the file, and what is still to be computed."""

    def __init__(self, file: EmbeddingFile, texts: Sequence[str] | Iterable[Sequence[str]], warn: Warn) -> None:
        self.file = file
        self.total = len(texts) if _is_sequence(texts) else 0
        self._texts = _one_by_one(texts)
        self._warn = warn
        self._ahead: list[str] = []
        self.chunks = self._keep()
        self.was_finished = file.is_finished(self.chunks)
        self._n_chunks_before = len(self.chunks)

    @property
    def n_done(self) -> int:
        return sum(chunk.n_rows for chunk in self.chunks)

    def take(self, n: int) -> list[str]:
        """Return the next n texts; fewer at the end."""
        ahead, self._ahead = self._ahead[:n], self._ahead[n:]
        return ahead + list(islice(self._texts, n - len(ahead)))

    def _keep(self) -> list[Chunk]:
        """Return the leading chunks of the file that are sound and belong to these very texts."""
        if not self.file.exists():
            return []
        sound, problem = self.file.sound_chunks()
        kept: list[Chunk] = []
        for chunk in sound:
            texts = self.take(chunk.n_rows)
            if _digest(texts) != chunk.texts or len(texts) != chunk.n_rows:
                self._ahead = texts
                problem = "the texts have changed"
                break
            kept.append(chunk)
        if problem:
            n_rows = sum(chunk.n_rows for chunk in kept)
            self._warn(f"embeddings at {self.file.path}: {problem}; rows from {n_rows} on are computed again")
        return kept

    def compute(self, embedder: Embedder, progress: Progress) -> None:
        """Encode what is missing, chunk by chunk, and finish the file."""
        progress("embed", self.n_done, self.total)
        texts = self.take(_CHUNK_ROWS)
        if not texts and self.was_finished:
            return
        self._check_space()
        self.file.reopen(self.chunks)
        while texts:
            vectors = _checked(embedder.encode(texts), len(texts), self.file.n_dimensions)
            self.chunks.append(self.file.append(vectors, _digest(texts)))
            progress("embed", self.n_done, self.total)
            texts = self.take(_CHUNK_ROWS)
        self.file.finish(self.chunks)

    def roll_back(self) -> None:
        """Leave the disk as it was before."""
        self.file.roll_back(self.chunks[: self._n_chunks_before], was_finished=self.was_finished)

    def _check_space(self) -> None:
        """Refuse work whose result cannot be kept, before hours go into it."""
        self.file.path.parent.mkdir(parents=True, exist_ok=True)
        needed = (self.total - self.n_done) * self.file.row_bytes
        if needed > shutil.disk_usage(self.file.path.parent).free:
            raise storage_full(self.file.path)


def _checked(vectors: NDArray[np.float32], n: int, d: int) -> NDArray[np.float32]:
    if vectors.shape != (n, d) or not np.isfinite(vectors).all():
        raise ShapeError(
            f"the embedder gave shape {vectors.shape}, NaN: {bool(np.isnan(vectors).any())}; "
            f"expected {(n, d)} without NaN or infinity; correct the embedder"
        )
    return vectors


def _nothing(*_: object) -> None:
    """Stand in for a listener."""


def embed_to_file(
    embedder: Embedder,
    texts: Sequence[str] | Iterable[Sequence[str]],
    path: Path,
    *,
    dtype: Literal["float16", "float32"] = "float32",
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> Embeddings:
    """Embed texts into a ``.npy`` file, or take from it what is there already.

    Texts are read once, in order, at most a thousand or so at a time. Rows are safe on disk after each
    chunk, so a killed run continues where it was; until all are there the file has another name. When
    texts were added at the end, only those are computed. Damaged rows, and rows from the first text
    that changed on, are computed again.

    Parameters
    ----------
    embedder : Embedder
    texts : sequence of str, or iterable of sequences of str
        n texts; a sequence may be lazy (it is read in slices).
    path : Path
        Of the finished file; a ``.journal`` lies beside it.
    dtype : {"float16", "float32"}
    progress : callable, optional
        Called with ("embed", done, total) after each chunk; total is 0 for an iterable.
    warn : callable, optional
        Called with one sentence when something on disk could not be used.

    Returns
    -------
    ndarray of shape (n, d)
        A read-only memory map.

    Raises
    ------
    StorageFullError
        If the disk is full, or too small to begin with; the files are as they were before.
    ShapeError
        If the embedder gives a wrong shape, NaN or infinity.
    DataError
        If an iterable yields single texts.
    """
    file = EmbeddingFile(path, dtype, embedder.n_dimensions, embedder.fingerprint)
    run = _Run(file, texts, warn or _nothing)
    try:
        with space_watched(path):
            run.compute(embedder, progress or _nothing)
    except StorageFullError:
        run.roll_back()
        raise
    return file.open()


@dataclass(frozen=True)
class Cached:
    """An embedder whose vectors are kept in a folder, one file for each way of making them.

    Parameters
    ----------
    embedder : Embedder
    folder : Path
    dtype : {"float16", "float32"}
        float16 halves the file; cosines change in the fourth digit.
    name : str
        Begins the name of the file; give each list of texts its own.
    """

    embedder: Embedder
    folder: Path
    dtype: Literal["float16", "float32"] = "float32"
    name: str = "pool"

    def __post_init__(self) -> None:
        if self.dtype not in ("float16", "float32"):
            raise ConfigError(f"dtype is {self.dtype!r}; choose from: float16, float32; correct it")

    @property
    def path(self) -> Path:
        """File of the vectors."""
        method = re.sub(r"[^\w.-]", "_", self.embedder.fingerprint)
        return Path(self.folder) / f"{self.name}-{method}-{self.dtype}.npy"

    def encode_pool(
        self,
        texts: Sequence[str] | Iterable[Sequence[str]],
        *,
        progress: Progress | None = None,
        warn: Warn | None = None,
    ) -> Embeddings:
        """Return the embeddings of `texts`, shape (n, d), as a read-only memory map; see `embed_to_file`."""
        return embed_to_file(self.embedder, texts, self.path, dtype=self.dtype, progress=progress, warn=warn)


@dataclass(frozen=True)
class _LinedUp:
    """An embedder whose views of a text stand side by side in one row."""

    embedder: Embedder

    @property
    def n_dimensions(self) -> int:
        return n_views(self.embedder) * self.embedder.n_dimensions

    @property
    def fingerprint(self) -> str:
        return f"{self.embedder.fingerprint}-{n_views(self.embedder)}views"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.asarray(encode_views(self.embedder, texts), dtype=np.float32).reshape(len(texts), self.n_dimensions)


def views_in_cache(
    cached: Cached,
    texts: Sequence[str] | Iterable[Sequence[str]],
    *,
    progress: Progress | None = None,
    warn: Warn | None = None,
) -> Embeddings:
    """Return all views of `texts`, shape (n, v, d), as `Cached.encode_pool` does; (n, d) where there is only one."""
    embedder = cached.embedder
    if n_views(embedder) == 1:
        return cached.encode_pool(texts, progress=progress, warn=warn)
    rows = replace(cached, embedder=_LinedUp(embedder)).encode_pool(texts, progress=progress, warn=warn)
    views: Embeddings = rows.reshape(len(rows), n_views(embedder), embedder.n_dimensions)
    return views
