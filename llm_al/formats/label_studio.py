"""Label Studio's JSON: a list of tasks, each with its annotations and predictions.

==========================  =============================================================================
here                        there
==========================  =============================================================================
`Record.id`, `meta`         ``data.id`` (else the task's own id) and the other keys of ``data``
a submitted answer          an annotation with ``choices`` in its result
``none_of_these``           a submitted annotation with an empty result
skipped, discarded          ``was_cancelled``
a draft                     no annotation: Label Studio would count it as an answer
a suggestion                a prediction with ``score`` and ``model_version``
an annotator                ``completed_by``: a whole number, or an e-mail address in an object; other names,
                            which Label Studio would refuse, stand beside
==========================  =============================================================================

``ground_truth``, ids, times and results of other controls stay as they are in `extra`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_al.errors import DataError
from llm_al.formats.lossless import Form
from llm_al.formats.record_files import cell, checked, label_names, read_list, write_list
from llm_al.formats.records import Answer, Record, Suggestion
from llm_al.types import NONE_OF_THESE

__all__ = ["Layout", "read", "write"]

TOOL = "label_studio"
Json = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """Names of the labelling configuration.

    Parameters
    ----------
    control : str
        Name of the Choices (or Taxonomy) tag. A file that uses one other control only is read all the same.
    object_tag : str
        Name of the Text tag.
    text_key, id_key : str
        Keys of ``data`` with the text and with our id.
    """

    control: str = "label"
    object_tag: str = "text"
    text_key: str = "text"
    id_key: str = "id"


def read(path: Path, *, labels: Sequence[str] | None = None, layout: Layout = Layout()) -> Iterator[Record]:
    """Yield the tasks of an export. The whole file is held: a JSON list does not stream.

    Parameters
    ----------
    labels : sequence of str, optional
        Allowed labels; others are refused.

    Raises
    ------
    DataError
        With file and row, if the file is no list of tasks or a task is broken.
    """
    form = _task_form(layout)
    return (record for _, record in checked(path, read_list(path), form.read, labels=labels))


def write(records: Iterable[Record], path: Path, *, layout: Layout = Layout()) -> None:
    """Write tasks for Label Studio's import, one at a time; the file appears whole or not at all.

    Raises
    ------
    DataError
        If a text cannot be stored as UTF-8.
    """
    form = _task_form(layout)
    write_list((form.write(record) for record in records), path)


def _choices(result: Any, layout: Layout) -> tuple[str, ...]:
    if not isinstance(result, list) or not all(isinstance(item, dict) for item in result):
        raise DataError("'result' of an annotation or prediction is no list of objects; export the task again")
    items = [item for item in result if item.get("type") in ("choices", "taxonomy")]
    controls = sorted({str(item.get("from_name")) for item in items})
    control = controls[0] if len(controls) == 1 else layout.control
    if len(controls) > 1 and control not in controls:
        raise DataError(f"results of several controls: {', '.join(controls)}; name the one with the labels")
    return tuple(name for item in items if str(item.get("from_name")) == control for name in _names(item))


def _names(item: Json) -> tuple[str, ...]:
    value = cell(item, "value", dict)
    if item["type"] == "choices":
        return label_names(value.get("choices"), "choices")
    paths = cell(value, "taxonomy", list, default=[])
    return tuple(" / ".join(label_names(path, "taxonomy")) for path in paths)


def _result(labels: tuple[str, ...], layout: Layout) -> list[Json]:
    if not labels or labels == (NONE_OF_THESE,):
        return []
    names = {"from_name": layout.control, "to_name": layout.object_tag}
    return [{**names, "type": "choices", "value": {"choices": list(labels)}}]


def _annotator(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("email") or value.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise DataError(
            f"'completed_by' is a {type(value).__name__}; expected a number, or an object with id and email"
        )
    return "" if value is None else str(value)


def _completed_by(annotator: str) -> Json:
    if annotator.isascii() and annotator.isdigit() and len(annotator) < 19:
        return {"completed_by": int(annotator)}
    return {"completed_by": {"email": annotator}} if "@" in annotator else {}


def _answer_form(layout: Layout) -> Form[Answer]:
    def parse(row: Json) -> Answer:
        is_cancelled = cell(row, "was_cancelled", bool, default=False)
        labels = _choices(row.get("result", []), layout)
        seconds = cell(row, "lead_time", (int, float), default=None)
        return Answer(
            annotator=_annotator(row.get("completed_by")),
            labels=labels if labels or is_cancelled else (NONE_OF_THESE,),
            status="skipped" if is_cancelled else "submitted",
            seconds=seconds,
            created=cell(row, "created_at", str, default=None),
            seen_suggestion=True if row.get("parent_prediction") is not None else None,
        )

    def build(answer: Answer) -> Json:
        times = {"lead_time": answer.seconds, "created_at": answer.created}
        return {
            **_completed_by(answer.annotator),
            "result": _result(answer.labels, layout),
            "was_cancelled": answer.status != "submitted",
            **{name: value for name, value in times.items() if value is not None},
        }

    return Form(TOOL, parse, build)


def _suggestion_form(layout: Layout) -> Form[Suggestion]:
    def parse(row: Json) -> Suggestion:
        score = cell(row, "score", (int, float), default=None)
        agent = cell(row, "model_version", str, default="")
        return Suggestion(_choices(row.get("result", []), layout), score, agent)

    def build(suggestion: Suggestion) -> Json:
        row: Json = {"result": _result(suggestion.labels, layout)}
        if suggestion.agent:
            row["model_version"] = suggestion.agent
        return row if suggestion.score is None else {**row, "score": suggestion.score}

    return Form(TOOL, parse, build)


def _task_form(layout: Layout) -> Form[Record]:
    answers, suggestions = _answer_form(layout), _suggestion_form(layout)

    def parse(row: Json) -> Record:
        data = cell(row, "data", dict) if "data" in row else row
        id_ = data.get(layout.id_key)
        id_ = row.get("id") if id_ is None else id_
        named = (layout.text_key, layout.id_key)
        return Record(
            id="" if id_ is None else str(id_),
            text=cell(data, layout.text_key, str),
            meta={key: value for key, value in data.items() if key not in named},
            annotations=tuple(answers.read(item) for item in _objects(row, "annotations")),
            suggestions=tuple(suggestions.read(item) for item in _objects(row, "predictions")),
        )

    def build(record: Record) -> Json:
        named = {layout.text_key: record.text, **({layout.id_key: record.id} if record.id else {})}
        row: Json = {"data": {**record.meta, **named}}
        row["annotations"] = [answers.write(answer) for answer in record.annotations if answer.status != "draft"]
        if record.suggestions:
            row["predictions"] = [suggestions.write(suggestion) for suggestion in record.suggestions]
        return row

    return Form(TOOL, parse, build)


def _objects(row: Json, name: str) -> list[Json]:
    items: list[Json] = cell(row, name, list, default=[])
    if not all(isinstance(item, dict) for item in items):
        raise DataError(f"{name!r} holds something that is no object; export the task again")
    return items
