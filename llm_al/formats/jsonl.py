"""JSON Lines: one object a line."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.rows import Record, Table, cell_problem
from llm_al.formats.streams import MAX_LINE_CHARS, bounded_lines, open_text, read_head

__all__ = ["read_jsonl", "strings_problem"]


def strings_problem(name: str, value: Any) -> str:
    """Return the first problem of any string inside `value`, or an empty string."""
    if isinstance(value, str):
        return cell_problem(name, value)
    if isinstance(value, Mapping):
        parts = [item for pair in value.items() for item in pair]
    elif isinstance(value, list | tuple):
        parts = list(value)
    else:
        return ""
    return next((found for part in parts if (found := strings_problem(name, part))), "")


def _parse(number: int, line: str) -> Record:
    try:
        cells = json.loads(line)
    except json.JSONDecodeError as exc:
        problem = cell_problem("line", line) or f"undecodable: invalid JSON at column {exc.colno}: {exc.msg}"
        return Record(number, {}, problem)
    except (RecursionError, ValueError) as exc:
        return Record(number, {}, f"undecodable: invalid JSON: {str(exc)[:80]}")
    if not isinstance(cells, dict):
        return Record(
            number, {}, f'undecodable: a JSON {type(cells).__name__}; expected an object like {{"text": "..."}}'
        )
    for name, value in cells.items():
        if problem := cell_problem("key", name) or strings_problem(name, value):
            return Record(number, {}, problem)
    return Record(number, cells)


def _records(path: Path) -> Iterator[Record]:
    with open_text(path) as stream:
        for number, (line, is_whole) in enumerate(bounded_lines(stream), start=1):
            if not is_whole:
                yield Record(number, {}, f"too long: the line has more than {MAX_LINE_CHARS:,} characters")
            elif line.isspace():
                yield Record(number, {})
            else:
                yield _parse(number, line)


def read_jsonl(path: Path) -> Table:
    """Open a JSON Lines file (also ``.gz``). Lines that are no JSON object become records with a problem.

    Raises
    ------
    DataError
        If the file is missing, empty, binary, or one JSON array.
    """
    head = read_head(path)
    if head.lstrip().startswith("["):
        raise DataError(f"{path} is one JSON array; expected JSON Lines, one object a line; convert it to .jsonl")
    return Table(str(path), (), _records(path))
