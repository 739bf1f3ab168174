"""Arrow exports: Parquet and a folder for `datasets.load_from_disk`."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from llm_al.formats.writers import Exported, values_of

__all__ = ["SCHEMA", "to_dataset", "write_datasets", "write_parquet"]

_BATCH_ROWS = 1_000
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        ("label", pa.string()),
        ("posterior", pa.float64()),
        ("source", pa.string()),
        ("annotators", pa.list_(pa.string())),
        ("round", pa.int64()),
        ("agreement", pa.float64()),
        ("reason", pa.string()),
        ("split", pa.string()),
        # Arrow maps are unknown to `datasets`; a list of pairs is read by both.
        ("proba", pa.list_(pa.struct([("label", pa.string()), ("probability", pa.float64())]))),
        ("votes", pa.list_(pa.struct([("label", pa.string()), ("share", pa.float64())]))),
    ]
)


def _batches(rows: Iterable[Exported]) -> Iterator[Any]:
    iterator = iter(rows)
    while part := [values_of(row) for row in islice(iterator, _BATCH_ROWS)]:
        for values in part:
            values["proba"] = [{"label": name, "probability": p} for name, p in values["proba"].items()]
            values["votes"] = [{"label": name, "share": share} for name, share in values["votes"].items()]
        yield pa.RecordBatch.from_pylist(part, schema=SCHEMA)


def _write_batches(writer: Any, rows: Iterable[Exported]) -> int:
    count = 0
    with writer:
        for batch in _batches(rows):
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def write_parquet(rows: Iterable[Exported], target: Path) -> int:
    """Write Parquet (zstd); `proba` and `votes` are lists of pairs."""
    return _write_batches(pq.ParquetWriter(target, SCHEMA, compression="zstd"), rows)


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Keep the library's bar off the caller's terminal; its switch is process-wide."""
    if datasets.are_progress_bars_disabled():
        yield
        return
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.enable_progress_bars()


def to_dataset(rows: Iterable[Exported]) -> datasets.Dataset:
    """Return the rows as a `datasets.Dataset` in memory."""
    return datasets.Dataset(pa.Table.from_batches(_batches(rows), schema=SCHEMA))


def write_datasets(rows: Iterable[Exported], target: Path) -> int:
    """Write a folder for `datasets.load_from_disk`."""
    target.mkdir()
    raw = target / "rows.arrow"
    with pa.OSFile(str(raw), "wb") as sink:
        count = _write_batches(pa.ipc.new_stream(sink, SCHEMA), rows)
    table = datasets.Dataset.from_file(str(raw))
    saved = target / "saved"
    with _no_progress_bar():
        table.save_to_disk(str(saved))
    del table
    raw.unlink()
    for item in saved.iterdir():
        item.rename(target / item.name)
    saved.rmdir()
    return count
