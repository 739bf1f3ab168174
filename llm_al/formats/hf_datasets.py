"""Hugging Face datasets: a folder written by `save_to_disk`, or the object itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import datasets

from llm_al.errors import DataError
from llm_al.formats.arrow import batch_records
from llm_al.formats.rows import Record, Table

__all__ = ["read_dataset", "read_saved_dataset"]

_BATCH_ROWS = 1_000


def _records(dataset: Any, class_names: Mapping[str, list[str]]) -> Iterator[Record]:
    start = 1
    for batch in dataset.with_format("arrow").iter(batch_size=_BATCH_ROWS):
        yield from batch_records(batch, start, class_names)
        start += batch.num_rows


def _pick_split(name: str, splits: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    names = ", ".join(splits)
    if len(splits) == 1:
        return next(iter(splits.values())), ()
    if "train" not in splits:
        raise DataError(f"{name} has several splits: {names}; give the one to read (a subfolder, or the object)")
    return splits["train"], (f"{name}: took split 'train' of: {names}",)


def read_dataset(dataset: Any, *, name: str = "the dataset") -> Table:
    """Open a `datasets.Dataset` or `DatasetDict`; class indices come out as their names.

    Raises
    ------
    DataError
        If a split has to be chosen, because there are several and none is called ``train``.
    """
    notes: tuple[str, ...] = ()
    if isinstance(dataset, Mapping):
        dataset, notes = _pick_split(name, dataset)
    class_names = {c: f.names for c, f in dataset.features.items() if isinstance(f, datasets.ClassLabel)}
    return Table(name, tuple(dataset.column_names), _records(dataset, class_names), notes)


def read_saved_dataset(folder: Path) -> Table:
    """Open a folder written by `datasets.save_to_disk`.

    Raises
    ------
    DataError
        If the folder holds no saved dataset, or a split has to be named.
    """
    if not any((folder / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise DataError(
            f"{folder} is a folder without a saved dataset; allowed: a file, or a folder written by "
            "datasets.save_to_disk; give the path of a file in it"
        )
    try:
        dataset = datasets.load_from_disk(str(folder))
    except Exception as exc:  # the library raises whatever its parsers raise
        reason = (str(exc).splitlines() or [type(exc).__name__])[0][:120]
        raise DataError(f"{folder} is a damaged saved dataset ({reason}); save it again") from exc
    return read_dataset(dataset, name=str(folder))
