"""The decision log: what was decided for an example, and why."""

import time
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Row, select

from llm_al.store._batches import batches
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_keep
from llm_al.store.examples import ordinals_by_id
from llm_al.store.schema import decisions, examples
from llm_al.types import Decision, Outcome, Stage

__all__ = ["DecisionLog"]


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        example_id=row.example_id,
        round=row.round,
        stage=Stage(row.stage),
        outcome=Outcome(row.outcome),
        reason=row.reason,
        score=row.score,
        probability=row.probability,
    )


def _values(decision: Decision, *, ordinal: int, created_s: float) -> dict[str, Any]:
    return {
        "ordinal": ordinal,
        "round": decision.round,
        "stage": decision.stage.value,
        "outcome": decision.outcome.value,
        "reason": decision.reason,
        "score": None if decision.score is None else float(decision.score),
        "probability": None if decision.probability is None else float(decision.probability),
        "created_s": created_s,
    }


class DecisionLog:
    """The `decisions` table.

    One row for each (example, round, stage, outcome). Writing the same one again, as a step does that is
    continued after a kill, keeps the first. A stage that moves on within a round, as review does from
    `candidate` to `accept`, leaves both in order; the last one holds.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Iterable[Decision]) -> None:
        """Append in one transaction."""
        now = time.time()
        with self._database.writing() as connection:
            statement = insert_or_keep(connection, decisions)
            for batch in batches(rows, 10_000):
                ordinals = ordinals_by_id(connection, (row.example_id for row in batch))
                values = [_values(row, ordinal=ordinals[row.example_id], created_s=now) for row in batch]
                connection.execute(statement, values)

    def read(self, *, example_id: str | None = None, round: int | None = None) -> list[Decision]:
        """Return decisions in the order they were written."""
        query = select(decisions, examples.c.id.label("example_id")).select_from(decisions.join(examples))
        with self._database.reading() as connection:
            if example_id is not None:
                ordinal = ordinals_by_id(connection, [example_id])[example_id]
                query = query.where(decisions.c.ordinal == ordinal)
            if round is not None:
                query = query.where(decisions.c.round == round)
            return [_decision(row) for row in connection.execute(query.order_by(decisions.c.id))]
