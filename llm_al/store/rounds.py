"""Rounds: which step was reached, what the steps found out, and the record at the end."""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, Row, Select, func, select, update

from llm_al.errors import StoreError
from llm_al.measures import Certificate, ClassMetrics, Metrics, ReliabilityBin, RoundRecord
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_keep, insert_or_replace
from llm_al.store.schema import round_notes, rounds
from llm_al.types import Source

__all__ = ["DONE", "STARTED", "RoundState", "Rounds", "record_from_json", "record_to_json"]

STARTED = "started"
"""Step of a round that has only begun."""
DONE = "done"
"""Step of a finished round."""


@dataclass(frozen=True, slots=True)
class RoundState:
    """A round as a state machine: the step it reached and what it needs to go on alike."""

    number: int
    step: str
    config_fingerprint: str
    seed_state: Any
    started_s: float
    ended_s: float | None


def _plain(value: object) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON; use numbers, text, lists and mappings")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def record_to_json(record: RoundRecord) -> str:
    """Write a record down; `record_from_json` gives an equal one back."""
    fields = {field.name: getattr(record, field.name) for field in dataclasses.fields(record)}
    nested = {name: dataclasses.asdict(fields[name]) for name in ("metrics", "certificate") if fields[name] is not None}
    return _dump({**fields, **nested, "seconds": dict(record.seconds)})


def record_from_json(text: str) -> RoundRecord:
    """Read a record."""
    fields = json.loads(text)
    return RoundRecord(
        **{
            **fields,
            "metrics": None if fields["metrics"] is None else _metrics(fields["metrics"]),
            "certificate": None if fields["certificate"] is None else Certificate(**fields["certificate"]),
            "sources": tuple(Source(source) for source in fields["sources"]),
            "pseudo_checked": tuple(fields["pseudo_checked"]) if fields.get("pseudo_checked") else None,
        }
    )


def _metrics(fields: Mapping[str, Any]) -> Metrics:
    return Metrics(
        **{
            **fields,
            "per_class": tuple(ClassMetrics(**line) for line in fields["per_class"]),
            "confusion": tuple(tuple(row) for row in fields["confusion"]),
            "reliability": tuple(ReliabilityBin(**bar) for bar in fields["reliability"]),
        }
    )


def _state(row: Row[Any]) -> RoundState:
    seed_state = json.loads(row.seed_state)
    return RoundState(row.number, row.step, row.config_fingerprint, seed_state, row.started_s, row.ended_s)


class Rounds:
    """The `rounds` and `round_notes` tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, number: int, *, config_fingerprint: str, seed_state: Any) -> RoundState:
        """Begin a round, or return it as it stands if it was begun before."""
        row = {
            "number": number,
            "step": STARTED,
            "config_fingerprint": config_fingerprint,
            "seed_state": _dump(seed_state),
            "started_s": time.time(),
        }
        with self._database.writing() as connection:
            connection.execute(insert_or_keep(connection, rounds), row)
            return _state(connection.execute(select(rounds).where(rounds.c.number == number)).one())

    def reach(self, number: int, step: str) -> None:
        """Record that a step of a begun round is complete."""
        with self._database.writing() as connection:
            self._advance(connection, number, {"step": step})

    def current(self) -> RoundState | None:
        """Return the last round if it is not finished."""
        with self._database.reading() as connection:
            last = connection.execute(select(rounds).order_by(rounds.c.number.desc()).limit(1)).one_or_none()
        return None if last is None or last.ended_s is not None else _state(last)

    def note(self, number: int, key: str, value: Any) -> None:
        """Keep a JSON value under a key of a begun round, in place of what was there."""
        row = {"round": number, "key": key, "value": _dump(value)}
        with self._database.writing() as connection:
            connection.execute(insert_or_replace(connection.dialect.name, round_notes), row)

    def read_note(self, number: int, key: str) -> Any | None:
        """Return what `note` kept, or None."""
        query = select(round_notes.c.value).where(round_notes.c.round == number, round_notes.c.key == key)
        with self._database.reading() as connection:
            value = connection.execute(query).scalar_one_or_none()
        return None if value is None else json.loads(value)

    def finish(self, record: RoundRecord) -> None:
        """Keep the record and close the round; doing so again replaces the record."""
        now = time.time()
        row = {
            "number": record.number,
            "step": DONE,
            "config_fingerprint": "",
            "seed_state": "null",
            "record": record_to_json(record),
            "started_s": now,
            "ended_s": now,
        }
        kept = ("config_fingerprint", "seed_state", "started_s")
        with self._database.writing() as connection:
            connection.execute(insert_or_replace(connection.dialect.name, rounds, kept=kept), row)

    def n_finished(self) -> int:
        """Return the number of the last finished round, 0 before the first."""
        query = select(func.max(rounds.c.number)).where(rounds.c.record.is_not(None))
        with self._database.reading() as connection:
            return connection.execute(query).scalar() or 0

    def records(self) -> list[RoundRecord]:
        """Return the records of finished rounds by number."""
        return [record_from_json(row.record) for row in self._read() if row.record is not None]

    def rows(self) -> list[Mapping[str, Any]]:
        """Return every round by number: the fields of `RoundState` and `record`, as parsed JSON or None."""
        return [
            {**dataclasses.asdict(_state(row)), "record": None if row.record is None else json.loads(row.record)}
            for row in self._read()
        ]

    def _read(self) -> list[Row[Any]]:
        query: Select[Any] = select(rounds).order_by(rounds.c.number)
        with self._database.reading() as connection:
            return list(connection.execute(query))

    def _advance(self, connection: Connection, number: int, changes: Mapping[str, Any]) -> None:
        if connection.execute(update(rounds).where(rounds.c.number == number).values(changes)).rowcount == 0:
            raise StoreError(f"round {number} was never begun; begin it before a step of it is reached")
