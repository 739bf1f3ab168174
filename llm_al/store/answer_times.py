"""What people were asked, what they said and how long it took; and how they fared when they were checked."""

import json
from typing import Any

from sqlalchemy import Row, Select, and_, select

from llm_al.measures import AnswerTime, Check
from llm_al.store.annotations import IS_STANDING
from llm_al.store.assignments import TicketState
from llm_al.store.database import Database
from llm_al.store.rulings import Rulings
from llm_al.store.schema import annotations, annotators, assignments, examples, tickets
from llm_al.store.tickets import TicketKind
from llm_al.types import AnnotatorKind

__all__ = ["AnswerTimes"]

_PEOPLE = [kind.value for kind in AnnotatorKind if kind.is_human]
_ANSWERS: Select[Any] = (
    select(
        annotations.c.id,
        annotations.c.label,
        annotations.c.duration_s,
        annotations.c.is_suggestion_shown,
        annotations.c.form,
        annotations.c.created_s,
        annotators.c.name,
        examples.c.id.label("example_id"),
        examples.c.text,
        assignments.c.candidates,
        assignments.c.coverage,
    )
    .select_from(
        annotations.join(examples)
        .join(annotators)
        .outerjoin(tickets, tickets.c.annotation == annotations.c.id)
        .outerjoin(assignments, assignments.c.id == tickets.c.assignment)
    )
    .where(IS_STANDING, annotators.c.kind.in_(_PEOPLE), annotations.c.label.is_not(None))
    .order_by(annotations.c.id)
)
_CHECKS: Select[Any] = (
    select(tickets, examples.c.id.label("example_id"))
    .select_from(tickets.join(examples))
    .where(and_(tickets.c.kind != TicketKind.LABEL.value, tickets.c.state == TicketState.ANSWERED.value))
    .order_by(tickets.c.changed_s, tickets.c.id)
)


def _answer_time(row: Row[Any]) -> AnswerTime:
    return AnswerTime(
        example_id=row.example_id,
        source=row.name,
        label=row.label,
        form=row.form,
        options=tuple(json.loads(row.candidates)) if row.candidates else (),
        coverage=row.coverage,
        seconds=row.duration_s,
        is_suggestion_shown=row.is_suggestion_shown,
        n_words=len(row.text.split()),
        created_s=row.created_s,
    )


class AnswerTimes:
    """Reads what people's answers say about the questions and about the people."""

    def __init__(self, database: Database, rulings: Rulings) -> None:
        self._database = database
        self._rulings = rulings

    def read(self) -> list[AnswerTime]:
        """Return every standing answer of a person, in row order."""
        with self._database.reading() as connection:
            return [_answer_time(row) for row in connection.execute(_ANSWERS)]

    def checks(self) -> list[Check]:
        """Return every answered check, oldest first, with what was expected: the gold label, or the first answer.

        A check whose gold was withdrawn, or whose first answer was taken back, is left out.
        """
        gold = {id_: ruling.label for id_, ruling in self._rulings.standing().items()}
        with self._database.reading() as connection:
            rows = connection.execute(_CHECKS).all()
            first = self._first_answers(connection.execute(_ANSWERS).all()) if rows else {}
        found = []
        for row in rows:
            is_gold = row.kind == TicketKind.GOLD.value
            expected = gold.get(row.example_id) if is_gold else first.get((row.example_id, row.annotator))
            if expected is not None:
                found.append(Check(row.annotator, row.kind, row.example_id, row.label, expected, row.changed_s))
        return found

    def _first_answers(self, rows: Any) -> dict[tuple[str, str], str]:
        return {(row.example_id, row.name): row.label for row in reversed(rows)}
