"""Texts written for labels of which no example is known: membership query synthesis, marked as such."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.requests import Schema
from llm_al.annotators.engine.settings import Sampling
from llm_al.annotators.tasks.asking import Malformed, Question, Told, ask_all, plain_line
from llm_al.annotators.tasks.prompts import TaskPrompt, fence_all

__all__ = ["Synthesise", "run"]

MAX_WRITTEN_CHARACTERS = 2_000
_MAX_STYLE_CHARACTERS = 300
_SCHEMA = Schema.of("written_texts", {"texts": {"type": "array", "items": {"type": "string"}}})


@dataclass(frozen=True)
class Synthesise:
    """Asks for texts that a label fits, in the manner of some real ones.

    Parameters
    ----------
    prompt : TaskPrompt

    References
    ----------
    Angluin (1988). Queries and concept learning. Machine Learning 2, 319-342. Theirs asks a person about
    a made-up example; here the label is given and the text is made up.
    """

    prompt: TaskPrompt

    def question(self, label: str, n: int, style: Sequence[str] = ()) -> Question[tuple[str, ...]]:
        """Return the question for n texts of a label; its answer holds up to n that differ.

        Parameters
        ----------
        style : sequence of str
            Real texts, whatever their label, that show length and tone.
        """
        messages = self.prompt.messages(
            label={"name": label, "code": self.prompt.codes[label]},
            style=fence_all(style, max_characters=_MAX_STYLE_CHARACTERS),
            n=n,
        )

        def read(found: Mapping[str, Any]) -> tuple[str, ...]:
            return _texts(found["texts"])[:n]

        return Question(self.prompt.name, messages, _SCHEMA, "texts", 80 * n + 32, read)


def _texts(listed: object) -> tuple[str, ...]:
    if not isinstance(listed, list):
        raise Malformed(f'"texts" is {type(listed).__name__}, not a list')
    kept: list[str] = []
    failure = "the list of texts is empty"
    for item in listed:
        try:
            kept.append(plain_line(item, "a text", max_characters=MAX_WRITTEN_CHARACTERS))
        except Malformed as exc:
            failure = str(exc)
    if not kept:
        raise Malformed(failure)
    return tuple(dict.fromkeys(kept))


def run(
    engine: Engine, synthesise: Synthesise, wanted: Mapping[str, int], *, style: Sequence[str], sampling: Sampling
) -> dict[str, Told[tuple[str, ...]]]:
    """Return the texts of each label, or why there are none; raises as `ask_all` does.

    Parameters
    ----------
    wanted : mapping of label to number of texts
    """
    questions = [synthesise.question(label, n, style) for label, n in wanted.items()]
    return dict(zip(wanted, ask_all(engine, questions, sampling), strict=True))
