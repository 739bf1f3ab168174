"""doccano's JSON Lines for text classification: one file, or a folder with a file for each member.

==========================  =============================================================================
here                        there
==========================  =============================================================================
`Record.id`, `meta`         ``id`` and every key that doccano does not know itself
a submitted answer          ``label``: a list of names; in a folder the member is the name of the file
``none_of_these``           a label of that name: doccano has no other way to say it
skipped, discarded, draft   an empty ``label``, which doccano takes as not labelled
notes                       ``Comments``, where one answer has them
several answers             one file holds the first submitted one for doccano and all of them beside it; a folder
                            holds each in the file of its member
==========================  =============================================================================

Suggestions and negative labels, which doccano has no place for, stand beside (a key that it keeps as metadata).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from llm_al.errors import DataError
from llm_al.formats.lossless import OURS, Form
from llm_al.formats.record_files import cell, checked, label_names, read_lines, write_lines, write_list
from llm_al.formats.records import Answer, Record
from llm_al.types import NONE_OF_THESE

__all__ = ["UNLABELLED", "read", "write", "write_folder", "write_label_settings"]

TOOL = "doccano"
UNLABELLED = "unlabelled"
"""Name of the file of a folder that holds what nobody has answered, and answers without a name."""

_NOBODY = (UNLABELLED, "all")
_KNOWN = ("id", "text", "label", "Comments")
_COLOURS = ("#1b6ca8", "#b3541e", "#3d7a37", "#7b3fa0", "#a3213b", "#14746f", "#5c5c00", "#4a4e69")
_KEYS = "1234567890abcdefghijklmnopqrstuvwxyz"
Json = dict[str, Any]


def read(path: Path, *, labels: Sequence[str] | None = None) -> Iterator[Record]:
    """Yield the records of a file, one by one, or of a folder of members' files, which is held and joined by id.

    Parameters
    ----------
    path : path
        In a folder every ``*.jsonl`` is the export of the member of that name; ``unlabelled.jsonl`` and
        ``all.jsonl`` name nobody.
    labels : sequence of str, optional
        Allowed labels; others are refused.

    Raises
    ------
    DataError
        With file and row, at the first broken line; if two members' files differ in the text of one id; if a
        folder holds no file.
    """
    return _read_folder(path, labels) if path.is_dir() else _read_file(path, "", labels)


def write(records: Iterable[Record], path: Path) -> None:
    """Write one file, one record at a time; it appears whole or not at all.

    Raises
    ------
    DataError
        If a text cannot be stored as UTF-8.
    """
    form = _line_form("")
    write_lines((form.write(record) for record in records), path)


def write_folder(records: Iterable[Record], folder: Path) -> None:
    """Write a file for each annotator, each whole or not at all, and one for what nobody has answered.

    Names are percent-encoded where a file system may not take them. The records are held.

    Raises
    ------
    DataError
        If the folder holds JSON Lines already, two names differ by case only, or a text cannot be stored.
    """
    if folder.is_dir() and any(folder.glob("*.jsonl")):
        raise DataError(f"{folder} holds .jsonl files already; they would be read as members; give a new folder")
    files: dict[str, list[Json]] = {}
    for record in records:
        if not record.annotations:
            files.setdefault(UNLABELLED, []).append(_line_form("").write(record))
        for answer in record.annotations:
            line = _line_form(answer.annotator).write(replace(record, annotations=(answer,)))
            files.setdefault(_file_name(answer.annotator), []).append(line)
    if len({name.casefold() for name in files}) < len(files):
        raise DataError(f"annotators whose names differ by case only: {', '.join(sorted(files))}; rename one")
    for name, lines in files.items():
        write_lines(lines, folder / f"{name}.jsonl")


def write_label_settings(labels: Sequence[str], path: Path) -> None:
    """Write the label list that doccano imports: names with key and colour, ``none_of_these`` at the end."""
    names = [*labels, *([] if NONE_OF_THESE in labels else [NONE_OF_THESE])]
    keys = [*_KEYS[: len(names)], *[None] * max(len(names) - len(_KEYS), 0)]
    rows = (
        {
            "text": name,
            "suffixKey": key,
            "backgroundColor": _COLOURS[n % len(_COLOURS)],
            "textColor": "#ffffff",
        }
        for n, (name, key) in enumerate(zip(names, keys, strict=True))
    )
    write_list(rows, path)


def _file_name(annotator: str) -> str:
    if annotator in _NOBODY:
        return f"%{ord(annotator[0]):02X}{annotator[1:]}"
    return quote(annotator, safe=" @+") if annotator else UNLABELLED


def _read_file(path: Path, annotator: str, labels: Sequence[str] | None) -> Iterator[Record]:
    return (record for _, record in checked(path, read_lines(path), _line_form(annotator).read, labels=labels))


def _read_folder(folder: Path, labels: Sequence[str] | None) -> Iterator[Record]:
    paths = sorted(folder.glob("*.jsonl"))
    if not paths:
        raise DataError(f"{folder} holds no .jsonl file; unpack doccano's export there")
    joined: dict[str, Record] = {}
    for path in paths:
        annotator = "" if path.stem in _NOBODY else unquote(path.stem)
        for n, record in enumerate(_read_file(path, annotator, labels) if path.stat().st_size else ()):
            key = record.id or f"\x00{path.name} {n}"
            first = joined.get(key, replace(record, annotations=()))
            if first.text != record.text:
                raise DataError(f"{path}: id {record.id!r} has another text in an earlier file; export them together")
            joined[key] = replace(first, annotations=(*first.annotations, *record.annotations))
    yield from joined.values()


@dataclass(frozen=True)
class _Line:
    """What one line says, before it is a record."""

    labels: tuple[str, ...]
    comments: tuple[str, ...]


def _said(row: Json) -> _Line:
    label = row.get("label")
    if isinstance(label, list) and any(isinstance(item, list | dict) for item in label):
        raise DataError("'label' holds spans; expected label names: this is no text classification project")
    comments = cell(row, "Comments", list, default=[])
    if not all(isinstance(comment, str) for comment in comments):
        raise DataError("'Comments' holds something that is no string; export the file again")
    return _Line(label_names(label, "label"), tuple(comments))


def _line_form(annotator: str) -> Form[Record]:
    """Return the form of the lines of a file whose answers are all one person's."""

    def parse(row: Json) -> Record:
        said = _said(row)
        notes = "\n".join(said.comments)
        id_ = row.get("id")
        return Record(
            id="" if id_ is None else str(id_),
            text=cell(row, "text", str),
            meta={key: value for key, value in row.items() if key not in _KNOWN},
            annotations=(Answer(annotator, labels=said.labels, notes=notes),) if said.labels else (),
        )

    def build(record: Record) -> Json:
        first = next((a for a in record.annotations if a.status == "submitted" and a.labels), None)
        meta = {key: value for key, value in record.meta.items() if key not in (*_KNOWN, OURS)}
        row: Json = {"text": record.text, "label": list(first.labels) if first else [], **meta}
        if record.id:
            row["id"] = record.id
        return {**row, "Comments": [first.notes]} if first and first.notes else row

    return Form(TOOL, parse, build)
