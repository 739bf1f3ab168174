"""What every reader gives: records with cells, and rows with a known text column."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any, NamedTuple

__all__ = ["Record", "Row", "Table", "cell_problem", "plain_value"]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a user's data.

    Parameters
    ----------
    number : int
        Line of the file on which the row starts, or its position; counted from 1.
    id, text, label : str or None
        None where the cell is missing or empty (an empty text stays an empty string).
    meta : dict
        All other cells, as plain JSON values.
    problem : str
        Why the row cannot be used, as ``"kind: detail"`` with kind ``undecodable`` or ``too long``;
        empty for a good row.
    """

    number: int
    id: str | None = None
    text: str | None = None
    label: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


class Record(NamedTuple):
    """One row before its columns have a meaning. `cells` is empty when there is a problem."""

    number: int
    cells: Mapping[str, Any]
    problem: str = ""


@dataclass(frozen=True)
class Table:
    """An opened source.

    Parameters
    ----------
    name : str
        How messages call it.
    columns : tuple of str
        Empty when only the records know (JSON lines, iterables).
    records : iterator of Record
        Lazy; read once.
    notes : tuple of str
        Choices that were made for the user.
    """

    name: str
    columns: tuple[str, ...]
    records: Iterator[Record]
    notes: tuple[str, ...] = ()


def cell_problem(name: str, value: str) -> str:
    """Return why a string cannot be stored as UTF-8 text, or an empty string.

    A byte that did not decode arrives as a lone surrogate ("surrogateescape").
    """
    if "\x00" in value:
        return f"undecodable: column {name!r} holds a NUL character; remove it"
    if value.isascii():
        return ""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as exc:
        code = ord(value[exc.start])
        if 0xDC80 <= code <= 0xDCFF:
            return (
                f"undecodable: byte 0x{code - 0xDC00:02X} in column {name!r} is not UTF-8; "
                "if the file is Latin-1 or Windows-1252, save it as UTF-8"
            )
        return f"undecodable: column {name!r} holds half a surrogate pair (U+{code:04X}); correct it"
    return ""


def plain_value(value: Any) -> Any:
    """Return `value` as something that JSON can hold; what has no such form becomes its `str`."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if hasattr(value, "tolist"):
        return plain_value(value.tolist())
    return str(value)
