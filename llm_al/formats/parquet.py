"""Parquet, read in record batches."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llm_al.errors import DataError
from llm_al.formats.arrow import batch_records
from llm_al.formats.rows import Record, Table

__all__ = ["read_parquet"]

_BATCH_ROWS = 1_000


def _records(file: Any) -> Iterator[Record]:
    start = 1
    with file:
        for batch in file.iter_batches(batch_size=_BATCH_ROWS):
            yield from batch_records(batch, start)
            start += batch.num_rows


def read_parquet(path: Path) -> Table:
    """Open a Parquet file.

    Raises
    ------
    DataError
        If it is missing, empty or not Parquet, or a column name is there twice.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give the path of an existing file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; it has to hold at least one text")
    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as exc:
        raise DataError(f"{path} is not a Parquet file ({str(exc).splitlines()[0][:120]}); write it again") from exc
    names = tuple(file.schema_arrow.names)
    if len(set(names)) < len(names):
        raise DataError(f"{path}: a column name is there twice among: {', '.join(names)}; rename one")
    return Table(str(path), names, _records(file))
