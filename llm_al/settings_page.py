"""The reference of `project.yaml`, written from the model itself."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from llm_al.config import ProjectConfig

__all__ = ["render"]

_INTRODUCTION = """\
# Settings

Every key of `project.yaml`, its default and what it does. Unknown keys and values out of range are refused with the
path of the key. This page is written by `python -m llm_al.settings_page`.
"""


def render() -> str:
    """Return the page as Markdown, one table a section."""
    return "\n".join([_INTRODUCTION, *_section("", ProjectConfig)])


def _section(path: str, model: type[BaseModel]) -> Iterator[str]:
    nested = {name: _model_of(field) for name, field in model.model_fields.items()}
    plain = [(name, field) for name, field in model.model_fields.items() if nested[name] is None]
    title = f"## `{path.rstrip('.')}`" if path else "## Top level"
    yield f"{title}\n\n{(model.__doc__ or '').strip()}\n\n| key | default | what it does |\n|---|---|---|"
    yield from (f"| `{path}{name}` | {_default(field)} | {_text(field)} |" for name, field in plain)
    yield ""
    for name, section in nested.items():
        if section is not None:
            yield from _section(f"{path}{name}.", section)


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
    models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
    return models[0] if models and field.annotation in (models[0], models[0] | None) else None


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    return f"`[{', '.join(map(str, value))}]`" if isinstance(value, tuple) else f"`{value}`"


def _text(field: FieldInfo) -> str:
    return " ".join((field.description or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    print(render(), end="")
