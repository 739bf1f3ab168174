"""The human queue: which questions wait, how each is put, and how many people are to answer it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Select, func, or_, select, update

from llm_al.phrasing import Form, Phrasing
from llm_al.store._batches import batches
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_keep
from llm_al.store.examples import ordinals_by_id
from llm_al.store.schema import assignments, examples, tickets

__all__ = ["Assignment", "AssignmentState", "Assignments", "TicketState"]


_PLAIN = Phrasing()


class AssignmentState(StrEnum):
    """Whether an answer is still wanted."""

    WAITING = "waiting"
    DONE = "done"
    CANCELLED = "cancelled"


class TicketState(StrEnum):
    """What became of a question that was handed to a person."""

    HELD = "held"
    ANSWERED = "answered"
    SKIPPED = "skipped"
    RETURNED = "returned"
    """Given back unanswered, or an answer that was taken back by other means than the page."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One question to people.

    Parameters
    ----------
    priority : float
        Higher is asked sooner.
    is_blind : bool
        Whether no suggestion may be shown (an audit).
    phrasing : Phrasing
        How it is put.
    n_wanted : int
        So many people are to answer it.
    n_answered : int
        So many have, skips left out.
    """

    example_id: str
    round: int
    reason: str
    priority: float
    is_blind: bool
    state: AssignmentState
    row_id: int
    phrasing: Phrasing = _PLAIN
    n_wanted: int = 1
    n_answered: int = 0


_WAITING = assignments.c.state == AssignmentState.WAITING.value
_N_ANSWERED = (
    select(func.count())
    .where(tickets.c.assignment == assignments.c.id, tickets.c.state == TicketState.ANSWERED.value)
    .scalar_subquery()
)
_QUEUE: Select[Any] = (
    select(assignments, examples.c.id.label("example_id"), _N_ANSWERED.label("n_answered"))
    .select_from(assignments.join(examples))
    .order_by(assignments.c.priority.desc(), assignments.c.id)
)


def _assignment(row: Row[Any]) -> Assignment:
    return Assignment(
        example_id=row.example_id,
        round=row.round,
        reason=row.reason,
        priority=row.priority,
        is_blind=row.is_blind,
        state=AssignmentState(row.state),
        row_id=row.id,
        phrasing=phrasing_of(row),
        n_wanted=row.n_wanted,
        n_answered=row.n_answered,
    )


def phrasing_of(row: Row[Any]) -> Phrasing:
    """Return how the question of a row of `assignments` is put."""
    return Phrasing(Form(row.form), tuple(json.loads(row.candidates)), row.coverage, row.cluster)


def _values(phrasing: Phrasing) -> dict[str, Any]:
    return {
        "form": phrasing.form.value,
        "candidates": json.dumps(list(phrasing.options)),
        "coverage": phrasing.coverage,
        "cluster": phrasing.cluster,
    }


class Assignments:
    """The `assignments` table.

    An example is asked at most once a round, and never stands in the queue twice at a time.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def enqueue(
        self,
        example_ids: Sequence[str],
        *,
        round: int,
        reason: str,
        priority: float = 0.0,
        is_blind: bool = False,
        n_wanted: int = 1,
        phrasing: Mapping[str, Phrasing] | None = None,
    ) -> int:
        """Append questions in one transaction and return how many were new; see `SqlStore.enqueue`."""
        put = phrasing or {}
        shared = {
            "round": round,
            "reason": reason,
            "priority": float(priority),
            "is_blind": is_blind,
            "state": AssignmentState.WAITING.value,
            "n_wanted": n_wanted,
        }
        with self._database.writing() as connection:
            found = ordinals_by_id(connection, example_ids)
            by_ordinal = {found[id_]: put.get(id_, _PLAIN) for id_ in reversed(example_ids)}
            ordinals = list(dict.fromkeys(found[id_] for id_ in example_ids))
            taken = self._unavailable(connection, ordinals, round)
            new = [{"ordinal": o, **shared, **_values(by_ordinal[o])} for o in ordinals if o not in taken]
            if new:
                connection.execute(insert_or_keep(connection, assignments), new)
        return len(new)

    def _unavailable(self, connection: Connection, ordinals: Sequence[int], round: int) -> set[int]:
        taken: set[int] = set()
        for batch in batches(ordinals):
            query = select(assignments.c.ordinal).where(
                assignments.c.ordinal.in_(batch), or_(_WAITING, assignments.c.round == round)
            )
            taken.update(connection.execute(query).scalars())
        return taken

    def read(self, *, is_waiting: bool = False) -> list[Assignment]:
        """Return questions, highest priority first; of every state, or those that wait for an answer."""
        with self._database.reading() as connection:
            return [_assignment(row) for row in connection.execute(_QUEUE.where(_WAITING) if is_waiting else _QUEUE)]

    def n_waiting(self) -> int:
        """Return how many questions wait."""
        with self._database.reading() as connection:
            return connection.execute(select(func.count()).select_from(assignments).where(_WAITING)).scalar_one()

    def waiting(self, connection: Connection, ordinal: int) -> Row[Any] | None:
        """Return the row of the question about an example that waits; None when none does."""
        return connection.execute(select(assignments).where(_WAITING, assignments.c.ordinal == ordinal)).one_or_none()

    def close(self, connection: Connection, assignment: int) -> None:
        """Ask no more people."""
        statement = update(assignments).where(assignments.c.id == assignment)
        connection.execute(statement.values(state=AssignmentState.DONE.value))

    def complete(self, connection: Connection, example_id: str) -> bool:
        """Take an example off the queue; False if it was not on it."""
        ordinal = ordinals_by_id(connection, [example_id])[example_id]
        statement = update(assignments).where(_WAITING, assignments.c.ordinal == ordinal)
        return connection.execute(statement.values(state=AssignmentState.DONE.value)).rowcount > 0

    def reopen(self, connection: Connection, example_id: str) -> bool:
        """Put the last closed question of an example back; False if there is none, or one waits already."""
        ordinal = ordinals_by_id(connection, [example_id])[example_id]
        query = select(assignments.c.id, assignments.c.state).where(
            assignments.c.ordinal == ordinal, assignments.c.state != AssignmentState.CANCELLED.value
        )
        last = connection.execute(query.order_by(assignments.c.id.desc()).limit(1)).one_or_none()
        if last is None or last.state == AssignmentState.WAITING.value:
            return False
        statement = update(assignments).where(assignments.c.id == last.id)
        connection.execute(statement.values(state=AssignmentState.WAITING.value))
        return True

    def cancel(self, round: int) -> int:
        """Withdraw what still waits in a round and return how many."""
        statement = update(assignments).where(_WAITING, assignments.c.round == round)
        with self._database.writing() as connection:
            return connection.execute(statement.values(state=AssignmentState.CANCELLED.value)).rowcount
