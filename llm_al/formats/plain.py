"""Plain text: one text a line."""

from collections.abc import Iterator
from pathlib import Path

from llm_al.formats.rows import Record, Table, cell_problem
from llm_al.formats.streams import MAX_LINE_CHARS, bounded_lines, open_text, read_head

__all__ = ["read_plain"]


def _records(path: Path) -> Iterator[Record]:
    with open_text(path) as stream:
        for number, (line, is_whole) in enumerate(bounded_lines(stream), start=1):
            text = line.removesuffix("\n")
            if not is_whole:
                yield Record(number, {}, f"too long: the line has more than {MAX_LINE_CHARS:,} characters")
            elif problem := cell_problem("text", text):
                yield Record(number, {}, problem)
            else:
                yield Record(number, {"text": text})


def read_plain(path: Path) -> Table:
    """Open a text file (also ``.gz``) with one text a line; it has one column, ``text``.

    Raises
    ------
    DataError
        If the file is missing, empty or binary.
    """
    read_head(path)
    return Table(str(path), ("text",), _records(path))
