"""How far a project is, and why an example got its label."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from llm_al.measures import RoundRecord
from llm_al.reports.amounts import usd
from llm_al.reports.tables import round_rows
from llm_al.situation import Situation
from llm_al.types import Annotation, Decision, Stage

__all__ = ["Status", "explain"]


@dataclass(frozen=True)
class Status:
    """Counts of a project."""

    name: str
    n_pool: int
    n_test: int
    n_waiting: int
    max_human_labels: int | None
    cost_nanousd: int
    cap_usd: float | None
    step: str
    records: tuple[RoundRecord, ...]
    llm_stopped: str = ""
    """Why the LLM was not asked further in the last round."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    def round_rows(self) -> list[dict[str, str]]:
        """Return one row of text a round."""
        return round_rows(self.records)

    def text(self) -> str:
        """Return the state in a few lines."""
        last = self.records[-1] if self.records else None
        budget = "" if self.max_human_labels is None else f" of {self.max_human_labels}"
        cap = "" if self.cap_usd is None else f" of ${self.cap_usd:.2f}"
        lines = [
            f"{self.name}: {self.n_pool} texts in the pool, {self.n_test} in the test split",
            f"human labels: {last.n_human if last else 0}{budget}; LLM money: {usd(self.cost_nanousd)}{cap}",
        ]
        if last and last.certificate:
            lines.append(f"audit: {last.certificate.reason}")
        if last and last.guard:
            lines.append(f"guard: {last.guard}")
        if self.llm_stopped:
            lines.append(f"LLM: {self.llm_stopped}")
        if last and last.stop_reason:
            lines.append(f"stopped: {last.stop_reason}")
        if self.n_waiting:
            lines.append(f"{self.n_waiting} texts wait for people: llm-al label")
        elif self.step:
            lines.append(f"a round is under way (step {self.step}): llm-al run")
        return "\n".join(lines)


def explain(situation: Situation, example_id: str, number: int) -> list[str]:
    """Return everything that was asked, answered and decided about one example, oldest first.

    Parameters
    ----------
    number : int
        The last finished round.

    Raises
    ------
    DataError
        If there is no such example.
    """
    (example,) = situation.store.examples_by_id([example_id])
    lines = [f"{example.id}: {example.text}"]
    decisions = situation.store.decisions(example_id=example.id)
    answers = situation.store.annotations(ids=[example.id])
    for round_ in sorted({d.round for d in decisions} | {a.round for a in answers}):
        lines += _round_lines(round_, decisions, answers)
    return [*lines, *_verdict(situation, example.id, number)]


def _round_lines(number: int, decisions: Sequence[Decision], answers: Sequence[Annotation]) -> list[str]:
    mine = [d for d in decisions if d.round == number]
    before = [d for d in mine if d.stage in (Stage.SELECT, Stage.ROUTE)]
    after = [d for d in mine if d not in before]
    said = [a for a in answers if a.round == number]
    machine, people = [a for a in said if not a.kind.is_human], [a for a in said if a.kind.is_human]
    texts = [*map(_decision, before), *map(_answer, machine), *map(_decision, after), *map(_answer, people)]
    return [f"round {number}: {text}" for text in texts]


def _decision(decision: Decision) -> str:
    return f"{decision.stage} -> {decision.outcome}: {decision.reason}"


def _answer(answer: Annotation) -> str:
    sure = "" if answer.confidence is None else f" (confidence {answer.confidence:.2f})"
    why = f": {answer.reason}" if answer.reason else ""
    return f"{answer.source} says {answer.label or 'nothing'}{sure}{why}"


def _verdict(situation: Situation, example_id: str, number: int) -> list[str]:
    position = situation.corpus.position_of.get(example_id)
    if position is None:
        return ["it belongs to the test split and is never learned from"]
    now = situation.now(number + 1)
    lines = []
    if now.view.proba is not None:
        row: Mapping[str, float] = dict(zip(situation.corpus.scheme.names, now.view.proba[position], strict=True))
        best = sorted(row, key=lambda name: -row[name])[:2]
        lines.append("the student: " + ", ".join(f"{name} {row[name]:.2f}" for name in best))
    certificate = situation.certificate(number)
    if now.answers.is_asked[position]:
        label = now.answers.human[position]
        word = situation.corpus.scheme.names[int(label)] if label >= 0 else "no label of the list"
        lines.append(f"label now: {word}, from people")
    elif position in now.accepted and certificate is not None:
        lines.append(f"label now: {now.accepted[position]}, from the LLM: {certificate.reason}")
    elif now.answers.is_llm[position]:
        why = certificate.reason if certificate else "nothing has been audited yet"
        lines.append(f"label now: the student's; the LLM's is not accepted: {why}")
    else:
        lines.append("label now: the student's; nobody has been asked")
    return lines
