"""Which column holds the text, the id and the label."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.rows import Record

__all__ = ["AUTO", "Columns", "find_column", "find_id_column", "find_label_column", "find_text_column"]

AUTO = "auto"
"""Asks for a label column to be found by its name."""

_TEXT_NAMES = ("text", "texts", "body", "message", "content", "sentence", "utterance", "document", "review", "comment")
_MORE_TEXT_NAMES = ("question", "query", "tweet", "post", "passage", "abstract")
_ID_NAMES = ("id", "uid", "uuid", "guid", "key", "example_id", "text_id", "message_id", "ticket_id", "doc_id", "row_id")
_LABEL_NAMES = ("label", "intent", "category", "class", "gold", "target", "topic", "sentiment")


@dataclass(frozen=True)
class Columns:
    """The meaning of columns. None: there is no such column."""

    text: str
    id: str | None = None
    label: str | None = None


def find_column(name: str, columns: Sequence[str], *, source: str, option: str) -> str:
    """Return the column that the user named, exactly or up to case.

    Raises
    ------
    DataError
        If there is none, with all columns and the option.
    """
    if name in columns:
        return name
    same = [c for c in columns if c.strip().casefold() == name.strip().casefold()]
    if len(same) == 1:
        return same[0]
    near = difflib.get_close_matches(name, columns, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"name one of them with {option}"
    raise DataError(f"{source} has no column {name!r}; its columns are: {', '.join(columns) or 'none'}; {hint}")


def _matching(columns: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return columns with a known name, the best known first."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(column.strip().casefold().replace(" ", "_").replace("-", "_"), column)
    return [by_name[name] for name in names if name in by_name]


def _is_texty(values: Sequence[Any]) -> bool:
    strings = [v for v in values if isinstance(v, str) and v.strip()]
    return bool(strings) and sum(any(ch.isalpha() for ch in s) for s in strings) > len(strings) / 2


def _mean_chars(values: Sequence[Any]) -> float:
    strings = [v for v in values if isinstance(v, str)]
    return sum(map(len, strings)) / max(len(strings), 1)


def _longest(columns: Sequence[str], sample: Sequence[Record]) -> str | None:
    """Return the only column of words, or the one that is by far the longest; None if unclear."""
    cells = {c: [r.cells.get(c) for r in sample if not r.problem] for c in columns}
    texty = sorted((_mean_chars(v), c) for c, v in cells.items() if _is_texty(v))
    if not texty:
        return None
    runner_up = texty[-2][0] if len(texty) > 1 else 0.0
    best, column = texty[-1]
    return column if len(texty) == 1 or (best >= 20 and best >= 2 * runner_up) else None


def find_text_column(columns: Sequence[str], sample: Sequence[Record], *, source: str) -> str:
    """Return the column of texts by its name, else by its content.

    A column called ``text`` wins. Otherwise exactly one column with a usual name, the only column of
    words, or one whose strings are at least twice as long as any other's (mean of the sample).

    Raises
    ------
    DataError
        If no column stands out, with all columns.
    """
    named = _matching(columns, _TEXT_NAMES + _MORE_TEXT_NAMES)
    if named and (len(named) == 1 or named[0].strip().casefold() == "text"):
        return named[0]
    found = None if named else _longest(columns, sample)
    if found is None:
        why = f"several columns may hold the text: {', '.join(named)}" if named else "no column is clearly the text"
        raise DataError(
            f"{source}: {why}; its columns are: {', '.join(columns) or 'none'}; name one with --text-column"
        )
    return found


def find_id_column(columns: Sequence[str], *, text: str | None = None) -> str | None:
    """Return the column of ids by its name, or None."""
    return next((c for c in _matching(columns, _ID_NAMES) if c != text), None)


def find_label_column(columns: Sequence[str], *, source: str) -> str:
    """Return the column of labels by its name.

    Raises
    ------
    DataError
        If there is none, or more than one and none is called ``label``.
    """
    named = _matching(columns, _LABEL_NAMES)
    if named and (len(named) == 1 or named[0].strip().casefold() == "label"):
        return named[0]
    why = f"several columns may hold the label: {', '.join(named)}" if named else "no column looks like the label"
    raise DataError(f"{source}: {why}; its columns are: {', '.join(columns)}; name one with --label-column")
