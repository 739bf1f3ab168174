"""Artefacts beside the database: files named by what made them, whole or absent, checked on reading."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import StorageFullError, StoreError

__all__ = ["Artefacts", "storage_full", "translating_full_disk", "write_atomically"]

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_TEMPORARY = ".part"
_CHECKSUM = ".blake2b"


def storage_full(folder: Path) -> StorageFullError:
    """Return the one error that says that `folder` takes no more."""
    error = StorageFullError(
        f"no space left in {folder}; nothing half-written was kept; free some space (its cache/ can be deleted, "
        "it is rebuilt) or move the project, then run the same command again"
    )
    error.errno = errno.ENOSPC
    return error


@contextmanager
def translating_full_disk(folder: Path) -> Iterator[None]:
    """Turn the system's "no space left" and "quota exceeded" into `StorageFullError`."""
    try:
        yield
    except StorageFullError:
        raise
    except OSError as exc:
        if exc.errno in _FULL:
            raise storage_full(folder) from exc
        raise


def _sync_folder(folder: Path) -> None:
    # Windows cannot open a folder, and needs no such call.
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name and rename it, so that `path` is whole or as it was.

    Parameters
    ----------
    path : Path
        Its folder is made if need be.
    write : callable
        Called with the open binary file.

    Raises
    ------
    StorageFullError
        If the disk is full; the temporary file is gone.
    """
    with translating_full_disk(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_TEMPORARY, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _ignore(_message: str) -> None: ...


@dataclass(frozen=True)
class Artefacts:
    """Files by kind and fingerprint.

    Parameters
    ----------
    folder : Path
        For example `cache/` of a project; made when the first file is written.
    warn : callable
        Called with one line when a file is corrupt and will have to be made again.
    """

    folder: Path
    warn: Callable[[str], None] = _ignore

    def path(self, kind: str, fingerprint: str, suffix: str) -> Path:
        """Return where an artefact lies: ``folder/kind/fingerprint + suffix``.

        Raises
        ------
        StoreError
            If a part is empty or leads out of the folder.
        """
        for part in (kind, fingerprint, f"x{suffix}"):
            if not part or part in {".", ".."} or any(c in part for c in "/\\\0"):
                raise StoreError(f"artefact name {part!r} is not a plain file name; use letters, digits, '-' and '.'")
        return self.folder / kind / f"{fingerprint}{suffix}"

    def save_array(self, kind: str, fingerprint: str, array: NDArray[Any]) -> Path:
        """Write an array as ``.npy`` with its checksum beside it, and return its path."""
        path = self.path(kind, fingerprint, ".npy")
        self._save(path, lambda file: np.lib.format.write_array(file, np.asarray(array), allow_pickle=False))
        return path

    def load_array(self, kind: str, fingerprint: str, *, n_rows: int | None = None) -> NDArray[Any] | None:
        """Return a read-only memory map, or None if the file is absent, corrupt or not `n_rows` long.

        An array without elements comes back as an ordinary array, since nothing can be mapped.
        """
        path = self.path(kind, fingerprint, ".npy")
        if not self._is_sound(path):
            return None
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        if n_rows is not None and (array.ndim == 0 or len(array) != n_rows):
            self.warn(f"{path} has shape {array.shape}, expected {n_rows} rows; it will be made again")
            return None
        return array

    def save_json(self, kind: str, fingerprint: str, value: Any) -> Path:
        """Write JSON with its checksum beside it, and return its path."""
        path = self.path(kind, fingerprint, ".json")
        data = json.dumps(value, ensure_ascii=False).encode()
        self._save(path, lambda file: file.write(data))
        return path

    def load_json(self, kind: str, fingerprint: str) -> Any | None:
        """Return what was saved, or None if the file is absent or corrupt."""
        path = self.path(kind, fingerprint, ".json")
        return json.loads(path.read_bytes()) if self._is_sound(path) else None

    def remove_leftovers(self) -> int:
        """Delete temporary files of killed processes and return how many; call it under the project lock."""
        leftovers = list(self.folder.rglob(f".*{_TEMPORARY}"))
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)
        return len(leftovers)

    def _save(self, path: Path, write: Callable[[BinaryIO], object]) -> None:
        write_atomically(path, write)
        # A kill between the two leaves a file without its checksum: it counts as corrupt and is made again.
        checksum = _checksum(path).encode()
        write_atomically(path.with_name(path.name + _CHECKSUM), lambda file: file.write(checksum))

    def _is_sound(self, path: Path) -> bool:
        if not path.exists():
            return False
        recorded = path.with_name(path.name + _CHECKSUM)
        if recorded.exists() and recorded.read_text(encoding="ascii", errors="replace") == _checksum(path):
            return True
        self.warn(f"{path} is corrupt (its checksum does not match); it will be made again")
        return False
