"""Arrow batches as records; shared by Parquet files and saved datasets."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from llm_al.formats.jsonl import strings_problem
from llm_al.formats.rows import Record

__all__ = ["batch_records"]


def _values(column: Any) -> list[Any]:
    """Return Python values; strings with bad bytes come back with lone surrogates, not as an error."""
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
    return [v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v for v in values]


def _named(values: list[Any], names: Sequence[str]) -> list[Any]:
    return [names[v] if isinstance(v, int) and 0 <= v < len(names) else None for v in values]


def batch_records(batch: Any, start: int, class_names: Mapping[str, Sequence[str]] | None = None) -> Iterator[Record]:
    """Yield one record a row of a record batch or table.

    Parameters
    ----------
    batch : pyarrow.RecordBatch or pyarrow.Table
    start : int
        Number of its first row, counted from 1.
    class_names : mapping of str to sequence of str, optional
        Columns that hold class indices, with the names they stand for; an index outside is None.
    """
    columns = {name: _values(batch.column(name)) for name in batch.schema.names}
    for name, names in (class_names or {}).items():
        columns[name] = _named(columns[name], names)
    for offset, cells in enumerate(zip(*columns.values(), strict=True)):
        row = dict(zip(columns, cells, strict=True))
        problem = next((p for name, cell in row.items() if (p := strings_problem(name, cell))), "")
        yield Record(start + offset, {} if problem else row, problem)
