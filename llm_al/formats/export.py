"""Labelled datasets out: CSV, JSON Lines, Parquet or a `datasets` folder, whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from llm_al.errors import ConfigError, DataError, StorageFullError
from llm_al.formats.writers import write_csv, write_jsonl
from llm_al.types import Source, Split

__all__ = ["FORMATS", "ExportRow", "write"]

FORMATS = ("csv", "jsonl", "parquet", "datasets")

_SUFFIXES = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    "": "datasets",
}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class ExportRow:
    """One labelled example, as it leaves the project.

    Parameters
    ----------
    label : str
        A label of the scheme, or ``none_of_these``.
    posterior : float or None
        Probability of `label`; None where it has none.
    proba : mapping of str to float
        Probability of every label; empty where there is none.
    annotators : tuple of str
        Who answered.
    round : int
        Round in which the label was settled.
    reason : str
        Why the example was routed as it was.
    votes : mapping of str to float
        Shares of the labels that people gave; empty without an answer with a label.
    """

    id: str
    text: str
    label: str
    posterior: float | None = None
    proba: Mapping[str, float] = field(default_factory=dict)
    source: Source = Source.HUMAN
    annotators: tuple[str, ...] = ()
    round: int = 0
    agreement: float | None = None
    reason: str = ""
    split: Split = Split.POOL
    votes: Mapping[str, float] = field(default_factory=dict)


class _Writer(Protocol):
    def __call__(self, rows: Iterable[ExportRow], target: Path, /) -> int: ...


def _format_of(target: Path, name: str | None) -> str:
    found = name or _SUFFIXES.get(target.suffix.lower())
    if found not in FORMATS:
        what = f"export format {name!r}" if name else f"suffix {target.suffix!r} of {target}"
        raise ConfigError(f"unknown {what}; choose a format from: {', '.join(FORMATS)}")
    return found


def _writer(name: str) -> _Writer:
    if name == "jsonl":
        return write_jsonl
    # pyarrow and datasets take up to a second to load; only those who use them pay.
    writer: _Writer = getattr(import_module("llm_al.formats.arrow_writers"), f"write_{name}")
    return writer


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _put_in_place(temporary: Path, target: Path) -> None:
    if not target.is_dir():
        temporary.replace(target)
        return
    old = temporary.with_suffix(".old")
    target.replace(old)
    temporary.replace(target)
    shutil.rmtree(old, ignore_errors=True)


def _check_target(target: Path, name: str) -> None:
    if not target.parent.is_dir():
        raise DataError(f"folder {target.parent} does not exist; create it, or export to another place")
    if name == "datasets" and target.is_file():
        raise DataError(f"{target} is a file; a datasets export is a folder; give the name of a new folder")
    if target.is_dir() and (name != "datasets" or (any(target.iterdir()) and not (target / "state.json").is_file())):
        raise DataError(f"{target} is a folder that holds something else; give another name")


@contextmanager
def _whole_or_not_at_all(target: Path) -> Iterator[Path]:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _put_in_place(temporary, target)
    except PermissionError as exc:
        raise DataError(f"{target} cannot be written (no permission); export to another place") from exc
    except OSError as exc:
        if isinstance(exc, StorageFullError) or (exc.errno not in _FULL and "No space left" not in str(exc)):
            raise
        raise StorageFullError(f"no space left on the disk for {target}; nothing was kept; free some space") from exc
    finally:
        _remove(temporary)


def write(
    rows: Iterable[ExportRow], target: Path, format: str | None = None, *, is_spreadsheet_safe: bool = False
) -> int:
    """Write labelled examples, one at a time, and return how many.

    The target appears complete under its name or not at all; an earlier export stays until then.

    Parameters
    ----------
    rows : iterable of ExportRow
    target : path
        A file, or for ``datasets`` a folder; an earlier export there is replaced.
    format : {"csv", "jsonl", "parquet", "datasets"}, optional
        Follows from the suffix when absent; no suffix is a `datasets` folder.
    is_spreadsheet_safe : bool
        For CSV only: puts an apostrophe before cells that a spreadsheet would run as a formula, and a
        byte order mark first. Off, texts are written exactly as they are.

    Raises
    ------
    ConfigError
        If the format is unknown.
    DataError
        If the folder does not exist, or the target is a folder of something else.
    StorageFullError
        If the disk is full; nothing half-written is left.
    """
    name = _format_of(target, format)
    _check_target(target, name)
    with _whole_or_not_at_all(target) as temporary:
        if name == "csv":
            return write_csv(rows, temporary, is_spreadsheet_safe=is_spreadsheet_safe)
        return _writer(name)(rows, temporary)
