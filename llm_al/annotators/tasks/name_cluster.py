"""Names for groups of texts that nobody has labelled yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.requests import Schema
from llm_al.annotators.engine.settings import Sampling
from llm_al.annotators.tasks.asking import Question, Told, ask_all, plain_line
from llm_al.annotators.tasks.prompts import TaskPrompt, fence_all

__all__ = ["ClusterName", "NameCluster", "run"]

_MAX_NAME_CHARACTERS = 60
_MAX_DESCRIPTION_CHARACTERS = 240
_MAX_TEXT_CHARACTERS = 400
_SCHEMA = Schema.of("cluster_name", {"name": {"type": "string"}, "description": {"type": "string"}})


@dataclass(frozen=True)
class ClusterName:
    """A few words and a sentence."""

    name: str
    description: str


@dataclass(frozen=True)
class NameCluster:
    """Asks what the texts of a group have in common.

    Parameters
    ----------
    prompt : TaskPrompt
    """

    prompt: TaskPrompt

    def question(self, texts: Sequence[str], others: Sequence[str] = ()) -> Question[ClusterName]:
        """Return the question about one group.

        Parameters
        ----------
        texts : sequence of str
            Typical ones.
        others : sequence of str
            Texts of other groups, from which the name has to tell it.
        """
        fenced = fence_all([*texts, *others], max_characters=_MAX_TEXT_CHARACTERS)
        messages = self.prompt.messages(texts=fenced[: len(texts)], others=fenced[len(texts) :])
        return Question(self.prompt.name, messages, _SCHEMA, "name", 120, _read)


def _read(found: Mapping[str, Any]) -> ClusterName:
    return ClusterName(
        plain_line(found["name"], "the name", max_characters=_MAX_NAME_CHARACTERS),
        plain_line(found.get("description"), "the description", max_characters=_MAX_DESCRIPTION_CHARACTERS),
    )


def run(
    engine: Engine, name: NameCluster, groups: Sequence[tuple[Sequence[str], Sequence[str]]], *, sampling: Sampling
) -> list[Told[ClusterName]]:
    """Return a name for each group, given as (its texts, texts of others); raises as `ask_all` does."""
    return ask_all(engine, [name.question(texts, others) for texts, others in groups], sampling)
