"""An embedding file that grows chunk by chunk, and knows after a crash what of it is sound."""

import errno
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import StorageFullError
from llm_al.types import Embeddings

_READ_BYTES = 1 << 22
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True)
class Chunk:
    """What the journal says of consecutive rows: how many, of which texts, and the checksum of the bytes."""

    n_rows: int
    texts: str
    crc32: int


@dataclass(frozen=True)
class EmbeddingFile:
    """A matrix of embeddings at `path`, a plain ``.npy`` file when it is finished.

    While it grows it is called ``<path>.part``. Beside it, ``<path>.journal`` names the method, and then
    each chunk that is safely on disk, one JSON line each; bytes that no line vouches for do not count.

    Parameters
    ----------
    path : Path
    dtype : {"float16", "float32"}
    n_dimensions : int
    fingerprint : str
        Of the embedder. A file of another one is not used.
    """

    path: Path
    dtype: Literal["float16", "float32"]
    n_dimensions: int
    fingerprint: str

    @property
    def part(self) -> Path:
        """Name while unfinished."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def journal(self) -> Path:
        """Record of finished chunks."""
        return self.path.with_name(self.path.name + ".journal")

    @property
    def row_bytes(self) -> int:
        """Bytes a row."""
        return self.n_dimensions * np.dtype(self.dtype).itemsize

    def exists(self) -> bool:
        """Whether there is anything to check, finished or not."""
        return self.path.exists() or self.part.exists() or self.journal.exists()

    def sound_chunks(self) -> tuple[list[Chunk], str]:
        """Return the leading chunks whose bytes are as they were written, and what is wrong after them."""
        recorded, problem = self._read_journal()
        data = self.part if self.part.exists() else self.path
        if not data.exists():
            return [], "the data file is missing" if recorded else problem
        with data.open("rb") as file:
            if not problem and data == self.path and file.read(self._offset) != self._header(_n_rows(recorded)):
                problem = "the header does not fit"
            file.seek(self._offset)
            for position, chunk in enumerate(recorded):
                if _checksum(file, chunk.n_rows * self.row_bytes) != chunk.crc32:
                    return recorded[:position], f"chunk {position + 1} is damaged or cut off"
        return recorded, problem

    def is_finished(self, chunks: list[Chunk]) -> bool:
        """Whether the file holds exactly these chunks under its final name."""
        if self.part.exists() or not self.path.exists() or self.path.stat().st_size != self._n_bytes(chunks):
            return False
        with self.path.open("rb") as file:
            return file.read(self._offset) == self._header(_n_rows(chunks))

    def reopen(self, chunks: list[Chunk]) -> None:
        """Make the file unfinished again, cut down to `chunks`."""
        n_bytes = self._n_bytes(chunks)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists() and not self.part.exists():
            self._take_back(n_bytes)
        self.path.unlink(missing_ok=True)
        with self.part.open("r+b" if self.part.exists() else "w+b") as file:
            file.truncate(n_bytes)
            file.write(self._header(0))
            _flush(file)
        self._write_journal(chunks)

    def _take_back(self, n_bytes: int) -> None:
        """Rename the finished file, or copy its head: others may have it mapped, and it must not shrink under them."""
        if self.path.stat().st_size <= n_bytes:
            self.path.replace(self.part)
            return
        new = self.part.with_name(self.part.name + ".new")
        with self.path.open("rb") as old, new.open("wb") as file:
            for block in _blocks(old, n_bytes):
                file.write(block)
        new.replace(self.part)

    def append(self, vectors: NDArray[np.float32], texts: str) -> Chunk:
        """Write one chunk and note it once it is on disk."""
        data = np.ascontiguousarray(vectors, dtype=self.dtype).tobytes()
        chunk = Chunk(len(vectors), texts, zlib.crc32(data))
        for path, content in ((self.part, data), (self.journal, _line(asdict(chunk)))):
            with path.open("ab") as file:
                file.write(content)
                _flush(file)
        return chunk

    def finish(self, chunks: list[Chunk]) -> None:
        """Give the file its header and its final name."""
        with self.part.open("r+b") as file:
            file.write(self._header(_n_rows(chunks)))
            _flush(file)
        self.part.replace(self.path)

    def roll_back(self, chunks: list[Chunk], *, was_finished: bool) -> None:
        """Go back to `chunks`; needs no space on the disk."""
        if not chunks and not was_finished:
            self.discard()
            return
        for path in (self.part, self.journal):
            path.with_name(path.name + ".new").unlink(missing_ok=True)
        if self.part.exists():
            os.truncate(self.part, self._n_bytes(chunks))
            os.truncate(self.journal, len(b"".join(self._lines(chunks))))
            if was_finished:
                self.finish(chunks)

    def discard(self) -> None:
        """Delete everything."""
        for path in (self.part, self.path, self.journal):
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".new").unlink(missing_ok=True)

    def open(self) -> Embeddings:
        """Return the finished file as a read-only memory map, shape (n, d)."""
        opened: Embeddings = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return opened

    @property
    def _offset(self) -> int:
        return len(self._header(0))

    def _n_bytes(self, chunks: list[Chunk]) -> int:
        return self._offset + _n_rows(chunks) * self.row_bytes

    def _header(self, n_rows: int) -> bytes:
        # Padded by hand to one length for every row count, so that it can be rewritten in place.
        descr, shape = np.dtype(self.dtype).str, (n_rows, self.n_dimensions)
        fields = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}"
        return b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + fields.ljust(117).encode("ascii") + b"\n"

    def _origin(self) -> dict[str, Any]:
        return {"fingerprint": self.fingerprint, "dtype": self.dtype, "n_dimensions": self.n_dimensions}

    def _lines(self, chunks: list[Chunk]) -> list[bytes]:
        return [_line(self._origin()), *(_line(asdict(chunk)) for chunk in chunks)]

    def _write_journal(self, chunks: list[Chunk]) -> None:
        new = self.journal.with_name(self.journal.name + ".new")
        with new.open("wb") as file:
            file.writelines(self._lines(chunks))
            _flush(file)
        new.replace(self.journal)

    def _read_journal(self) -> tuple[list[Chunk], str]:
        try:
            first, *lines = self.journal.read_bytes().splitlines(keepends=True)
            if json.loads(first) != self._origin():
                return [], "they were made by another embedder"
            # A kill can tear the last line; its chunk was never vouched for.
            return [Chunk(**json.loads(line)) for line in lines if line.endswith(b"\n")], ""
        except FileNotFoundError:
            return [], "the journal is missing"
        except (ValueError, TypeError):
            return [], "the journal cannot be read"


def storage_full(path: Path) -> StorageFullError:
    """Return the error for a full disk, with `errno` set."""
    error = StorageFullError(
        f"no space left for embeddings at {path}; nothing half-written was kept; free some space and run again"
    )
    error.errno = errno.ENOSPC
    return error


@contextmanager
def space_watched(path: Path) -> Iterator[None]:
    """Turn "no space left" into a `StorageFullError` that names the file."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        raise storage_full(path) from exc


def _n_rows(chunks: list[Chunk]) -> int:
    return sum(chunk.n_rows for chunk in chunks)


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _blocks(file: BinaryIO, n_bytes: int) -> Iterator[bytes]:
    """Yield the next bytes in blocks; fewer where the file ends."""
    while n_bytes and (block := file.read(min(n_bytes, _READ_BYTES))):
        n_bytes -= len(block)
        yield block


def _checksum(file: BinaryIO, n_bytes: int) -> int | None:
    """Return the checksum of the next bytes; None when there are fewer."""
    value = 0
    for block in _blocks(file, n_bytes):
        value, n_bytes = zlib.crc32(block, value), n_bytes - len(block)
    return None if n_bytes else value
