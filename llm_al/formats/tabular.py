"""CSV and TSV, streamed row by row."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_al.errors import DataError
from llm_al.formats.rows import Record, Table, cell_problem
from llm_al.formats.streams import bounded_lines, open_text, read_head

__all__ = ["MAX_CELL_CHARS", "read_delimited"]

MAX_CELL_CHARS = 1_000_000
"""A longer cell is most often a quote that nobody closed; its row is listed, not read."""
_DELIMITERS = (",", ";", "\t")
_SAMPLE_ROWS = 20


@dataclass
class _Lines:
    """Feeds the csv module line by line, and knows which line it is on."""

    lines: Iterator[tuple[str, bool]]
    number: int = 0

    def __iter__(self) -> Iterator[str]:
        for line, _ in self.lines:
            self.number += 1
            yield line


def _sample(head: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        for row in csv.reader(head.splitlines(keepends=True), delimiter=delimiter):
            rows.append(row)
            if len(rows) > _SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return [row for row in rows if row]


def _sniff_delimiter(head: str) -> str:
    """Return the delimiter under which most of the first rows are as wide as the header."""

    def quality(delimiter: str) -> tuple[int, int]:
        rows = _sample(head, delimiter)
        width = len(rows[0]) if rows else 0
        return (sum(len(row) == width for row in rows), width) if width > 1 else (0, 0)

    return max(_DELIMITERS, key=quality)


def _looks_like_data(cell: str) -> bool:
    is_number = cell.replace(".", "", 1).replace("-", "", 1).isdigit()
    return is_number or len(cell) > 60 or len(cell.split()) > 6


def _check_header(path: Path, header: Sequence[str]) -> tuple[str, ...]:
    names = tuple(name.strip() or f"column {i}" for i, name in enumerate(header, start=1))
    for name in names:
        if _looks_like_data(name):
            raise DataError(
                f"{path}: the first line looks like data ({name[:30]!r}), not like column names; "
                "add a header line such as: id,text"
            )
        if cell_problem("header", name):
            raise DataError(f"{path}: the header is not UTF-8; save the file as UTF-8 (it may be Latin-1)")
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise DataError(f"{path}: column {twice[0]!r} is there twice; column names must differ; rename one")
    return names


def _record(number: int, columns: tuple[str, ...], cells: list[str]) -> Record:
    if not cells:
        return Record(number, {})
    if len(cells) != len(columns):
        problem = f"undecodable: {len(cells)} cells where the header has {len(columns)}; put quotes around the text"
        return Record(number, {}, problem)
    for name, cell in zip(columns, cells, strict=True):
        if not cell.isascii() or "\x00" in cell:
            problem = cell_problem(name, cell)
            if problem:
                return Record(number, {}, problem)
    return Record(number, dict(zip(columns, cells, strict=True)))


def _quoting_problem(exc: csv.Error, first: int, last: int) -> str:
    where = f"line {first}" if first == last else f"lines {first} to {last}"
    if "field limit" in str(exc):
        return f"too long: {where}: a cell has more than {MAX_CELL_CHARS:,} characters (or a quote is never closed)"
    if "end of data" in str(exc):
        return f"undecodable: {where}: a quote that opens here is never closed"
    return f"undecodable: {where}: broken quoting ({exc}); double the quotes inside a quoted cell"


def _records(path: Path, delimiter: str) -> Iterator[Record]:
    """Yield the header as record 0, then the rows under their line numbers."""
    # The limit is process-wide; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL_CHARS))
    with open_text(path, newline="") as stream:
        lines = _Lines(bounded_lines(stream))
        reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
        columns: tuple[str, ...] = ()
        while True:
            first = lines.number + 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as exc:
                yield Record(first, {}, _quoting_problem(exc, first, lines.number))
                continue
            if columns:
                yield _record(first, columns, cells)
            elif cells:
                columns = _check_header(path, cells)
                yield Record(0, dict.fromkeys(columns))


def read_delimited(path: Path) -> Table:
    """Open a CSV or TSV file (also ``.gz``); the delimiter is a comma, a semicolon or a tab.

    Rows with broken quoting, too many or too few cells, or undecodable bytes become records with a
    problem. A blank line is an empty row.

    Raises
    ------
    DataError
        If the file is missing, empty, binary, or its header cannot be used.
    """
    head = read_head(path)
    is_tsv = path.name.lower().removesuffix(".gz").endswith(".tsv")
    records = _records(path, "\t" if is_tsv else _sniff_delimiter(head))
    header = next(records, None)
    if header is None:
        raise DataError(f"{path} is empty; it has to hold a header line and at least one text")
    if header.problem:
        raise DataError(f"{path}: the header line has {header.problem.partition(': ')[2]}; correct it")
    return Table(str(path), tuple(header.cells), records)
