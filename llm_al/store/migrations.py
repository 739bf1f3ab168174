"""Numbered changes of the schema, each applied once.

A new database gets today's tables from migration 1. A later migration that adds a table or a column must
therefore look first whether it is there already.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, insert, inspect, select
from sqlalchemy.schema import CreateColumn

from llm_al.errors import StoreError
from llm_al.store import schema
from llm_al.store.database import Database
from llm_al.store.dialects import forbid_changes

__all__ = ["MIGRATIONS", "Migration", "migrate"]


@dataclass(frozen=True)
class Migration:
    """One change of the schema; `apply` runs inside a transaction."""

    number: int
    name: str
    apply: Callable[[Connection], None]


def _create_tables(connection: Connection) -> None:
    schema.metadata.create_all(connection)
    connection.execute(insert(schema.ledger_totals).values(id=1, settled_nanousd=0, reserved_nanousd=0))


def _make_logs_append_only(connection: Connection) -> None:
    forbid_changes(connection, schema.annotations)
    forbid_changes(connection, schema.decisions)


def _add_column(connection: Connection, table: Table, name: str) -> None:
    """Add a column that is nullable or has a default to an older database; today's tables have it already."""
    if name not in {column["name"] for column in inspect(connection).get_columns(table.name)}:
        column = CreateColumn(table.c[name]).compile(dialect=connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {column}")


def _book_lost_calls(connection: Connection) -> None:
    _add_column(connection, schema.llm_calls, "lost_nanousd")
    schema.llm_facts.create(connection, checkfirst=True)


def _keep_signals(connection: Connection) -> None:
    _add_column(connection, schema.annotations, "signals")


def _keep_sizes_of_calls(connection: Connection) -> None:
    for name in ("n_bytes", "n_messages", "duration_s"):
        _add_column(connection, schema.llm_calls, name)


def _let_several_people_answer(connection: Connection) -> None:
    _add_column(connection, schema.annotations, "form")
    for name in ("form", "coverage", "cluster", "n_wanted"):
        _add_column(connection, schema.assignments, name)
    connection.exec_driver_sql("DROP INDEX IF EXISTS assignments_by_priority")
    for index in schema.assignments.indexes:
        index.create(connection, checkfirst=True)
    added = ("tickets", "rulings", "flags", "people", "invites", "sessions", "attempts")
    schema.metadata.create_all(connection, tables=[schema.metadata.tables[name] for name in added])


MIGRATIONS = (
    Migration(1, "create tables", _create_tables),
    Migration(2, "make logs append-only", _make_logs_append_only),
    Migration(3, "keep an annotator's raw signals", _keep_signals),
    Migration(4, "book lost LLM calls, remember servers", _book_lost_calls),
    Migration(5, "keep size and duration of LLM calls", _keep_sizes_of_calls),
    Migration(6, "let several people answer on a page", _let_several_people_answer),
)


def _version(connection: Connection, name: str) -> int:
    tables = set(inspect(connection).get_table_names())
    if schema.schema_version.name in tables:
        return connection.execute(select(func.max(schema.schema_version.c.version))).scalar() or 0
    if clashing := sorted(tables & set(schema.metadata.tables)):
        raise StoreError(
            f"{name} holds tables of another program ({', '.join(clashing)}); give the project a database of its own"
        )
    return 0


def migrate(database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring a database up to date, one transaction a migration, and return its version.

    The migrations are numbered 1, 2, 3, ... without a gap.

    Two processes may do so at once: the second waits for the first and finds nothing left to do.

    Raises
    ------
    StoreError
        If the database is newer than this program, is not a database, or belongs to another program.
    """
    latest = migrations[-1].number
    with database.reading() as connection:
        version = _version(connection, database.name)
    if version > latest:
        raise StoreError(
            f"{database.name} has schema version {version}, newer than this llm-al, which knows up to {latest}; "
            "upgrade llm-al"
        )
    for migration in migrations[version:]:
        with database.writing() as connection:
            # Looked up again under the write lock: another process may have been first.
            if _version(connection, database.name) >= migration.number:
                continue
            schema.schema_version.create(connection, checkfirst=True)
            migration.apply(connection)
            row = {"version": migration.number, "name": migration.name, "applied_s": time.time()}
            connection.execute(insert(schema.schema_version).values(row))
    return latest
