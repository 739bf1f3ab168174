"""Python iterables of strings or mappings, and data frames."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.jsonl import strings_problem
from llm_al.formats.rows import Record, Table

__all__ = ["read_iterable"]

_BATCH_ROWS = 1_000


def _records(items: Iterable[Any]) -> Iterator[Record]:
    for number, item in enumerate(items, start=1):
        cells = {"text": item} if item is None or isinstance(item, str) else item
        if not isinstance(cells, Mapping):
            raise DataError(
                f"item {number} is a {type(item).__name__}; allowed: strings, or mappings like "
                '{"id": ..., "text": ...}; convert it'
            )
        problem = next((p for name, cell in cells.items() if (p := strings_problem(str(name), cell))), "")
        yield Record(number, {} if problem else {str(name): cell for name, cell in cells.items()}, problem)


def _frame_items(frame: Any) -> Iterator[Any]:
    # A NaN in a data frame is a missing cell, and its columns lose their integer type around it.
    for start in range(0, len(frame), _BATCH_ROWS):
        part = frame.iloc[start : start + _BATCH_ROWS].astype(object)
        yield from part.where(part.notna(), None).to_dict("records")


def read_iterable(source: Iterable[Any]) -> Table:
    """Open any iterable of strings (the texts) or mappings, or a pandas DataFrame.

    Raises
    ------
    DataError
        If it is bytes, a mapping, or not iterable; while reading, if an item is neither string nor mapping.
    """
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        return Table("the data frame", tuple(map(str, source.columns)), _records(_frame_items(source)))
    if isinstance(source, bytes | bytearray | Mapping) or not isinstance(source, Iterable):
        raise DataError(
            f"texts arrived as a {type(source).__name__}; allowed: a path, or an iterable of strings or mappings; "
            "wrap them in a list"
        )
    return Table("the iterable", (), _records(source))
