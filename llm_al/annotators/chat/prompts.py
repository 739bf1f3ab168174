"""Prompt templates: the static part first, then demonstrations and one text, fenced as data."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

from llm_al.annotators.chat.codes import Choice, Order, choices
from llm_al.annotators.chat.fences import cut_middle, fence, sendable
from llm_al.annotators.chat.templates import Blocks, load_blocks
from llm_al.errors import ConfigError
from llm_al.types import Demonstration, LabelScheme

__all__ = ["AnswerForm", "Message", "Prompt", "Task", "fence", "load_prompt"]

Message = Mapping[str, str]
"""One chat message: `role` and `content`."""
Task = Literal["classify", "verify", "pick"]
"""What a prompt asks: which label fits, whether a given one does, which of two does."""

MAX_DEMONSTRATION_CHARACTERS = 2_000
"""Longer demonstrations are cut in the middle."""
_HEADER = re.compile(r"\A\{# order: (listed|reversed|shuffled)(?:; demonstrations: (given|reversed|half))? #\}")
_DEMONSTRATED = {"given": slice(None), "reversed": slice(None, None, -1), "half": slice(None, None, -2)}
"""Which of the demonstrations a variant shows, and in which order; "half" takes every second one."""


@dataclass(frozen=True)
class AnswerForm:
    """What a model is asked for beside the code.

    Parameters
    ----------
    rationale : bool
        One sentence before the code.
    sureness : bool
        One of five words after it.
    """

    rationale: bool = False
    sureness: bool = False

    def __str__(self) -> str:
        before = ['"rationale": "ONE SENTENCE"'] if self.rationale else []
        after = ['"sureness": "WORDS"'] if self.sureness else []
        return "{" + ", ".join([*before, '"code": "CODE"', *after]) + "}"


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt, bound to a label scheme.

    Parameters
    ----------
    blocks : Blocks
    demonstrated : str
        Which demonstrations it shows: given, reversed or half.
    """

    blocks: Blocks
    choices: tuple[Choice, ...]
    guidelines: str
    demonstrated: str = "given"

    @property
    def name(self) -> str:
        """Name and version."""
        return self.blocks.name

    @property
    def variables(self) -> frozenset[str]:
        """Names that the template uses."""
        return self.blocks.variables

    @cached_property
    def names_by_code(self) -> dict[str, str]:
        """Code -> label name, in the order shown."""
        return {choice.code: choice.name for choice in self.choices}

    @cached_property
    def _choice_of(self) -> dict[str, Choice]:
        """Label name -> its line of the list."""
        return {choice.name: choice for choice in self.choices}

    @property
    def task(self) -> Task:
        """What it asks, told by the variables that it uses."""
        return "verify" if "proposed" in self.variables else "pick" if "pair" in self.variables else "classify"

    @property
    def takes_demonstrations(self) -> bool:
        """Whether it can show solved examples."""
        return "demonstrations" in self.variables

    def system(self, form: AnswerForm | None = None) -> str:
        """Return the static part, equal for all texts, so that servers can cache it."""
        return self._block("system", {"form": form or AnswerForm()})

    def user(
        self,
        text: str,
        demonstrations: Sequence[Demonstration] = (),
        *,
        form: AnswerForm | None = None,
        **extra: Any,
    ) -> str:
        """Return the part about one text: demonstrations first, then the text.

        Raises
        ------
        ConfigError
            If a demonstration has a label that the list does not.
        """
        shown = list(demonstrations)[_DEMONSTRATED[self.demonstrated]]
        if self.demonstrated == "half":
            shown.reverse()
        texts = [sendable(cut_middle(item.text, MAX_DEMONSTRATION_CHARACTERS)) for item in shown]
        text = sendable(text)
        solved = [
            {"fenced": fence(shown_text, tag="example", others=(*texts, text)), "code": self.choice(item.label).code}
            for shown_text, item in zip(texts, shown, strict=True)
        ]
        fenced = fence(text, others=texts)
        return self._block("user", {"fenced": fenced, "demonstrations": solved, "form": form or AnswerForm(), **extra})

    def messages(self, text: str, demonstrations: Sequence[Demonstration] = ()) -> tuple[Message, ...]:
        """Return the rendered messages for one text, answered by a code alone."""
        user = self.user(text, demonstrations)
        return ({"role": "system", "content": self.system()}, {"role": "user", "content": user})

    def choice(self, label: str) -> Choice:
        """Return the line of a label.

        Raises
        ------
        ConfigError
            If the list has no such label.
        """
        choice = self._choice_of.get(label)
        if choice is None:
            raise ConfigError(
                f"label {label!r} is not among those that prompt {self.name!r} offers: "
                f"{', '.join(self._choice_of)}; correct it or leave it out"
            )
        return choice

    def _block(self, name: str, extra: Mapping[str, Any]) -> str:
        variables = {
            "choices": self.choices,
            "codes": ", ".join(self.names_by_code),
            "guidelines": self.guidelines.strip(),
            **extra,
        }
        return self.blocks.render(name, variables)


def load_prompt(name: str, scheme: LabelScheme, *, folder: Path | None = None) -> Prompt:
    """Load one prompt version for a label scheme.

    Parameters
    ----------
    name : str
        Template name without `.j2`, for example `classify.v2`.
    folder : Path, optional
        Looked into before the shipped templates.

    Raises
    ------
    ConfigError
        If there is no such template, it does not start with its order (`{# order: listed #}`, reversed or
        shuffled, then optionally `; demonstrations: given`, reversed or half), or it cannot show a text.
    """
    blocks = load_blocks(name, folder=folder, tasks=("classify", "pick", "verify"))
    header = _HEADER.match(blocks.source)
    if header is None:
        raise ConfigError(
            f"prompt {name!r} must start with '{{# order: listed #}}', '{{# order: reversed #}}' or "
            "'{# order: shuffled #}'"
        )
    listed = choices(scheme.labels, order=cast(Order, header[1]), is_open=scheme.is_open)
    prompt = Prompt(blocks, listed, scheme.guidelines, header[2] or "given")
    _check(prompt)
    return prompt


def _check(prompt: Prompt) -> None:
    """Render once with a probe, so that a wrong template fails before any text is sent."""
    prompt.system()
    first, second = prompt.choices[:2]
    if fence("probe") not in prompt.user("probe", proposed=first, pair=(first, second)):
        raise ConfigError(f"prompt {prompt.name!r} does not show the text; its block 'user' must hold {{{{ fenced }}}}")
