"""Prodigy's JSON Lines: one line an answer, in the binary view or in the choice view.

==========================  =============================================================================
here                        there
==========================  =============================================================================
`Record.id`                 ``id``, a key of ours that Prodigy keeps; else ``_input_hash``
a label                     choice: ``accept`` lists it; classification: ``label`` with ``answer`` accept
a negative label            ``label`` with ``answer`` reject
``none_of_these``           ``answer`` reject of the whole task, with nothing in ``accept``
skipped, discarded          ``answer`` ignore
a draft                     a line without an answer
a suggestion                on lines without an answer: ``accept`` or ``label`` filled in; the first one only
an annotator                ``_annotator_id``, else ``_session_id``
`created`                   ``_timestamp``, whole seconds
==========================  =============================================================================

Several answers about one text are lines that follow each other with the same ``id``, ``text`` and ``meta``; they
are read as one record. Hashes stay as they are; where there are none, Prodigy fills them in.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.lossless import OURS, Form
from llm_al.formats.record_files import cell, checked, label_names, read_lines, write_lines
from llm_al.formats.records import Answer, Record, Suggestion
from llm_al.types import NONE_OF_THESE

__all__ = ["VIEWS", "Layout", "read", "write"]

TOOL = "prodigy"
VIEWS = ("choice", "classification")
_HEAD = ("text", "meta", "id")
_ANSWERS = ("accept", "reject", "ignore")
Json = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """How lines are written; both views are read in any case.

    Parameters
    ----------
    view : {"choice", "classification"}
    options : tuple of str
        Labels that lines of the choice view offer; empty leaves ``options`` out.

    Raises
    ------
    DataError
        If the view is unknown.
    """

    view: str = "choice"
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.view not in VIEWS:
            raise DataError(f"unknown Prodigy view {self.view!r}; choose from: {', '.join(VIEWS)}")


def read(path: Path, *, labels: Sequence[str] | None = None, layout: Layout = Layout()) -> Iterator[Record]:
    """Yield records, holding one at a time; gzipped files too.

    Parameters
    ----------
    labels : sequence of str, optional
        Allowed labels; others are refused.

    Raises
    ------
    DataError
        With file and row, at the first broken line.
    """
    waiting: Record | None = None
    for _, record in checked(path, read_lines(path), _line_form(layout).read, labels=labels):
        if waiting is not None and _belong_together(waiting, record):
            waiting = replace(waiting, annotations=(*waiting.annotations, *record.annotations))
            continue
        if waiting is not None:
            yield waiting
        waiting = record
    if waiting is not None:
        yield waiting


def write(records: Iterable[Record], path: Path, *, layout: Layout = Layout()) -> None:
    """Write one line an answer, or one for a record without any; the file appears whole or not at all.

    Raises
    ------
    DataError
        If a text cannot be stored as UTF-8.
    """
    form = _line_form(layout)
    single = (replace(record, annotations=part) for record in records for part in _one_by_one(record))
    write_lines((form.write(record) for record in single), path)


def _one_by_one(record: Record) -> list[tuple[Answer, ...]]:
    return [(answer,) for answer in record.annotations] or [()]


def _belong_together(one: Record, other: Record) -> bool:
    is_answered = bool(one.annotations and other.annotations and one.id)
    return is_answered and replace(one, annotations=()) == replace(other, annotations=())


def _moment(seconds: float | None) -> str | None:
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        raise DataError(f"'_timestamp' is {seconds!r}; expected seconds since 1970") from None


def _seconds(created: str | None) -> int | None:
    """Return whole seconds since 1970, None for what is no ISO time; one without a zone counts as UTC."""
    try:
        moment = datetime.fromisoformat(created or "")
    except ValueError:
        return None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())


def _options(layout: Layout) -> Json:
    return {"options": [{"id": name, "text": name} for name in layout.options]} if layout.options else {}


def _parse_answer(row: Json) -> Answer:
    verdict = row.get("answer")
    if verdict not in _ANSWERS:
        raise DataError(f"'answer' is {verdict!r}; choose from: {', '.join(_ANSWERS)}")
    who = row.get("_annotator_id") or row.get("_session_id")
    answer = Answer(
        "" if who is None else str(who), created=_moment(cell(row, "_timestamp", (int, float), default=None))
    )
    if verdict == "ignore":
        return replace(answer, status="skipped")
    is_choice = "accept" in row or "options" in row or "label" not in row
    labels = label_names(row.get("accept"), "accept") if is_choice else (cell(row, "label", str),)
    if verdict == "accept":
        return replace(answer, labels=labels)
    return replace(answer, labels=(NONE_OF_THESE,)) if is_choice else replace(answer, negative_labels=labels)


def _verdict(answer: Answer, layout: Layout) -> Json:
    """Return what an answer says, in the view of the layout where that can say it."""
    labels, negative = answer.labels, answer.negative_labels
    if answer.status != "submitted":
        return {"answer": "ignore"}
    if len(negative) == 1 and not labels:
        return {"answer": "reject", "label": negative[0]}
    if labels == (NONE_OF_THESE,):
        return {"answer": "reject", "accept": [], **_options(layout)}
    if layout.view == "classification" and len(labels) == 1:
        return {"answer": "accept", "label": labels[0]}
    return {"answer": "accept", "accept": list(labels), **_options(layout)}


def _answer_form(layout: Layout) -> Form[Answer]:
    def build(answer: Answer) -> Json:
        row = _verdict(answer, layout)
        if answer.annotator:
            row["_annotator_id"] = answer.annotator
        seconds = _seconds(answer.created)
        return row if seconds is None else {**row, "_timestamp": seconds}

    return Form(TOOL, _parse_answer, build)


def _parse_suggestions(row: Json) -> tuple[Suggestion, ...]:
    if "accept" in row:
        labels = label_names(row["accept"], "accept")
    else:
        label = cell(row, "label", str, default="")
        labels = (label,) if label else ()
    return (Suggestion(labels),) if labels else ()


def _offer(record: Record, layout: Layout) -> Json:
    """Return the question of a line that nobody has answered."""
    labels = record.suggestions[0].labels if record.suggestions else ()
    if layout.view == "classification" and len(labels) == 1:
        return {"label": labels[0]}
    return {**({"accept": list(labels)} if labels else {}), **_options(layout)}


def _line_form(layout: Layout) -> Form[Record]:
    answers = _answer_form(layout)

    def parse(row: Json) -> Record:
        id_ = row["id"] if row.get("id") is not None else row.get("_input_hash")
        record = Record("" if id_ is None else str(id_), cell(row, "text", str), cell(row, "meta", dict, default={}))
        if row.get("answer") is None:
            return replace(record, suggestions=_parse_suggestions(row))
        rest = {name: value for name, value in row.items() if name not in _HEAD}
        return replace(record, annotations=(answers.read(rest),))

    def build(record: Record) -> Json:
        head: Json = {"text": record.text}
        if record.meta:
            head["meta"] = dict(record.meta)
        if record.id:
            head["id"] = record.id
        given = [answer for answer in record.annotations if answer.status != "draft"]
        return {**head, **(answers.write(given[0]) if given else _offer(record, layout))}

    return Form(TOOL, parse, build, key=f"{OURS}_record")
