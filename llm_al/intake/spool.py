"""Checked rows on disk until the whole input is known to be good."""

import errno
import json
import tempfile
from array import array
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from llm_al.errors import StorageFullError

__all__ = ["Entry", "Spool", "full_disk_refused"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def full_disk_refused(what: str) -> Iterator[None]:
    """Turn "no space left" into `StorageFullError`; other errors pass."""
    try:
        yield
    except StorageFullError:
        raise
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        raise StorageFullError(f"no space left on the disk for {what}; nothing was added; free some space") from exc


class Entry(NamedTuple):
    """One checked row."""

    number: int
    id: str
    text: str
    label: str | None
    meta: Mapping[str, Any]
    is_id_given: bool


class Spool:
    """An append-only temporary file of entries, read by position; a lazy sequence of their texts.

    Positions count from 0. The file is gone when it is closed.
    """

    def __init__(self) -> None:
        with full_disk_refused("checking the texts"):
            self._file = tempfile.TemporaryFile("w+b", prefix="llm_al-intake-")  # noqa: SIM115 - lives as long as self
        self._offsets = array("q")
        self._end = 0

    def append(self, entry: Entry) -> None:
        """Write one entry at the end."""
        line = json.dumps(entry, ensure_ascii=True, default=str).encode("ascii") + b"\n"
        with full_disk_refused("checking the texts"):
            self._file.write(line)
        self._offsets.append(self._end)
        self._end += len(line)

    def flush(self) -> None:
        """Bring everything to the disk, so that a full one is noticed now."""
        with full_disk_refused("checking the texts"):
            self._file.flush()

    def entry(self, position: int) -> Entry:
        """Return one entry."""
        self._file.seek(self._offsets[position])
        return Entry(*json.loads(self._file.readline()))

    def __len__(self) -> int:
        return len(self._offsets)

    def __getitem__(self, position: int) -> str:
        return self.entry(position).text

    def __iter__(self) -> Iterator[Entry]:
        for position in range(len(self)):
            yield self.entry(position)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()
