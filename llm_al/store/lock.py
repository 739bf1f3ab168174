"""One process at a time works on a project."""

import contextlib
import json
import os
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_al.errors import ProjectLockedError
from llm_al.store.files import translating_full_disk

__all__ = ["ProjectLock", "is_held"]

# The system frees both kinds of lock when their holder dies, so a file left behind locks nobody out.
if sys.platform == "win32":
    import msvcrt

    # Far behind the JSON, which a second process must still be able to read.
    _LOCKED_BYTE = 1 << 20

    def _acquire(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    def _release(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _acquire(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _release(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def is_held(folder: Path) -> bool:
    """Whether a living process of this machine works on a project, as far as its lock file tells; takes no lock.

    Looking by locking would make a run fail that starts at this moment.
    """
    try:
        holder = json.loads((folder / ".lock").read_bytes())
        if holder["host"] != socket.gethostname():
            return True
        os.kill(int(holder["pid"]), 0)
    except PermissionError:
        return True
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True


class ProjectLock:
    """Holds `.lock` in a project folder while its ``with`` block runs.

    The file says who holds it: pid, host and start as JSON. It stays after the block, empty.

    Parameters
    ----------
    folder : Path
        An existing project folder.

    Raises
    ------
    ProjectLockedError
        On entering, if another process (or another lock of this one) holds it; names the pid.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / ".lock"
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        with translating_full_disk(self.folder):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _acquire(descriptor)
        except OSError as exc:
            os.close(descriptor)
            raise ProjectLockedError(
                f"project {self.folder} is in use by {self._holder()}; wait until it ends, or stop it"
            ) from exc
        self._descriptor = descriptor
        self._write({"pid": os.getpid(), "host": socket.gethostname(), "started": datetime.now(UTC).isoformat()})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        # A forked child may still have the file open; closing alone would leave the lock with it.
        _release(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = None

    def _write(self, holder: dict[str, object]) -> None:
        if self._descriptor is None:
            return
        # On a full disk the lock holds all the same; only the name of its holder is missing.
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, json.dumps(holder).encode())

    def _holder(self) -> str:
        try:
            holder = json.loads(self.path.read_bytes())
            return f"process {holder['pid']} on {holder['host']} since {holder['started']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process that has just started"
