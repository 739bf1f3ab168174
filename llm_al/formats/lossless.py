"""Conversions that lose nothing, in either direction.

A converter gives two functions, `parse` (a JSON object of the tool -> a neutral part) and `build` (back). Neither
has to be exact. What `build` would not give back of a tool's object is kept in the part's `extra`; what `parse`
would not give back of a part is kept in the tool's object under the key `OURS`. A kept value counts only as long as
the thing that it corrects is as it was, so that what people change, on either side, wins.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Generic, TypeVar

from llm_al.formats.records import Answer, Flag, Record, Suggestion

__all__ = ["OURS", "Form"]

OURS = "llm_al"
"""Key of a tool's object that holds what the tool has no place for."""

Json = dict[str, Any]
Part = TypeVar("Part", Answer, Suggestion, Record)


def _is_same(one: Any, other: Any) -> bool:
    """Compare as JSON: 1, 1.0 and true differ."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _difference(built: Mapping[str, Any], given: Mapping[str, Any]) -> Json:
    """Return what makes `given` of `built`: added keys, other values, and the same one level down."""
    added = {key: value for key, value in given.items() if key not in built}
    changed: Json = {}
    inside: Json = {}
    for key, ours in built.items():
        if key not in given:
            changed[key] = {"built": ours}
        elif isinstance(ours, dict) and isinstance(given[key], dict):
            if below := _difference(ours, given[key]):
                inside[key] = below
        elif not _is_same(ours, given[key]):
            changed[key] = {"built": ours, "given": given[key]}
    found = {"added": added, "changed": changed, "inside": inside}
    return {name: value for name, value in found.items() if value}


def _apply(built: Json, difference: Mapping[str, Any]) -> Json:
    """Make `given` of `built` again, as far as `built` still is what it was."""
    row = dict(built)
    for key, below in difference.get("inside", {}).items():
        if isinstance(row.get(key), dict):
            row[key] = _apply(row[key], below)
    for key, pair in difference.get("changed", {}).items():
        if key not in row or not _is_same(row[key], pair["built"]):
            continue
        if "given" in pair:
            row[key] = pair["given"]
        else:
            del row[key]
    return {**row, **{key: value for key, value in difference.get("added", {}).items() if key not in row}}


def _plain(value: Any) -> Any:
    """Return a field as JSON."""
    if isinstance(value, tuple):
        return [asdict(item) if isinstance(item, Answer | Suggestion | Flag) else item for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _answer(cells: Json) -> Answer:
    tuples = {"labels": tuple(cells["labels"]), "negative_labels": tuple(cells["negative_labels"])}
    return Answer(**{**cells, **tuples})


def _field(name: str, value: Any) -> Any:
    """Return the field that `_plain` wrote."""
    if name == "annotations":
        return tuple(_answer(cells) for cells in value)
    if name == "suggestions":
        return tuple(Suggestion(**{**cells, "labels": tuple(cells["labels"])}) for cells in value)
    if name == "flags":
        return tuple(Flag(**cells) for cells in value)
    return tuple(value) if name in ("labels", "negative_labels") else value


@dataclass(frozen=True)
class Form(Generic[Part]):
    """A level of a tool's file (a task, an annotation, a prediction) and the neutral part that it stands for.

    Parameters
    ----------
    tool : str
        Key of `extra`.
    parse, build : callable
        From and to a JSON object of the tool. `build` sees the part with its `extra`.
    key : str
        Where the tool's object keeps what it has no place for.
    """

    tool: str
    parse: Callable[[Json], Part]
    build: Callable[[Part], Json]
    key: str = OURS

    def read(self, row: Json) -> Part:
        """Return the part that an object of the tool stands for."""
        given = {name: value for name, value in row.items() if name != self.key}
        kept = row.get(self.key)
        part = self._restored(self.parse(given), kept if isinstance(kept, dict) else {})
        difference = _difference(self.build(part), given)
        return replace(part, extra={**part.extra, self.tool: difference}) if difference else part

    def write(self, part: Part) -> Json:
        """Return the object of the tool that stands for a part."""
        row = _apply(self.build(part), part.extra.get(self.tool, {}))
        row.pop(self.key, None)
        native = self.parse(row)
        kept: Json = {}
        for name in (item.name for item in fields(part) if item.name != "extra"):
            theirs, ours = _plain(getattr(native, name)), _plain(getattr(part, name))
            if not _is_same(theirs, ours):
                kept[name] = {"theirs": theirs, "ours": ours}
        if foreign := {tool: extra for tool, extra in part.extra.items() if tool != self.tool}:
            kept["extra"] = foreign
        return {**row, self.key: kept} if kept else row

    def _restored(self, part: Part, kept: Mapping[str, Any]) -> Part:
        values: Json = {}
        for name in (item.name for item in fields(part) if item.name != "extra"):
            pair = kept.get(name)
            if isinstance(pair, dict) and _is_same(_plain(getattr(part, name)), pair.get("theirs")):
                values[name] = _field(name, pair.get("ours"))
        foreign = kept.get("extra")
        if isinstance(foreign, dict):
            values["extra"] = {**foreign, **part.extra}
        return replace(part, **values)
