"""Gaps in the guidelines, proposed from texts on which people and machines disagree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.requests import Schema
from llm_al.annotators.engine.settings import Sampling
from llm_al.annotators.tasks.asking import Malformed, Question, Told, ask_all, plain_line
from llm_al.annotators.tasks.material import Disagreement
from llm_al.annotators.tasks.prompts import TaskPrompt, fence_all

__all__ = ["Critique", "Gap", "run"]

MAX_GAPS = 8
MAX_CASES = 40
_MAX_TEXT_CHARACTERS = 800
_MAX_LINE_CHARACTERS = 500


@dataclass(frozen=True)
class Gap:
    """Something that the guidelines leave open.

    Parameters
    ----------
    example_ids : tuple of str
        Disagreements that it explains; at least one.
    rule : str
        A sentence that would close it.
    """

    gap: str
    example_ids: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class Critique:
    """Asks what the guidelines leave open, given disagreements.

    Parameters
    ----------
    prompt : TaskPrompt
    max_characters : int
        Disagreements are left out from where their texts together are longer.
    """

    prompt: TaskPrompt
    max_characters: int = 16_000

    def shown(self, cases: Sequence[Disagreement]) -> list[Disagreement]:
        """Return the leading disagreements that fit."""
        kept: list[Disagreement] = []
        n_characters = 0
        for case in cases[:MAX_CASES]:
            n_characters += min(len(case.text), _MAX_TEXT_CHARACTERS)
            if kept and n_characters > self.max_characters:
                break
            kept.append(case)
        return kept

    def question(self, cases: Sequence[Disagreement]) -> Question[tuple[Gap, ...]]:
        """Return the question; its answer may be no gap at all, when the guidelines leave nothing open.

        Parameters
        ----------
        cases : sequence of Disagreement
            The most informative first.
        """
        shown = self.shown(cases)
        ids = {f"D{number}": case.example_id for number, case in enumerate(shown, start=1)}
        codes = self.prompt.codes
        fenced = fence_all([case.text for case in shown], max_characters=_MAX_TEXT_CHARACTERS)
        listed = [
            {"id": id_, "fenced": text, "said": [{"who": who, "code": codes[label]} for who, label in case.said]}
            for id_, text, case in zip(ids, fenced, shown, strict=True)
        ]
        messages = self.prompt.messages(cases=listed, max_gaps=MAX_GAPS)

        def read(found: Mapping[str, Any]) -> tuple[Gap, ...]:
            return _gaps(found["gaps"], ids)

        return Question(self.prompt.name, messages, _schema(list(ids)), "gaps", 1200, read)


def _schema(ids: list[str]) -> Schema:
    gap = {
        "type": "object",
        "properties": {
            "gap": {"type": "string"},
            "cases": {"type": "array", "items": {"type": "string", "enum": ids}},
            "rule": {"type": "string"},
        },
        "required": ["gap", "cases", "rule"],
        "additionalProperties": False,
    }
    return Schema.of("guideline_gaps", {"gaps": {"type": "array", "items": gap}})


def _gaps(listed: object, ids: Mapping[str, str]) -> tuple[Gap, ...]:
    if not isinstance(listed, list):
        raise Malformed(f'"gaps" is {type(listed).__name__}, not a list')
    read = [_gap(item, ids) for item in listed[:MAX_GAPS]]
    kept = tuple(gap for gap in read if isinstance(gap, Gap))
    if listed and not kept:
        raise Malformed(next(str(gap) for gap in read if isinstance(gap, str)))
    return kept


def _gap(item: object, ids: Mapping[str, str]) -> Gap | str:
    """Return a gap, or why it is none: one that rests on no disagreement of the list is an invention."""
    if not isinstance(item, dict):
        return f"a gap is {type(item).__name__}, not an object"
    cases = item.get("cases")
    named = [ids[case] for case in cases if isinstance(case, str) and case in ids] if isinstance(cases, list) else []
    if not named:
        return f"a gap names none of the cases {', '.join(ids)}"
    try:
        gap = plain_line(item.get("gap"), "a gap", max_characters=_MAX_LINE_CHARACTERS)
        rule = plain_line(item.get("rule"), "a rule", max_characters=_MAX_LINE_CHARACTERS)
    except Malformed as exc:
        return str(exc)
    return Gap(gap, tuple(dict.fromkeys(named)), rule)


def run(
    engine: Engine, critique: Critique, cases: Sequence[Disagreement], *, sampling: Sampling
) -> Told[tuple[Gap, ...]]:
    """Return the gaps, or why there are none; no disagreement needs no call. Raises as `ask_all` does."""
    if not cases:
        return Told((), "")
    return ask_all(engine, [critique.question(cases)], sampling)[0]
