"""Argilla v2 records as JSON, nested or flattened; no SDK is needed for files.

==========================  =============================================================================
here                        there
==========================  =============================================================================
`Record.id`, `meta`         ``id`` and ``metadata`` (flattened: every key that is no field and no question)
an answer                   a response of the question, with ``user_id``
its status                  ``status`` of the response, which the SDK reads and does not write: absent is submitted
skipped, discarded          a discarded response
``none_of_these``           a value of that name: give the question an option of that name
a suggestion                the suggestion of the question, with ``score`` and ``agent``; the first one only
==========================  =============================================================================

The SDK refuses responses without a value, so in the nested form an answer without labels stands beside; the
flattened form holds it. What has no place stands under a key of the record that the SDK passes over. Vectors, other
fields and other questions stay as they are in `extra`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.lossless import OURS, Form
from llm_al.formats.record_files import cell, checked, label_names, read_list, write_list
from llm_al.formats.records import Answer, Record, Suggestion

__all__ = ["Layout", "read", "write"]

TOOL = "argilla"
_STATUSES = ("submitted", "discarded", "draft")
Json = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """Names of the dataset's settings.

    Parameters
    ----------
    field : str
        Name of the field with the text. A nested record that has one other field only is read all the same.
    question : str
        Name of the label or multi-label question; likewise.
    is_multi_label : bool
        Whether values are written as lists.
    is_flat : bool
        Whether the file is in the flattened form.
    """

    field: str = "text"
    question: str = "label"
    is_multi_label: bool = False
    is_flat: bool = False


def read(path: Path, *, labels: Sequence[str] | None = None, layout: Layout = Layout()) -> Iterator[Record]:
    """Yield the records of an export. The whole file is held: a JSON list does not stream.

    Parameters
    ----------
    labels : sequence of str, optional
        Allowed labels; others are refused.

    Raises
    ------
    DataError
        With file and row, if the file is no list of records or a record is broken.
    """
    return (record for _, record in checked(path, read_list(path), _form(layout).read, labels=labels))


def write(records: Iterable[Record], path: Path, *, layout: Layout = Layout()) -> None:
    """Write records for Argilla's SDK, one at a time; the file appears whole or not at all.

    Raises
    ------
    DataError
        If a text cannot be stored as UTF-8.
    """
    form = _form(layout)
    write_list((form.write(record) for record in records), path)


def _form(layout: Layout) -> Form[Record]:
    return _flat_form(layout) if layout.is_flat else _nested_form(layout)


def _value(labels: tuple[str, ...], layout: Layout) -> Any:
    """Return a label question's string or a multi-label question's list; None where there is no label."""
    if not labels:
        return None
    return list(labels) if layout.is_multi_label or len(labels) > 1 else labels[0]


def _status(value: Any) -> str:
    if value is None:
        return "submitted"
    if value not in _STATUSES:
        raise DataError(f"status of a response is {value!r}; choose from: {', '.join(_STATUSES)}")
    return str(value)


def _status_of(answer: Answer) -> str:
    return "discarded" if answer.status == "skipped" else answer.status


def _answer(user: Any, value: Any, status: Any) -> Answer:
    if user is not None and not isinstance(user, str):
        raise DataError(f"user of a response is a {type(user).__name__}; expected its id as a string")
    return Answer(user or "", labels=label_names(value, "value"), status=_status(status))


def _suggestion(row: Json, names: tuple[str, str, str]) -> tuple[Suggestion, ...]:
    """Return the suggestion under three keys, if there is one; scores of a multi-label question are not one number."""
    value, score, agent = (row.get(name) for name in names)
    if value is None:
        return ()
    if not isinstance(score, list):
        score = cell(row, names[1], (int, float), default=None)
    labels, by = label_names(value, names[0]), cell(row, names[2], str, default="")
    return (Suggestion(labels, None if isinstance(score, list) else score, by if agent else ""),)


def _named(cells: Json, wanted: str) -> str:
    """Return the wanted name, or the only one that there is."""
    return wanted if wanted in cells or len(cells) != 1 else next(iter(cells))


def _nested_form(layout: Layout) -> Form[Record]:
    def parse(row: Json) -> Record:
        cells = cell(row, "fields", dict)
        responses = cell(row, "responses", dict, default={})
        suggestions = cell(row, "suggestions", dict, default={})
        given = _objects(responses, _named(responses, layout.question))
        proposed = cell(suggestions, _named(suggestions, layout.question), dict, default={})
        return Record(
            id=_id(row),
            text=cell(cells, _named(cells, layout.field), str),
            meta=cell(row, "metadata", dict, default={}),
            annotations=tuple(_answer(item.get("user_id"), item.get("value"), item.get("status")) for item in given),
            suggestions=_suggestion(proposed, ("value", "score", "agent")),
        )

    def build(record: Record) -> Json:
        row: Json = {"id": record.id or None, "fields": {layout.field: record.text}, "metadata": dict(record.meta)}
        responses = [_response(answer, layout) for answer in record.annotations if answer.labels]
        suggestion = next(iter(record.suggestions), Suggestion())
        value = _value(suggestion.labels, layout)
        proposed = {"value": value, "score": suggestion.score, "agent": suggestion.agent or None}
        row["suggestions"] = {layout.question: proposed} if value is not None else {}
        return {**row, "responses": {layout.question: responses} if responses else {}}

    return Form(TOOL, parse, build)


def _response(answer: Answer, layout: Layout) -> Json:
    row = {"value": _value(answer.labels, layout), "user_id": answer.annotator or None}
    # The SDK makes a draft of a response that it is given without a status.
    return {**row, "status": _status_of(answer)}


def _id(row: Json) -> str:
    id_ = row.get("id")
    return "" if id_ is None else str(id_)


def _objects(row: Json, name: str) -> list[Json]:
    items: list[Json] = cell(row, name, list, default=[])
    if not all(isinstance(item, dict) for item in items):
        raise DataError(f"responses of {name!r} hold something that is no object; export the records again")
    return items


def _flat_names(layout: Layout) -> tuple[tuple[str, str, str], tuple[str, str, str]]:
    """Return the keys of the suggestion (value, score, agent) and of the responses (values, users, status)."""
    proposed, given = f"{layout.question}.suggestion", f"{layout.question}.responses"
    return (proposed, f"{proposed}.score", f"{proposed}.agent"), (given, f"{given}.users", f"{given}.status")


def _columns(row: Json, names: tuple[str, str, str]) -> list[tuple[Any, Any, Any]]:
    """Return values, users and status of parallel lists, row by row; users and status may be missing."""
    values = cell(row, names[0], list, default=[])
    users, status = (cell(row, name, list, default=[None] * len(values)) for name in names[1:])
    if not len(values) == len(users) == len(status):
        raise DataError(f"{', '.join(names)} differ in length: {len(values)}, {len(users)}, {len(status)}")
    return list(zip(values, users, status, strict=True))


def _flat_form(layout: Layout) -> Form[Record]:
    proposed, given = _flat_names(layout)
    named = {"id", "_server_id", "status", layout.field, *proposed, *given}

    def parse(row: Json) -> Record:
        if isinstance(row.get("fields"), dict):
            raise DataError("a nested record ('fields' is an object); this file was said to be flattened")
        return Record(
            id=_id(row),
            text=cell(row, layout.field, str),
            meta={key: value for key, value in row.items() if key not in named},
            annotations=tuple(_answer(user, value, status) for value, user, status in _columns(row, given)),
            suggestions=_suggestion(row, proposed),
        )

    def build(record: Record) -> Json:
        row: Json = {key: value for key, value in record.meta.items() if key not in (*named, OURS)}
        row |= {"id": record.id or None, layout.field: record.text}
        suggestion = next(iter(record.suggestions), Suggestion())
        values = (_value(suggestion.labels, layout), suggestion.score, suggestion.agent or None)
        if values[0] is not None:
            row |= dict(zip(proposed, values, strict=True))
        answers = record.annotations
        columns = (
            [_value(answer.labels, layout) for answer in answers],
            [answer.annotator or None for answer in answers],
            [_status_of(answer) for answer in answers],
        )
        return {**row, **(dict(zip(given, columns, strict=True)) if answers else {})}

    return Form(TOOL, parse, build)
