"""Descriptions of labels, proposed from texts that people have labelled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.requests import Schema
from llm_al.annotators.engine.settings import Sampling
from llm_al.annotators.tasks.asking import Question, Told, ask_all, plain_line
from llm_al.annotators.tasks.material import LabelledTexts
from llm_al.annotators.tasks.prompts import TaskPrompt, fence_all

__all__ = ["Describe", "run"]

MAX_DESCRIPTION_CHARACTERS = 300
_MAX_TEXT_CHARACTERS = 600
_SCHEMA = Schema.of("label_description", {"description": {"type": "string"}})


@dataclass(frozen=True)
class Describe:
    """Asks for one sentence that says what a label means and where it ends.

    Parameters
    ----------
    prompt : TaskPrompt
    """

    prompt: TaskPrompt

    def question(self, known: LabelledTexts) -> Question[str]:
        """Return the question about one label; its answer is a description on one line."""
        codes = self.prompt.codes
        fenced = fence_all([*known.texts, *(other.text for other in known.others)], max_characters=_MAX_TEXT_CHARACTERS)
        n_own = len(known.texts)
        messages = self.prompt.messages(
            label={"name": known.label, "code": codes[known.label]},
            own=fenced[:n_own],
            others=[
                {"fenced": text, "code": codes[other.label]}
                for text, other in zip(fenced[n_own:], known.others, strict=True)
            ],
        )
        return Question(self.prompt.name, messages, _SCHEMA, "description", 160, _read)


def _read(found: Mapping[str, Any]) -> str:
    return plain_line(found["description"], "the description", max_characters=MAX_DESCRIPTION_CHARACTERS)


def run(engine: Engine, describe: Describe, known: Sequence[LabelledTexts], *, sampling: Sampling) -> list[Told[str]]:
    """Return a description for each label, or why there is none; raises as `ask_all` does."""
    return ask_all(engine, [describe.question(item) for item in known], sampling)
