import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, inspect, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from llm_al.errors import StoreError
from llm_al.phrasing import Phrasing
from llm_al.store import SqlStore, schema
from llm_al.store.database import Database
from llm_al.store.migrations import MIGRATIONS, Migration, migrate
from llm_al.types import Annotation, Example


@pytest.fixture
def database(path: Path):
    opened = Database(path)
    yield opened
    opened.close()


def versions(database: Database) -> list[int]:
    with database.reading() as connection:
        return list(connection.execute(select(schema.schema_version.c.version)).scalars())


def test_an_empty_database_gets_every_migration_once(database: Database) -> None:
    assert migrate(database) == MIGRATIONS[-1].number
    assert migrate(database) == MIGRATIONS[-1].number
    assert versions(database) == [m.number for m in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
    with database.reading() as connection:
        assert set(schema.metadata.tables) <= set(inspect(connection).get_table_names())


def test_an_older_database_keeps_its_rows(database: Database, path: Path) -> None:
    migrate(database, MIGRATIONS[:1])
    with database.writing() as connection:
        row = {"ordinal": 0, "id": "a", "text": "t", "meta": "{}", "split": "pool"}
        connection.execute(insert(schema.examples).values(**row, duplicate_group=0, digest=b""))
    with SqlStore(path) as store:
        assert store.examples_by_id(["a"]) == [Example("a", "t", 0, group=0)]
        store.add_annotations([Annotation("a", "x", "ann")])
        with pytest.raises(StoreError, match="never changed"), store.database.writing() as connection:
            connection.execute(schema.annotations.delete())


def test_a_migration_that_fails_leaves_nothing(database: Database) -> None:
    def fail(connection: Connection) -> None:
        connection.exec_driver_sql("CREATE TABLE half (x INTEGER)")
        raise StoreError("broken halfway")

    migrations = (*MIGRATIONS, Migration(len(MIGRATIONS) + 1, "broken", fail))
    with pytest.raises(StoreError, match="halfway"):
        migrate(database, migrations)
    assert versions(database) == [m.number for m in MIGRATIONS]
    with database.reading() as connection:
        assert "half" not in inspect(connection).get_table_names()


def test_a_newer_database_is_refused_untouched(database: Database, path: Path) -> None:
    migrate(database)
    with database.writing() as connection:
        connection.execute(insert(schema.schema_version).values(version=99, name="future", applied_s=0.0))
    with pytest.raises(StoreError, match=r"project\.db has schema version 99, newer than this llm-al.*upgrade llm-al"):
        SqlStore(path)


def test_a_database_of_another_program_is_refused(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE annotations (x INTEGER)")
    connection.close()
    with pytest.raises(StoreError, match=r"tables of another program \(annotations\)"):
        SqlStore(path)


def test_processes_that_open_a_new_store_at_once_all_succeed(path: Path) -> None:
    script = "import sys; from llm_al.store import SqlStore; SqlStore(sys.argv[1]).close()"
    openers = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(3)]
    assert [opener.wait() for opener in openers] == [0, 0, 0]
    with SqlStore(path) as store, store.database.reading() as connection:
        assert connection.execute(select(func.count()).select_from(schema.ledger_totals)).scalar() == 1


def test_the_tables_can_be_written_for_postgresql() -> None:
    ddl = [str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in schema.metadata.sorted_tables]
    assert any("id BIGSERIAL NOT NULL" in statement and "annotations" in statement for statement in ddl)
    assert not any("DATETIME" in statement or "AUTOINCREMENT" in statement for statement in ddl)


def test_a_database_without_signals_gets_the_column_and_keeps_its_annotations(database: Database, path: Path) -> None:
    migrate(database, MIGRATIONS[:2])
    with database.writing() as connection:
        connection.exec_driver_sql("ALTER TABLE annotations DROP COLUMN signals")
    with SqlStore(path) as store:
        store.add_examples([Example("a", "t")])
        store.add_annotations([Annotation("a", "x", "ann", signals={"verbalised": 0.75})])
        assert store.annotations()[0].signals == {"verbalised": 0.75}


def test_an_older_queue_goes_on_and_its_questions_are_plain(database: Database, path: Path) -> None:
    migrate(database, MIGRATIONS[:5])
    with database.writing() as connection:
        for name in ("tickets", "rulings", "flags", "invites", "sessions", "people", "attempts"):
            connection.exec_driver_sql(f"DROP TABLE {name}")
        for name in ("form", "coverage", "cluster", "n_wanted"):
            connection.exec_driver_sql(f"ALTER TABLE assignments DROP COLUMN {name}")
        connection.exec_driver_sql("ALTER TABLE annotations DROP COLUMN form")
        connection.exec_driver_sql("ALTER TABLE assignments ADD COLUMN annotator TEXT")
        row = {"ordinal": 0, "id": "a", "text": "t", "meta": "{}", "split": "pool"}
        connection.execute(insert(schema.examples).values(**row, duplicate_group=0, digest=b""))
        connection.exec_driver_sql(
            "INSERT INTO assignments (ordinal, round, reason, priority, candidates, is_blind, state) "
            "VALUES (0, 1, 'r', 1.0, '[]', 0, 'waiting')"
        )
    with SqlStore(path) as store:
        (question,) = store.pending()
        assert (question.example_id, question.phrasing, question.n_wanted) == ("a", Phrasing(), 1)
        store.answer(Annotation("a", "x", "ann"))
        assert (store.pending(), store.annotations()[0].form) == ([], "")
