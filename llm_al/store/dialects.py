"""Everything that SQLite and PostgreSQL say differently."""

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, Table, event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

__all__ = ["BUSY_TIMEOUT_S", "forbid_changes", "insert_or_keep", "insert_or_replace", "one_at_a_time", "prepare_sqlite"]

BUSY_TIMEOUT_S = 30.0

_PRAGMAS = (
    f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}",
    "PRAGMA foreign_keys = ON",
    # NORMAL may forget the last commits when the power fails: a paid answer, a person's label. FULL does not.
    "PRAGMA synchronous = FULL",
)

_REFUSAL = "{table} are appended, never changed; append a new row instead"
_SQLITE_GUARD = (
    "CREATE TRIGGER {table}_refuse_{verb} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{_REFUSAL}'); END",
)
_POSTGRES_GUARD = (
    "CREATE FUNCTION {table}_refuse_{verb}() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_REFUSAL}'; END $$",
    "CREATE TRIGGER {table}_refuse_{verb} BEFORE {verb} ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION {table}_refuse_{verb}()",
)


def prepare_sqlite(engine: Engine) -> None:
    """Set each new connection up, and take the write lock when a writing transaction begins.

    The driver's own habit is to begin late and to lock at the first write, which lets two readers
    block each other for ever when both turn into writers.
    """

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        # Another process may be switching the file to WAL at this moment; the mode stays with the file.
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        is_writing = connection.get_execution_options().get("is_writing", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")


def _insert(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


def insert_or_keep(connection: Connection, table: Table) -> Insert:
    """Return an insert that leaves a row alone that is already there."""
    return _insert(connection.dialect.name, table).on_conflict_do_nothing()


def insert_or_replace(dialect: str, table: Table, *, kept: Sequence[str] = ()) -> Insert:
    """Return an insert that overwrites the row of the same primary key, but for the columns in `kept`."""
    statement = _insert(dialect, table)
    key = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in {*key, *kept}}
    return statement.on_conflict_do_update(index_elements=key, set_=changed)


def one_at_a_time(connection: Connection, table: Table) -> None:
    """Let transactions that write to `table` wait for each other, where they would count rows side by side."""
    # SQLite has one writer anyway.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {table.name} IN SHARE ROW EXCLUSIVE MODE")


def forbid_changes(connection: Connection, table: Table) -> None:
    """Make the database itself refuse UPDATE and DELETE on `table`."""
    guard = _POSTGRES_GUARD if connection.dialect.name == "postgresql" else _SQLITE_GUARD
    for verb in ("update", "delete"):
        for statement in guard:
            connection.exec_driver_sql(statement.format(table=table.name, verb=verb))
