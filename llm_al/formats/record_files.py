"""Files of annotation tools: objects in, objects out, and errors that name file and row."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.jsonl import read_jsonl, strings_problem
from llm_al.formats.records import Record
from llm_al.formats.streams import open_text, read_head
from llm_al.types import RESERVED_LABELS

__all__ = ["cell", "checked", "label_names", "read_lines", "read_list", "write_lines", "write_list"]

Json = dict[str, Any]
Numbered = Iterator[tuple[int, Json]]
_MISSING = object()


def read_lines(path: Path) -> Numbered:
    """Yield the objects of a JSON Lines file with their line numbers, one by one; blank lines are passed over.

    Raises
    ------
    DataError
        If the file is missing, empty or no text, or at the first line that is no JSON object.
    """
    for record in read_jsonl(path).records:
        if record.problem:
            raise DataError(f"{path}, row {record.number}: {record.problem.partition(': ')[2]}; correct the line")
        if record.cells:
            yield record.number, dict(record.cells)


def read_list(path: Path) -> Numbered:
    """Yield the objects of a file that is one JSON list, with their positions, counted from 1.

    Raises
    ------
    DataError
        If the file is missing or no such list, or at the first item that is no object.
    """
    read_head(path)
    try:
        with open_text(path) as stream:
            items = json.load(stream)
    except (ValueError, RecursionError) as exc:
        raise DataError(f"{path}: no JSON ({str(exc)[:80]}); expected one list of objects; export it again") from None
    if not isinstance(items, list):
        raise DataError(f"{path}: a JSON {type(items).__name__}; expected one list of objects; export it again")
    for number, item in enumerate(items, start=1):
        if not isinstance(item, dict):
            raise DataError(f"{path}, row {number}: a JSON {type(item).__name__}; expected an object; remove it")
        if problem := strings_problem("cell", item):
            raise DataError(f"{path}, row {number}: {problem.partition(': ')[2]}")
        yield number, item


def checked(
    path: Path, rows: Numbered, parse: Callable[[Json], Record], *, labels: Sequence[str] | None
) -> Iterator[tuple[int, Record]]:
    """Yield the records of a file's objects with their numbers; what is wrong is told with file and row.

    Parameters
    ----------
    labels : sequence of str or None
        Allowed labels beside ``none_of_these`` and ``skip``; None allows all.
    """
    allowed = None if labels is None else RESERVED_LABELS.union(labels)
    for number, row in rows:
        try:
            record = parse(row)
        except DataError as exc:
            raise DataError(f"{path}, row {number}: {exc}") from None
        said = [label for answer in record.annotations for label in (*answer.labels, *answer.negative_labels)]
        unknown = next((label for label in said if allowed is not None and label not in allowed), None)
        if unknown is not None:
            raise DataError(
                f"{path}, row {number}: unknown label {unknown!r}; choose from: {', '.join(labels or ())}; "
                "correct the label or add it to the label list"
            )
        yield number, record


def cell(row: Json, name: str, kinds: type | tuple[type, ...], *, default: Any = _MISSING) -> Any:
    """Return a value of one of some kinds; null and absent ones are the default.

    Raises
    ------
    DataError
        If it is of another kind, or absent where there is no default.
    """
    allowed = kinds if isinstance(kinds, tuple) else (kinds,)
    value = row.get(name)
    if value is None and default is not _MISSING:
        return default
    if isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool)):
        return value
    found = "missing" if name not in row else f"a {type(value).__name__}"
    raise DataError(f"{name!r} is {found}; expected: {' or '.join(kind.__name__ for kind in allowed)}")


def label_names(value: Any, name: str) -> tuple[str, ...]:
    """Return a label, or a list of labels, as a tuple; whole numbers become strings, null and absent an empty one.

    Raises
    ------
    DataError
        If anything in it is neither a string nor a whole number.
    """
    items = value if isinstance(value, list) else [] if value is None else [value]
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int):
            raise DataError(f"{name!r} holds a {type(item).__name__}; expected label names as strings")
    return tuple(str(item) for item in items)


def _encoded(row: Json, number: int) -> str:
    if problem := strings_problem("cell", row):
        raise DataError(f"record {number} cannot be written: {problem.partition(': ')[2]}")
    return json.dumps(row, ensure_ascii=False)


def _write(path: Path, parts: Iterable[str]) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(parts)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_lines(rows: Iterable[Json], path: Path) -> None:
    """Write JSON Lines in UTF-8, one object at a time; the file appears complete or not at all.

    Raises
    ------
    DataError
        If a text cannot be stored as UTF-8.
    """
    _write(path, (f"{_encoded(row, number)}\n" for number, row in enumerate(rows, start=1)))


def write_list(rows: Iterable[Json], path: Path) -> None:
    """Write one JSON list in UTF-8, one object at a time and a line; the file appears complete or not at all.

    Raises
    ------
    DataError
        If a text cannot be stored as UTF-8.
    """

    def parts() -> Iterator[str]:
        yield "["
        for number, row in enumerate(rows, start=1):
            yield f"{',' if number > 1 else ''}\n{_encoded(row, number)}"
        yield "\n]\n"

    _write(path, parts())
