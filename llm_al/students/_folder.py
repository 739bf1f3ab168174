"""A student on disk: one folder, complete or absent."""

import json
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from llm_al.errors import StorageFullError, StudentError

__all__ = [
    "HEADER",
    "Header",
    "new_folder",
    "read_arrays",
    "read_header",
    "replace_arrays",
    "write_arrays",
    "write_header",
]

_log = logging.getLogger(__name__)

HEADER = "student.json"
_FORMAT = 1
_NO_SPACE = 28


@dataclass(frozen=True)
class Header:
    """What every saved student says of itself."""

    kind: str
    labels: tuple[str, ...]
    temperature: float
    settings: Mapping[str, Any]


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into, and put it in the place of `folder` when the block ends.

    An exception leaves `folder` as it was.

    Raises
    ------
    StudentError
        If `folder` exists and holds something other than a student.
    StorageFullError
        If the disk is full.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / HEADER).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise StudentError(f"{folder} exists and holds no student; it is left alone; choose an empty or a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unique = uuid.uuid4().hex[:8]
    fresh, stale = (folder.with_name(f".{folder.name}.{unique}.{what}") for what in ("new", "old"))
    try:
        fresh.mkdir()
        yield fresh
        if folder.exists():
            # A folder cannot be renamed onto one with content.
            os.rename(folder, stale)  # noqa: PTH104
        os.rename(fresh, folder)  # noqa: PTH104
    except OSError as exc:
        if exc.errno == _NO_SPACE:
            raise StorageFullError(f"no space left to save the student in {folder}; free some and save again") from exc
        raise
    finally:
        if stale.exists() and not folder.exists():
            # Interrupted between the two renames: the older student is put back.
            os.rename(stale, folder)  # noqa: PTH104
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(stale, ignore_errors=True)


def write_header(folder: Path, header: Header) -> None:
    """Write the header into `folder`."""
    content = {
        "format": _FORMAT,
        "kind": header.kind,
        "labels": list(header.labels),
        "temperature": header.temperature,
        "settings": dict(header.settings),
    }
    (folder / HEADER).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_header(folder: Path) -> Header:
    """Read the header of a saved student.

    Raises
    ------
    StudentError
        If there is none, or it is of another format.
    """
    path = Path(folder) / HEADER
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise StudentError(
                f"{path} has format {content['format']}; this version reads format {_FORMAT}; train the student again"
            )
        labels = tuple(content["labels"])
        return Header(content["kind"], labels, float(content["temperature"]), content["settings"])
    except FileNotFoundError:
        raise StudentError(f"{folder} holds no {HEADER}; give the folder that a student was saved to") from None
    except (ValueError, KeyError, TypeError) as exc:
        raise StudentError(f"{path} is damaged ({type(exc).__name__}: {exc}); train the student again") from exc


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays as safetensors."""
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, path)


def replace_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write named arrays, whole or not at all, in the place of what was there; no arrays leave it.

    For what can be made again: a full disk is no error, and leaves what was there.
    """
    if not arrays:
        return
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        write_arrays(fresh, arrays)
        fresh.replace(path)
    except (OSError, SafetensorError):
        _log.warning("%s could not be written; what it holds will be made again", path)
    finally:
        fresh.unlink(missing_ok=True)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read named arrays from safetensors.

    Raises
    ------
    StudentError
        If the file is absent or damaged.
    """
    try:
        arrays: dict[str, NDArray[Any]] = load_file(path)
        return arrays
    except (FileNotFoundError, SafetensorError) as exc:
        raise StudentError(f"{path} is missing or damaged ({exc}); train the student again") from exc
