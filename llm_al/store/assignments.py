"""The human queue: who is asked what, and until when it is theirs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, or_, select, update

from llm_al.store._batches import batches
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_keep
from llm_al.store.examples import ordinals_by_id
from llm_al.store.schema import assignments, examples

__all__ = ["Assignment", "AssignmentState", "Assignments"]


class AssignmentState(StrEnum):
    """Whether an answer is still wanted."""

    WAITING = "waiting"
    DONE = "done"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Assignment:
    """One question to a person.

    Parameters
    ----------
    priority : float
        Higher is asked sooner.
    candidates : tuple of str
        Labels to offer first; empty when `is_blind`, or when nothing is known.
    is_blind : bool
        Whether no suggestion may be shown (an audit).
    annotator : str or None
        Who was given it last.
    lease_expires_s : float or None
        Until when it is theirs, in seconds since the epoch.
    """

    example_id: str
    round: int
    reason: str
    priority: float
    candidates: tuple[str, ...]
    is_blind: bool
    state: AssignmentState
    annotator: str | None
    lease_expires_s: float | None
    row_id: int


_WAITING = assignments.c.state == AssignmentState.WAITING.value
_QUEUE: Select[Any] = (
    select(assignments, examples.c.id.label("example_id"))
    .select_from(assignments.join(examples))
    .order_by(assignments.c.priority.desc(), assignments.c.id)
)
_NO_LEASE = {"annotator": None, "lease_expires_s": None}


def _assignment(row: Row[Any]) -> Assignment:
    return Assignment(
        example_id=row.example_id,
        round=row.round,
        reason=row.reason,
        priority=row.priority,
        candidates=tuple(json.loads(row.candidates)),
        is_blind=row.is_blind,
        state=AssignmentState(row.state),
        annotator=row.annotator,
        lease_expires_s=row.lease_expires_s,
        row_id=row.id,
    )


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
        candidates: Sequence[str] = (),
        is_blind: bool = False,
    ) -> int:
        """Append questions in one transaction and return how many were new; see `SqlStore.enqueue`."""
        row = {
            "round": round,
            "reason": reason,
            "priority": float(priority),
            "candidates": json.dumps(list(candidates)),
            "is_blind": is_blind,
            "state": AssignmentState.WAITING.value,
        }
        with self._database.writing() as connection:
            found = ordinals_by_id(connection, example_ids)
            ordinals = list(dict.fromkeys(found[id_] for id_ in example_ids))
            taken = self._unavailable(connection, ordinals, round)
            new = [{"ordinal": ordinal, **row} for ordinal in ordinals if ordinal not in taken]
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

    def pending(self) -> list[Assignment]:
        """Return what waits for an answer, leased or not, highest priority first."""
        with self._database.reading() as connection:
            return [_assignment(row) for row in connection.execute(_QUEUE.where(_WAITING))]

    def lease(self, annotator: str, *, n: int, lease_s: float, now: float) -> list[Assignment]:
        """Give up to `n` questions to one person until ``now + lease_s``; see `SqlStore.lease`."""
        is_held = (assignments.c.annotator == annotator) & (assignments.c.lease_expires_s > now)
        is_free = or_(assignments.c.lease_expires_s.is_(None), assignments.c.lease_expires_s <= now)
        with self._database.writing() as connection:
            chosen = self._lock(connection, is_held, n)
            chosen += self._lock(connection, is_free, n - len(chosen))
            if not chosen:
                return []
            statement = update(assignments).where(assignments.c.id.in_(chosen))
            connection.execute(statement.values(annotator=annotator, lease_expires_s=now + lease_s))
            rows = connection.execute(_QUEUE.where(assignments.c.id.in_(chosen)))
            leased = {row.id: _assignment(row) for row in rows}
        return [leased[row_id] for row_id in chosen]

    def _lock(self, connection: Connection, condition: ColumnElement[bool], n: int) -> list[int]:
        query = select(assignments.c.id).where(_WAITING, condition)
        query = query.order_by(assignments.c.priority.desc(), assignments.c.id).limit(n)
        return list(connection.execute(query.with_for_update(skip_locked=True)).scalars())

    def complete(self, connection: Connection, example_id: str) -> bool:
        """Take an example off the queue; False if it was not on it."""
        ordinal = ordinals_by_id(connection, [example_id])[example_id]
        statement = update(assignments).where(_WAITING, assignments.c.ordinal == ordinal)
        return connection.execute(statement.values(state=AssignmentState.DONE.value)).rowcount > 0

    def reopen(self, connection: Connection, example_id: str) -> bool:
        """Put the last answered question of an example back; False if there is none, or one waits already."""
        ordinal = ordinals_by_id(connection, [example_id])[example_id]
        query = select(assignments.c.id, assignments.c.state).where(
            assignments.c.ordinal == ordinal, assignments.c.state != AssignmentState.CANCELLED.value
        )
        last = connection.execute(query.order_by(assignments.c.id.desc()).limit(1)).one_or_none()
        if last is None or last.state == AssignmentState.WAITING.value:
            return False
        statement = update(assignments).where(assignments.c.id == last.id)
        connection.execute(statement.values(state=AssignmentState.WAITING.value, **_NO_LEASE))
        return True

    def cancel(self, round: int) -> int:
        """Withdraw what still waits in a round and return how many."""
        statement = update(assignments).where(_WAITING, assignments.c.round == round)
        with self._database.writing() as connection:
            return connection.execute(statement.values(state=AssignmentState.CANCELLED.value, **_NO_LEASE)).rowcount
