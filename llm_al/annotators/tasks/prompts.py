"""Templates of tasks that show several texts: the static part first, every text fenced as data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, TemplateError, TemplateNotFound

from llm_al.annotators.chat.codes import choices
from llm_al.annotators.chat.fences import cut_middle, fence, sendable
from llm_al.annotators.chat.prompts import prompt_folder
from llm_al.annotators.engine.requests import Message
from llm_al.errors import ConfigError
from llm_al.types import LabelScheme

__all__ = ["TaskPrompt", "fence_all", "load_task_prompt"]


@dataclass(frozen=True)
class TaskPrompt:
    """One version of the prompt of a task, bound to a label scheme.

    Parameters
    ----------
    name : str
        As it stands in the ledger.
    template : Template
        With the blocks `system` and `user`.
    scheme : LabelScheme
    """

    name: str
    template: Template
    scheme: LabelScheme

    @property
    def codes(self) -> dict[str, str]:
        """Label name -> code, "none of these" included where the scheme is open."""
        return {choice.name: choice.code for choice in self._choices}

    @property
    def _choices(self) -> tuple[Any, ...]:
        return choices(self.scheme.labels, is_open=self.scheme.is_open)

    def messages(self, **shown: Any) -> tuple[Message, ...]:
        """Return the static part, equal for all questions of the task, and the part about this one."""
        return (
            {"role": "system", "content": self._block("system", {})},
            {"role": "user", "content": sendable(self._block("user", shown))},
        )

    def _block(self, name: str, shown: Mapping[str, Any]) -> str:
        variables = {"choices": self._choices, "guidelines": self.scheme.guidelines.strip(), **shown}
        try:
            return "".join(self.template.blocks[name](self.template.new_context(variables))).strip()
        except KeyError:
            raise ConfigError(f"prompt {self.name!r} has no block {name!r}; a prompt needs: system, user") from None
        except TemplateError as exc:
            raise ConfigError(f"prompt {self.name!r}, block {name!r}: {exc}; correct the template") from exc


def load_task_prompt(name: str, scheme: LabelScheme, *, folder: Path | None = None) -> TaskPrompt:
    """Load one prompt version.

    Parameters
    ----------
    name : str
        Template name without `.j2`, for example `describe.v1`.
    folder : Path, optional
        Looked into before the shipped templates.

    Raises
    ------
    ConfigError
        If there is no such template, or it is not valid.
    """
    folders = [str(path) for path in (folder, prompt_folder()) if path is not None]
    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["quoted"] = lambda value: json.dumps(value, ensure_ascii=False)
    try:
        return TaskPrompt(name, environment.get_template(f"{name}.j2"), scheme)
    except TemplateNotFound:
        raise ConfigError(f"unknown prompt {name!r}; it must lie as {name}.j2 in: {', '.join(folders)}") from None
    except TemplateError as exc:
        raise ConfigError(f"prompt {name!r} is not a valid template: {exc}; correct it") from exc


def fence_all(texts: Sequence[str], *, max_characters: int) -> list[str]:
    """Return every text between marker lines whose key is in none of the texts; long ones are cut in the middle."""
    shown = [sendable(cut_middle(text, max_characters)) for text in texts]
    return [fence(text, others=shown) for text in shown]
