"""Every standing answer of people about the pool with what they were asked: read once, then only what is new."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, Select, and_, select

from llm_al.people.suggestions import Suggestions
from llm_al.phrasing import Form, Phrasing
from llm_al.store.assignments import TicketState
from llm_al.store.schema import annotations, annotators, assignments, examples, tickets
from llm_al.store.store import SqlStore
from llm_al.store.tickets import TicketKind
from llm_al.types import Annotation, AnnotatorKind, Split

__all__ = ["RULING", "AnswerBook", "Asked", "Probe", "is_ruling"]

RULING = "ruling"
"""Begins the reason of an annotation that a reviewer's ruling appended."""

_LATE = 500
"""On a server, a row may become visible after rows with larger numbers; so many are looked at again."""
_PEOPLE = [kind.value for kind in AnnotatorKind if kind.is_human]
_ROWS: Select[Any] = (
    select(
        annotations,
        annotators.c.name,
        annotators.c.kind,
        examples.c.id.label("example_id"),
        assignments.c.form.label("asked_form"),
        assignments.c.candidates,
        assignments.c.coverage,
    )
    .select_from(
        annotations.join(examples)
        .join(annotators)
        .outerjoin(tickets, and_(tickets.c.ordinal == annotations.c.ordinal, tickets.c.annotation == annotations.c.id))
        .outerjoin(assignments, assignments.c.id == tickets.c.assignment)
    )
    .where(annotators.c.kind.in_(_PEOPLE), examples.c.split == Split.POOL.value)
    .order_by(annotations.c.id)
)
_PROBES: Select[Any] = (
    select(tickets.c.annotator, tickets.c.kind, tickets.c.label, examples.c.id.label("example_id"))
    .select_from(tickets.join(examples))
    .where(tickets.c.kind != TicketKind.LABEL.value, tickets.c.state == TicketState.ANSWERED.value)
    .order_by(tickets.c.changed_s, tickets.c.id)
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One answer of a person, and the question.

    Parameters
    ----------
    annotation : Annotation
        Without signals and probabilities, which people do not give.
    phrasing : Phrasing or None
        How the question was put at first; None where it is not known.
    proposed : str or None
        Where a suggestion was in sight, the label that machines were surest of.
    """

    annotation: Annotation
    ordinal: int
    created_s: float
    phrasing: Phrasing | None
    proposed: str | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a question that checked the person."""

    annotator: str
    is_gold: bool
    """Whether the label was known; otherwise the person had answered it before."""
    example_id: str
    label: str


def is_ruling(annotation: Annotation) -> bool:
    """Whether a reviewer's ruling appended it; answers through a page have a form."""
    return not annotation.form and annotation.reason.split(":")[0] == RULING


class AnswerBook:
    """Keeps answers in memory. Not for several threads at once.

    Parameters
    ----------
    suggestions : callable
        From the number of a finished round to what machines proposed after it.
    """

    def __init__(self, store: SqlStore, suggestions: Callable[[int], Suggestions]) -> None:
        self._store = store
        self._suggestions = suggestions
        self._asked: dict[int, Asked] = {}
        self._retracted: set[int] = set()
        self._last = 0

    def read(self) -> list[Asked]:
        """Return all standing answers, in row order."""
        query = _ROWS.where(annotations.c.id > self._last - _LATE)
        with self._store.database.reading() as connection:
            rows = connection.execute(query).all()
        self._retracted.update(row.retracts for row in rows if row.retracts is not None)
        new = {
            row.id: _asked(row)
            for row in rows
            if row.id not in self._asked and row.retracts is None and row.label is not None
        }
        self._asked.update(self._with_proposals({id_: a for id_, a in new.items() if id_ not in self._retracted}))
        for row_id in self._retracted & self._asked.keys():
            del self._asked[row_id]
        self._last = max((row.id for row in rows), default=self._last)
        return self.kept()

    def kept(self) -> list[Asked]:
        """Return what `read` returned last."""
        return [self._asked[row_id] for row_id in sorted(self._asked)]

    def probes(self) -> list[Probe]:
        """Return the answers to questions that checked a person, oldest first."""
        with self._store.database.reading() as connection:
            rows = connection.execute(_PROBES).all()
        return [Probe(row.annotator, row.kind == TicketKind.GOLD.value, row.example_id, row.label) for row in rows]

    def _with_proposals(self, new: Mapping[int, Asked]) -> dict[int, Asked]:
        by_round: dict[int, dict[str, int]] = {}
        for asked in new.values():
            if asked.annotation.is_suggestion_shown and _only_option(asked.phrasing) is None:
                by_round.setdefault(asked.annotation.round, {})[asked.annotation.example_id] = asked.ordinal
        proposed = {
            (number, id_): found[0].label
            for number, ordinals in by_round.items()
            # A round's questions are answered before its own student is trained.
            for id_, found in self._suggestions(max(number - 1, 0)).of(ordinals).items()
            if found
        }
        return {row_id: _proposed(asked, proposed) for row_id, asked in new.items()}


def _proposed(asked: Asked, known: Mapping[tuple[int, str], str]) -> Asked:
    answer = asked.annotation
    if not answer.is_suggestion_shown:
        return asked
    label = _only_option(asked.phrasing) or known.get((answer.round, answer.example_id))
    return replace(asked, proposed=label)


def _only_option(phrasing: Phrasing | None) -> str | None:
    """Return the one label that a question is about."""
    if phrasing is None or phrasing.form not in (Form.VERIFY, Form.BULK) or not phrasing.options:
        return None
    return phrasing.options[0]


def _asked(row: Row[Any]) -> Asked:
    answer = Annotation(
        example_id=row.example_id,
        label=row.label,
        source=row.name,
        kind=AnnotatorKind(row.kind),
        round=row.round,
        duration_s=row.duration_s,
        is_suggestion_shown=row.is_suggestion_shown,
        form=row.form,
        reason=row.reason,
        row_id=row.id,
    )
    options: Sequence[str] = json.loads(row.candidates) if row.candidates else ()
    phrasing = None if row.asked_form is None else Phrasing(Form(row.asked_form), tuple(options), row.coverage)
    return Asked(answer, row.ordinal, row.created_s, phrasing)
