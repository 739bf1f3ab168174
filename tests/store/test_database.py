import contextlib
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from llm_al.errors import StorageFullError, StoreError
from llm_al.store import SqlStore
from llm_al.store.database import Database
from llm_al.types import Annotation, Example


def pragma(store: SqlStore, name: str) -> object:
    with store.database.reading() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_commits_survive_a_power_cut_and_keys_are_checked(store: SqlStore) -> None:
    assert (pragma(store, "journal_mode"), pragma(store, "synchronous"), pragma(store, "foreign_keys")) == ("wal", 2, 1)
    assert pragma(store, "busy_timeout") == 30_000


def test_a_url_opens_the_same_file_as_a_path(filled: SqlStore, path: Path) -> None:
    with SqlStore(f"sqlite:///{path}") as store:
        assert store.n_examples() == 10
    with SqlStore(str(path)) as store:
        assert store.n_examples() == 10


@pytest.mark.parametrize(
    ("location", "message"),
    [
        (":memory:", "cannot live in memory"),
        ("sqlite://", "cannot live in memory"),
        ("mysql://server/db", "cannot use a 'mysql' database; use a path, sqlite"),
        ("://", "URL cannot be read"),
    ],
)
def test_a_location_that_cannot_be_used_is_refused(location: str, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        SqlStore(location)


def test_a_password_is_in_no_message() -> None:
    with contextlib.suppress(ImportError):
        assert "secret" not in Database("postgresql://user:secret@server/db").name


@pytest.mark.parametrize("content", [b"id,text\n1,hello there, this is a table\n" * 50, bytes(range(256)) * 20])
def test_a_file_that_is_no_database_is_named(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"project\.db is not a database"):
        SqlStore(path)
    assert path.read_bytes() == content


def test_a_damaged_database_is_named(path: Path) -> None:
    with SqlStore(path) as store:
        store.add_examples(Example(f"x{i}", "t" * 200) for i in range(2_000))
    data = bytearray(path.read_bytes())
    data[4096 * 4 : 4096 * 60] = b"\xff" * (4096 * 56)
    path.write_bytes(data)
    with pytest.raises(StoreError, match=r"project\.db is not a database, or is corrupt"), SqlStore(path) as store:
        list(store.iter_examples())


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be opened; check that its folder exists"):
        SqlStore(tmp_path / "nowhere" / "project.db")


def test_a_full_disk_keeps_nothing_of_the_chunk(filled: SqlStore) -> None:
    # The real error of SQLite, at a limit of its own. The pool hands the same connection out again.
    with filled.database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 10}")
    with pytest.raises(StorageFullError, match=r"no space left in .*nothing half-written was kept") as caught:
        filled.add_examples(Example(f"x{i}", "t" * 500) for i in range(1_000))
    assert isinstance(caught.value, OSError)
    assert filled.n_examples() == 10
    assert filled.add_examples([Example("k", "small")]) == 1


def test_a_writer_that_waits_too_long_is_told_why(filled: SqlStore, path: Path) -> None:
    with SqlStore(path) as other:
        with other.database.reading() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 10")
        with filled.database.writing(), pytest.raises(StoreError, match="being written to by another process"):
            other.add_annotations([Annotation("a", "x", "ann")])


def test_readers_see_the_last_commit_while_a_writer_is_at_work(filled: SqlStore) -> None:
    counts: list[int] = []
    with filled.database.writing() as connection:
        connection.exec_driver_sql("DELETE FROM examples WHERE ordinal = 9")
        reader = threading.Thread(target=lambda: counts.append(filled.n_examples()))
        reader.start()
        reader.join()
    assert (counts, filled.n_examples()) == ([10], 9)


def test_threads_write_at_once_without_losing_a_row(filled: SqlStore) -> None:
    def write(name: str) -> None:
        for k in range(20):
            filled.add_annotations([Annotation("a", str(k), name)])

    threads = [threading.Thread(target=write, args=(name,)) for name in ("ann", "bob", "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled.annotations()) == 60


HALFWAY = """
import sys
from llm_al.store import SqlStore
from llm_al.types import Example
def rows():
    for i in range(35):
        yield Example(f"x{i}", "t")
    print("halfway", flush=True)
    sys.stdin.read()
SqlStore(sys.argv[1]).add_examples(rows(), chunk=10, is_atomic=sys.argv[2] == "atomic")
"""

BATCHES = """
import sys
from llm_al.store import SqlStore
from llm_al.types import Annotation
store = SqlStore(sys.argv[1])
for k in range(10_000):
    store.add_annotations([Annotation("a", str(i), "ann", round=k) for i in range(50)])
    print(k, flush=True)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.mark.parametrize(("mode", "n_kept"), [("atomic", 0), ("chunks", 30)])
def test_a_kill_halfway_keeps_whole_transactions_only(path: Path, mode: str, n_kept: int) -> None:
    process = start(HALFWAY, str(path), mode)
    assert process.stdout is not None
    assert process.stdout.readline() == "halfway\n"
    kill(process)
    with SqlStore(path) as store:
        assert store.n_examples() == n_kept
        assert store.add_examples(Example(f"x{i}", "t") for i in range(35)) == 35 - n_kept
        assert store.ordinals().tolist() == list(range(35))


def test_a_kill_at_any_moment_loses_no_batch_that_was_reported(filled: SqlStore, path: Path) -> None:
    process = start(BATCHES, str(path))
    assert process.stdout is not None
    reported = [process.stdout.readline() for _ in range(5)][-1]
    kill(process)
    rounds = [a.round for a in filled.annotations()]
    n_batches = len(rounds) // 50
    assert n_batches >= int(reported) + 1
    assert rounds == [k for k in range(n_batches) for _ in range(50)]
