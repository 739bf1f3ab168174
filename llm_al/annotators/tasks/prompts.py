"""Templates of tasks that show several texts: the static part first, every text fenced as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_al.annotators.chat.codes import choices
from llm_al.annotators.chat.fences import cut_middle, fence, sendable
from llm_al.annotators.chat.templates import Blocks, load_blocks
from llm_al.annotators.engine.requests import Message
from llm_al.types import LabelScheme

__all__ = ["TASKS", "TaskPrompt", "fence_all", "load_task_prompt"]

TASKS = ("critique", "describe", "first_choice", "name_cluster", "synthesise")
"""What else a model can be asked, by the names of the templates."""


@dataclass(frozen=True)
class TaskPrompt:
    """One version of the prompt of a task, bound to a label scheme.

    Parameters
    ----------
    blocks : Blocks
    scheme : LabelScheme
    """

    blocks: Blocks
    scheme: LabelScheme

    @property
    def name(self) -> str:
        """Name and version, as it stands in the ledger."""
        return self.blocks.name

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
        return self.blocks.render(name, variables)


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
    return TaskPrompt(load_blocks(name, folder=folder, tasks=TASKS), scheme)


def fence_all(texts: Sequence[str], *, max_characters: int) -> list[str]:
    """Return every text between marker lines whose key is in none of the texts; long ones are cut in the middle."""
    shown = [sendable(cut_middle(text, max_characters)) for text in texts]
    return [fence(text, others=shown) for text in shown]
