import csv
import errno
import os
import resource
import subprocess
import sys
import tracemalloc
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.errors import ConfigError, DataError, StorageFullError
from llm_al.intake.digests import text_id
from llm_al.intake.intake import Intake
from llm_al.intake.report import Reason
from llm_al.intake.spool import full_disk_refused
from llm_al.types import Example, Split


@dataclass(frozen=True)
class Row:
    number: int
    text: str | None
    id: str | None = None
    label: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    problem: str = ""


def rows(*texts):
    return [Row(i, text) for i, text in enumerate(texts, start=1)]


def take(given_rows, existing=(), **settings):
    with Intake(**settings).run(given_rows, existing) as checked:
        return [example for chunk in checked for example in chunk], checked.report, list(checked.labels())


def test_examples_keep_text_meta_and_id_and_get_ordinals():
    examples, report, _ = take([Row(1, " Hi  there ", "a", meta={"x": 1}), Row(2, "bye", None)])
    assert examples == [
        Example("a", " Hi  there ", 0, Split.POOL, 0, {"x": 1}),
        Example(text_id("bye"), "bye", 1, Split.POOL, 1, {}),
    ]
    assert (report.n_rows, report.n_added) == (2, 2)


def test_ids_from_texts_are_stable():
    # First 8 bytes of the 16-byte BLAKE2b digest of b"where is my parcel".
    import hashlib

    assert text_id("where is my parcel") == hashlib.blake2b(b"where is my parcel", digest_size=16).hexdigest()[:16]
    assert len(text_id("x")) == 16


def test_exact_duplicates_merge_into_the_first_with_their_ids():
    given_rows = [
        Row(1, "cafe\u0301  now", "a"),
        Row(2, "café now\n", "b"),
        Row(3, "Café now", "c"),
        Row(4, "café now", "b"),
    ]
    examples, report, _ = take(given_rows, near_duplicates=None)
    assert [(e.id, e.meta) for e in examples] == [("a", {"duplicate_ids": ["b"]}), ("c", {})]
    assert (report.n_exact_duplicates, report.n_added) == (2, 2)
    assert [row.number for row in report.listed[Reason.DUPLICATE]] == [2, 4]
    assert report.listed[Reason.DUPLICATE][0].detail == "same text as 'a'"


def test_bad_rows_are_counted_listed_and_never_dropped_in_silence(tmp_path):
    given_rows = [
        Row(1, "good"),
        Row(2, None),
        Row(3, " \u3000\n"),
        Row(4, "x" * 11),
        Row(5, None, problem="undecodable: byte 0xE9"),
        Row(6, None, problem="too long: line 6"),
        Row(7, "\ud800"),
        Row(8, "good"),
    ]
    with Intake(max_chars=10).run(given_rows) as checked:
        report = checked.report
        checked.save_skipped(tmp_path / "skipped.csv")
    assert (report.n_empty, report.n_too_long, report.n_undecodable, report.n_exact_duplicates) == (2, 2, 2, 1)
    assert (report.n_rows, report.n_added) == (8, 1)
    assert report.lines() == [
        "8 rows: 1 added",
        "1 exact duplicate (rows 8)",
        "2 empty (rows 2, 3)",
        "2 too long (rows 4, 6)",
        "2 undecodable (rows 5, 7)",
    ]
    with (tmp_path / "skipped.csv").open(newline="") as stream:
        saved = list(csv.DictReader(stream))
    assert sorted(int(row["row"]) for row in saved) == [2, 3, 4, 5, 6, 7, 8]
    assert saved[2] == {"row": "4", "id": "", "reason": "too long", "detail": "11 characters; at most 10 are allowed"}
    assert [path.name for path in tmp_path.iterdir()] == ["skipped.csv"]


def test_only_the_first_rows_of_a_kind_are_listed():
    _, report, _ = take(rows("good", *[""] * 50))
    assert (report.n_empty, len(report.listed[Reason.EMPTY])) == (50, 20)
    assert report.lines()[1].endswith("20, 21, ...)")


def test_same_id_with_another_text_is_refused_with_both_rows():
    with pytest.raises(DataError, match=r"rows 1 and 3 have the same id 'a' and different texts; nothing was added"):
        take([Row(1, "one", "a"), Row(2, "two", "b"), Row(3, "three", "a")])
    with pytest.raises(DataError, match=r"an existing example and row 1 have the same id 'a'"):
        take([Row(1, "one", "a")], [Example("a", "zero", 0)])


def test_id_of_a_merged_duplicate_is_taken_too():
    merged = Example("a", "one", 0, meta={"duplicate_ids": ["b"]})
    with pytest.raises(DataError, match=r"an existing example and row 1 have the same id 'b'"):
        take([Row(1, "two", "b")], [merged])
    with pytest.raises(DataError, match=r"rows 2 and 3 have the same id 'b'"):
        take([Row(1, "one", "a"), Row(2, "one", "b"), Row(3, "two", "b")])
    examples, _, _ = take([Row(1, "one", "b"), Row(2, "two", "c")], [merged])
    assert [e.id for e in examples] == ["c"]


def test_input_without_a_usable_row_is_refused():
    with pytest.raises(DataError, match="there is no row to add"):
        take([])
    with pytest.raises(DataError, match=r"none of the 2 rows can be used: 1 empty, 1 undecodable; row 1: no text"):
        take([Row(1, ""), Row(2, None, problem="undecodable: bad")])


def test_existing_examples_go_on_in_ordinals_and_groups():
    long = "where is my parcel, it should have been here on monday"
    existing = [Example("a", long, 0, group=0), Example("b", "something else altogether here", 1, group=1)]
    examples, report, _ = take(
        [Row(1, long + "!", "c"), Row(2, long, "d"), Row(3, "a third text of its own", "e")], existing
    )
    assert [(e.id, e.ordinal, e.group) for e in examples] == [("c", 2, 0), ("e", 3, 3)]
    assert (report.n_exact_duplicates, report.n_near_duplicates) == (1, 1)
    assert "1 near-duplicates of earlier texts, grouped with them" in report.lines()


def test_duplicate_of_the_other_split_stays_there():
    existing = [Example("a", "one", 0, split=Split.TEST)]
    examples, report, _ = take(rows("one", "two"), existing)
    assert [e.text for e in examples] == ["two"]
    assert report.n_other_split == 1
    examples, _, _ = take(rows("three"), existing, split=Split.TEST)
    assert examples[0].split is Split.TEST


def test_labels_come_out_once_an_example_and_conflicts_are_told():
    given_rows = [
        Row(1, "one", "a", "x"),
        Row(2, "one", "b", "x"),
        Row(3, "one", "c", "y"),
        Row(4, "two", "d"),
        Row(5, "two", "e", "z"),
        Row(6, "old", None, "x"),
    ]
    _, report, labels = take(given_rows, [Example("o", "old", 0)])
    assert sorted(labels) == [(1, "a", "x"), (5, "d", "z"), (6, "o", "x")]
    assert report.n_label_conflicts == 1
    assert report.conflicts == ("row 3: label 'y', but the same text 'a' has 'x'",)
    assert "1 duplicates with another label; the first one holds" in report.lines()


def test_chunks_have_the_size_asked_for():
    with Intake(chunk=2, near_duplicates=None).run(rows("a", "b", "c")) as checked:
        assert [len(chunk) for chunk in checked] == [2, 1]
        assert [len(chunk) for chunk in checked] == [2, 1]  # it can be read again


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="both have to be at least 1"):
        Intake(max_chars=0)


def test_full_disk_is_one_clear_error():
    full = pytest.raises(StorageFullError, match="no space left on the disk for checking the texts; nothing was added")
    with full, full_disk_refused("checking the texts"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(OSError, match="other"), full_disk_refused("x"):
        raise OSError(errno.EIO, "other")


def test_file_too_large_for_the_disk_changes_nothing(tmp_path):
    code = (
        "import resource, signal, sys\n"
        "from types import SimpleNamespace as R\n"
        "from llm_al.intake.intake import Intake\n"
        "from llm_al.errors import StorageFullError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
        "rows = (R(number=i, id=None, text=f'text {i} ' * 9, label=None, meta={}, problem='') for i in range(5000))\n"
        "try:\n    Intake().run(rows)\n"
        "except StorageFullError as exc:\n    sys.exit(str(exc))\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no space left on the disk" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_given_out_before_the_last_row_is_checked():
    def broken():
        yield Row(1, "one")
        raise DataError("row 2 is damaged")

    with pytest.raises(DataError, match="row 2 is damaged"):
        Intake().run(broken())


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.text("aB é\u0301\n", max_size=5), min_size=1, max_size=15).filter(lambda ts: any(t.strip() for t in ts))
)
def test_every_row_is_accounted_for_and_a_second_intake_adds_nothing(texts):
    examples, report, _ = take(rows(*texts))
    assert report.n_rows == len(texts)
    assert report.n_rows == report.n_added + report.n_exact_duplicates + report.n_empty
    assert len({e.id for e in examples}) == len(examples) == report.n_added
    assert all(e.text in texts for e in examples)
    again, second, _ = take(rows(*texts), examples)
    assert (again, second.n_added) == ([], 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=20), st.data())
def test_two_intakes_give_what_one_gives(texts, data):
    cut = data.draw(st.integers(1, len(texts) - 1))
    whole, _, _ = take(rows(*texts))
    first, _, _ = take(rows(*texts[:cut]))
    second, _, _ = take(rows(*texts[cut:]), first)
    assert first + second == whole


@pytest.mark.slow
def test_memory_does_not_grow_with_the_texts():
    n = 200_000
    many = (
        SimpleNamespace(number=i, id=f"m{i}", text=f"text number {i} " * 4, label=None, meta={}, problem="")
        for i in range(n)
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Intake(near_duplicates=None).run(many) as checked:
        assert sum(len(chunk) for chunk in checked) == n
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 100_000


def test_near_duplicates_hold_only_batches_of_texts():
    n = 5_000
    given_rows = [Row(i, f"{i} where is my parcel number {i * 7919}, I have waited {i} days") for i in range(1, n + 1)]
    with Intake().run(given_rows[:10]):
        pass
    tracemalloc.start()
    with Intake(chunk=100).run(given_rows) as checked:
        assert sum(len(chunk) for chunk in checked) == n
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 25_000_000  # batches take most of it, whatever n is
