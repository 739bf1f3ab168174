"""Labels that were given elsewhere, checked whole before the first one is handed out."""

import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from llm_al.errors import DataError
from llm_al.formats.columns import find_column, find_id_column, find_label_column
from llm_al.formats.read import cell_string, columns_of, open_table
from llm_al.types import NONE_OF_THESE, SKIP, LabelScheme

__all__ = ["AnnotationColumns", "GivenAnnotation", "ReadAnnotations", "read_annotations"]

KnownIds = Callable[[Sequence[str]], Collection[str]]
"""Returns those of the given ids that the project has."""

_CHUNK = 1_000
_ANNOTATOR_NAMES = ("annotator", "annotator_name", "labeler", "worker", "rater")


class GivenAnnotation(NamedTuple):
    """One imported label; `annotator` is None when the file does not say."""

    id: str
    label: str
    annotator: str | None


@dataclass(frozen=True)
class AnnotationColumns:
    """Columns of an annotation file by name; None: found by their usual names."""

    id: str | None = None
    label: str | None = None
    annotator: str | None = None


@dataclass(frozen=True)
class _Numbered:
    number: int
    given: GivenAnnotation


@dataclass(frozen=True)
class ReadAnnotations:
    """A checked annotation file. Iterating reads it again, row by row.

    Parameters
    ----------
    n_rows : int
    n_unlabeled : int
        Rows with an empty label; they are passed over.
    """

    path: Path
    columns: AnnotationColumns
    n_rows: int
    n_unlabeled: int

    def __iter__(self) -> Iterator[GivenAnnotation]:
        for row in _rows(self.path, self.columns):
            if row.given.label:
                yield row.given


def _find(path: Path, names: Sequence[str], wanted: AnnotationColumns) -> AnnotationColumns:
    source = str(path)
    id_ = find_column(wanted.id, names, source=source, option="--id-column") if wanted.id else find_id_column(names)
    if id_ is None:
        raise DataError(f"{source} has no id column; its columns are: {', '.join(names)}; name one with --id-column")
    if wanted.label:
        label = find_column(wanted.label, names, source=source, option="--label-column")
    else:
        label = find_label_column(names, source=source)
    annotator = next((name for name in names if name.casefold() in _ANNOTATOR_NAMES), None)
    if wanted.annotator:
        annotator = find_column(wanted.annotator, names, source=source, option="--annotator-column")
    return AnnotationColumns(id_, label, annotator)


def _rows(path: Path, columns: AnnotationColumns) -> Iterator[_Numbered]:
    for number, cells, problem in open_table(path).records:
        if problem:
            raise DataError(f"{path}, row {number}: {problem.partition(': ')[2]}; nothing was imported; correct it")
        if not cells:
            continue
        id_ = cell_string(cells.get(columns.id or ""))
        if id_ is None:
            raise DataError(f"{path}, row {number}: the id is empty; nothing was imported; give every row its id")
        label = cell_string(cells.get(columns.label or "")) or ""
        annotator = cell_string(cells.get(columns.annotator)) if columns.annotator else None
        yield _Numbered(number, GivenAnnotation(id_, label, annotator))


def _refuse_unknown_label(path: Path, row: _Numbered, allowed: Sequence[str]) -> None:
    label = row.given.label
    if not label or label in allowed:
        return
    near = difflib.get_close_matches(label, allowed, n=1) or [n for n in allowed if n.casefold() == label.casefold()]
    hint = f"did you mean {near[0]!r}?" if near else "correct the label or add it to the label list"
    raise DataError(
        f"{path}, row {row.number}: unknown label {label!r}; choose from: {', '.join(allowed)}; "
        f"nothing was imported; {hint}"
    )


def _refuse_unknown_ids(path: Path, rows: Sequence[_Numbered], known_ids: KnownIds) -> None:
    known = set(known_ids([row.given.id for row in rows]))
    for row in rows:
        if row.given.id not in known:
            raise DataError(
                f"{path}, row {row.number}: no example has the id {row.given.id!r}; allowed are ids of the project; "
                "nothing was imported; add the text first or correct the id"
            )


def read_annotations(
    path: Path,
    scheme: LabelScheme,
    *,
    columns: AnnotationColumns | None = None,
    known_ids: KnownIds | None = None,
) -> ReadAnnotations:
    """Check a file of ids and labels, and return its annotations.

    Any table that `open_table` reads serves: CSV, TSV, JSON Lines, Parquet, a saved dataset. Labels have to be
    names of the scheme, ``none_of_these`` or ``skip``, letter for letter.

    Parameters
    ----------
    known_ids : callable, optional
        Given ids, returns those that the project has; absent, ids are not checked.

    Raises
    ------
    DataError
        With the row, for an unknown label (and the allowed ones), an unknown or empty id, an unreadable row,
        or two different labels of one example by one annotator; also if no row has a label.
    """
    names, _, _ = columns_of(open_table(path))
    found = _find(path, names, columns or AnnotationColumns())
    allowed = (*scheme.names, NONE_OF_THESE, SKIP)
    seen: dict[tuple[str, str | None], str] = {}
    n_rows = n_unlabeled = 0
    rows = _rows(path, found)
    while part := list(islice(rows, _CHUNK)):
        for row in part:
            n_rows += 1
            n_unlabeled += not row.given.label
            _refuse_unknown_label(path, row, allowed)
            _refuse_contradiction(path, row, seen)
        if known_ids is not None:
            _refuse_unknown_ids(path, part, known_ids)
    if n_rows == n_unlabeled:
        raise DataError(f"{path}: none of its {n_rows} rows has a label in column {found.label!r}; fill some in")
    return ReadAnnotations(path, found, n_rows, n_unlabeled)


def _refuse_contradiction(path: Path, row: _Numbered, seen: dict[tuple[str, str | None], str]) -> None:
    id_, label, annotator = row.given
    if not label:
        return
    first = seen.setdefault((id_, annotator), label)
    if first != label:
        who = f"annotator {annotator!r}" if annotator else "one annotator"
        raise DataError(
            f"{path}, row {row.number}: {who} gives {id_!r} both {first!r} and {label!r}; nothing was imported; "
            "keep one of them, or name the annotators in a column"
        )
