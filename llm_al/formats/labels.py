"""Label lists from YAML, JSON or plain text."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from llm_al.errors import LabelError
from llm_al.types import Label, LabelScheme

__all__ = ["parse_labels", "read_labels"]

_ITEM_KEYS = ("name", "description")
_SHAPES = "a list of names, a mapping of name to description, or a list of {name, description}"


class _TextLoader(yaml.BaseLoader):
    """Reads every scalar as text (so that ``no`` stays a name), and keeps keys that are there twice."""


def _pairs(loader: _TextLoader, node: yaml.MappingNode) -> Any:
    pairs = [(loader.construct_object(k, deep=True), loader.construct_object(v, deep=True)) for k, v in node.value]
    return _unique(pairs)


_TextLoader.add_constructor("tag:yaml.org,2002:map", _pairs)


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if not isinstance(key, str):
            raise LabelError(f"label name {key!r} is not text; write each name as one word or a quoted string")
        if key in found:
            raise LabelError(f"{key!r} is listed twice in the label list; remove one")
        found[key] = value
    return found


def _text(value: Any, what: str) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | list | Mapping):
        raise LabelError(f"{what} is {type(value).__name__} {value!r}; expected text; allowed is {_SHAPES}")
    return str(value).strip()


def _item(item: Any) -> tuple[str, str]:
    if not isinstance(item, Mapping):
        return _text(item, "a label name"), ""
    if len(item) == 1 and "name" not in item:
        name, description = next(iter(item.items()))
        return name.strip(), _text(description, f"the description of {name!r}")
    unknown = [key for key in item if key not in _ITEM_KEYS]
    if unknown or "name" not in item:
        raise LabelError(f"a label has the keys {', '.join(item)}; allowed are: {', '.join(_ITEM_KEYS)}; correct them")
    return _text(item["name"], "a label name"), _text(item.get("description"), "a description")


def parse_labels(data: Any, *, origin: str = "the label list") -> list[tuple[str, str]]:
    """Return (name, description) pairs of a list or mapping, checked as a `LabelScheme`.

    Raises
    ------
    LabelError
        If it has another shape, fewer than two labels, or names that are empty, reserved or given twice.
    """
    if isinstance(data, Mapping) and list(data) == ["labels"] and isinstance(data["labels"], list | Mapping):
        data = data["labels"]
    if isinstance(data, Mapping):
        pairs = [(str(name).strip(), _text(text, f"the description of {name!r}")) for name, text in data.items()]
    elif isinstance(data, list):
        pairs = [_item(item) for item in data]
    else:
        raise LabelError(f"{origin}: expected {_SHAPES}; got {type(data).__name__}; see the README")
    LabelScheme(tuple(Label(name, description) for name, description in pairs))
    return pairs


def _load(path: Path, text: str) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".json":
        return json.loads(text, object_pairs_hook=_unique)
    if suffix in {".yaml", ".yml"}:
        return yaml.load(text, Loader=_TextLoader)
    if suffix in {".txt", ".text", ""}:
        return [line.strip() for line in text.splitlines() if line.strip()]
    raise LabelError(f"unknown suffix {suffix!r}; allowed: .yaml, .yml, .json, .txt (one name a line); convert it")


def read_labels(path: Path) -> list[tuple[str, str]]:
    """Read (name, description) pairs from a YAML, JSON or text file.

    Raises
    ------
    LabelError
        If the file is missing, no text, cannot be parsed, or the list is wrong; one line with the path.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        if not text.strip():
            raise LabelError("the file is empty; list at least two labels")
        return parse_labels(_load(path, text), origin="the label list")
    except FileNotFoundError:
        raise LabelError(f"label list {path} does not exist; give the path of an existing file") from None
    except (OSError, UnicodeDecodeError):
        raise LabelError(f"label list {path} is not readable UTF-8 text; save it as UTF-8 YAML") from None
    except (yaml.YAMLError, json.JSONDecodeError) as exc:
        mark = getattr(exc, "problem_mark", None)
        line = mark.line + 1 if mark else getattr(exc, "lineno", 1)
        reason = getattr(exc, "problem", None) or getattr(exc, "msg", None) or "cannot be parsed"
        raise LabelError(f"label list {path} cannot be parsed at line {line}: {reason}; correct that line") from exc
    except LabelError as exc:
        raise LabelError(f"label list {path}: {exc}") from None
