"""One door for everything that holds texts: the format is found, the columns are found, rows stream out."""

from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.columns import AUTO, Columns, find_column, find_id_column, find_label_column, find_text_column
from llm_al.formats.iterables import read_iterable
from llm_al.formats.jsonl import read_jsonl
from llm_al.formats.plain import read_plain
from llm_al.formats.rows import Record, Row, Table, plain_value
from llm_al.formats.streams import TEXT_SUFFIXES, guarded, read_head
from llm_al.formats.tabular import read_delimited

__all__ = ["Rows", "cell_string", "columns_of", "open_rows", "open_table"]

_SAMPLE_ROWS = 200
_MAX_LEADING_PROBLEMS = 1_000
_TEXT_READERS = {
    ".csv": read_delimited,
    ".tsv": read_delimited,
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_jsonl,
    ".txt": read_plain,
    ".text": read_plain,
}


def _load_late(module: str, reader: str, source: Any) -> Table:
    # pyarrow and datasets take up to a second to load; only those who use them pay.
    table: Table = getattr(import_module(f"llm_al.formats.{module}"), reader)(source)
    return table


def _open_path(path: Path) -> Table:
    if not path.exists():
        raise DataError(f"{path} does not exist; give the path of an existing file")
    if path.is_dir():
        return _load_late("hf_datasets", "read_saved_dataset", path)
    suffix = Path(path.name.lower().removesuffix(".gz")).suffix
    if suffix in _TEXT_READERS:
        return _TEXT_READERS[suffix](path)
    if suffix in {".parquet", ".pq"}:
        return _load_late("parquet", "read_parquet", path)
    if read_head(path).lstrip().startswith("{"):
        return read_jsonl(path)
    raise _unknown_suffix(path, suffix)


def _unknown_suffix(path: Path, suffix: str) -> DataError:
    return DataError(
        f"{path} has the unknown suffix {suffix or '(none)'!r}; allowed: {TEXT_SUFFIXES}, .parquet, or a folder "
        "written by datasets.save_to_disk; rename or convert it"
    )


def open_table(source: Path | str | Iterable[Any]) -> Table:
    """Open a path (also as a string), an iterable, a data frame or a `datasets` object; records are lazy.

    Raises
    ------
    DataError
        If it cannot be read at all.
    """
    if isinstance(source, str | Path):
        table = _open_path(Path(source))
    elif hasattr(source, "with_format") or type(source).__module__.startswith("datasets."):
        table = _load_late("hf_datasets", "read_dataset", source)
    else:
        table = read_iterable(source)
    return Table(table.name, table.columns, guarded(table.name, table.records), table.notes)


def columns_of(table: Table) -> tuple[tuple[str, ...], list[Record], Table]:
    """Return the columns, a sample of records, and the table with the sample put back in front.

    Raises
    ------
    DataError
        If there is no row, or not one of the first 1,000 rows can be read.
    """
    sample: list[Record] = []
    n_good = 0
    for record in table.records:
        sample.append(record)
        n_good += not record.problem
        if n_good >= _SAMPLE_ROWS or len(sample) >= _MAX_LEADING_PROBLEMS:
            break
    if not sample:
        what = "has a header and no rows" if table.columns else "is empty"
        raise DataError(f"{table.name} {what}; it has to hold at least one text")
    if not n_good:
        more = f"none of its first {len(sample)} rows" if len(sample) > 1 else "its only row cannot"
        more = more if len(sample) == 1 else f"{more} can"
        raise DataError(f"{table.name}: {more} be read; row {sample[0].number}: {sample[0].problem.partition(': ')[2]}")
    columns = table.columns or tuple(dict.fromkeys(name for record in sample for name in record.cells))
    return columns, sample, Table(table.name, table.columns, chain(sample, table.records), table.notes)


def cell_string(value: Any) -> str | None:
    """Return a cell as a stripped string, None when empty; a whole float (5.0) is written as an integer."""
    plain = plain_value(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    return None if plain is None else str(plain).strip() or None


class Rows(Iterator[Row]):
    """Rows of one source, read once.

    Attributes
    ----------
    name : str
        How messages call the source.
    columns : Columns
        Where text, id and label come from.
    notes : tuple of str
        Choices that were made for the user, one line each.
    """

    def __init__(self, table: Table, columns: Columns) -> None:
        self.name = table.name
        self.columns = columns
        self.notes = table.notes
        self._records = table.records
        self._used = {columns.text, columns.id, columns.label}

    def __next__(self) -> Row:
        number, cells, problem = next(self._records)
        if problem:
            return Row(number, problem=problem)
        text = cells.get(self.columns.text)
        id_ = cell_string(cells.get(self.columns.id)) if self.columns.id else None
        if text is not None and not isinstance(text, str):
            problem = f"undecodable: the text is a {type(text).__name__}; expected a string"
            return Row(number, id_, problem=problem)
        label = cell_string(cells.get(self.columns.label)) if self.columns.label else None
        meta = {name: plain_value(cell) for name, cell in cells.items() if name not in self._used}
        return Row(number, id_, text, label, meta)


def open_rows(
    source: Path | str | Iterable[Any],
    *,
    text_column: str | None = None,
    id_column: str | None = None,
    label_column: str | None = None,
) -> Rows:
    """Open texts from a file, a saved dataset or an iterable, and find their columns.

    Nothing is held but a sample of 200 rows. The format follows from the suffix: CSV, TSV, JSON Lines,
    plain text (one text a line), each also gzipped; Parquet; a folder written by `datasets.save_to_disk`.

    Parameters
    ----------
    source : path, str or iterable
        A string is a path. An iterable gives strings or mappings; a data frame or `datasets.Dataset` serves too.
    text_column : str, optional
        Found by its usual name or by its content when absent.
    id_column : str, optional
        Found by its usual name when absent; an empty string says that there is none.
    label_column : str, optional
        Labels are read only when asked for; ``"auto"`` finds the column by its usual name.

    Raises
    ------
    DataError
        If the source is missing, empty, binary or of an unknown kind, or a column is missing or unclear.
        While reading, if the file turns out to be damaged.

    Examples
    --------
    >>> [row.text for row in open_rows([{"uid": 7, "message": "where is my parcel"}])]
    ['where is my parcel']
    """
    names, sample, table = columns_of(open_table(source))

    def named(name: str, option: str) -> str:
        return find_column(name, names, source=table.name, option=option)

    text = named(text_column, "--text-column") if text_column else None
    text = text or find_text_column(names, sample, source=table.name)
    id_ = named(id_column, "--id-column") if id_column else None
    if id_column is None:
        id_ = find_id_column(names, text=text)
    label = None
    if label_column == AUTO and AUTO not in names:
        label = find_label_column(names, source=table.name)
    elif label_column:
        label = named(label_column, "--label-column")
    return Rows(table, Columns(text, id_, label))
