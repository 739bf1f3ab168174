import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llm_al.errors import DataError
from llm_al.store import SqlStore, text_digest
from llm_al.types import Example, Split


def test_ordinals_are_dense_in_order_of_insertion_across_chunks(store: SqlStore) -> None:
    assert store.add_examples((Example(f"x{i}", f"text {i}") for i in range(25)), chunk=10) == 25
    assert store.add_examples([Example("y", "more")]) == 1
    assert store.ordinals().tolist() == list(range(26))
    assert [e.id for e in store.examples([25, 0])] == ["y", "x0"]


def test_every_field_comes_back(store: SqlStore) -> None:
    meta = {"channel": "mail", "n": 3, "nested": [1, None, "é"]}
    store.add_examples([Example("a", "one"), Example("b", "two ✓", split=Split.TEST, group=0, meta=meta)])
    assert store.examples_by_id(["b"]) == [Example("b", "two ✓", 1, Split.TEST, 0, meta)]


def test_a_group_of_minus_one_becomes_the_ordinal(store: SqlStore) -> None:
    store.add_examples([Example("a", "one"), Example("b", "one!", group=0), Example("c", "two")])
    assert store.groups().tolist() == [0, 0, 2]
    store.set_groups({2: 1})
    assert store.groups().tolist() == [0, 0, 1]


def test_adding_the_same_rows_again_adds_nothing(filled: SqlStore) -> None:
    again = [Example("a", "text a"), Example("k", "text k")]
    assert filled.add_examples(again) == 1
    assert filled.examples_by_id(["k"])[0].ordinal == 10


@pytest.mark.parametrize("known", [[], [Example("a", "one")]])
def test_one_id_with_two_texts_is_refused(store: SqlStore, known: list[Example]) -> None:
    store.add_examples(known)
    with pytest.raises(DataError, match="id 'a' is used for two different texts"):
        store.add_examples([Example("a", "one"), Example("a", "two")])
    assert store.n_examples() == len(known)


def test_an_atomic_add_leaves_nothing_behind_when_the_iterable_fails(store: SqlStore) -> None:
    def rows() -> Iterator[Example]:
        yield from (Example(f"x{i}", "t") for i in range(25))
        raise DataError("row 26 is broken")

    with pytest.raises(DataError, match="row 26"):
        store.add_examples(rows(), chunk=10, is_atomic=True)
    assert store.n_examples() == 0


def test_a_text_that_is_no_text_is_refused(store: SqlStore) -> None:
    with pytest.raises(DataError, match="invalid character at position 1"):
        store.add_examples([Example("a", "x\ud800")])


def test_splits_are_counted_and_streamed_apart(store: SqlStore) -> None:
    store.add_examples(Example(str(i), f"t{i}", split=Split.TEST if i % 3 == 0 else Split.POOL) for i in range(10))
    assert (store.n_examples(), store.n_examples(Split.POOL), store.n_examples(Split.TEST)) == (10, 6, 4)
    assert store.ordinals(Split.TEST).tolist() == [0, 3, 6, 9]
    chunks = list(store.iter_examples(Split.POOL, chunk=4))
    assert [[e.id for e in chunk] for chunk in chunks] == [["1", "2", "4", "5"], ["7", "8"]]


def test_unknown_ids_and_ordinals_are_named(filled: SqlStore) -> None:
    with pytest.raises(DataError, match=r"unknown example id 'zz' \(1 of 2 ids are unknown\)"):
        filled.examples_by_id(["a", "zz"])
    with pytest.raises(DataError, match="no example 10; ordinals run from 0 to 9"):
        filled.examples([3, 10])


def test_more_ids_than_one_statement_takes_are_found(store: SqlStore) -> None:
    ids = [f"x{i}" for i in range(2_500)]
    store.add_examples(Example(id_, f"t {id_}") for id_ in ids)
    assert [e.id for e in store.examples_by_id(ids[::-1])] == ids[::-1]
    assert store.ordinals_of(ids[:3]).tolist() == [0, 1, 2]


def test_a_merged_id_stands_for_its_example(filled: SqlStore) -> None:
    filled.add_aliases([("a2", "a"), ("a1", "a")])
    filled.add_aliases([("a1", "a")])
    assert filled.ids_merged_into("a") == ["a1", "a2"]
    assert filled.ids_merged_into("b") == []
    assert filled.examples_by_id(["a1"])[0].id == "a"
    assert filled.find_ids(["a2", "b", "nowhere"]) == {"a2": "a", "b": "b"}
    assert filled.add_examples([Example("a1", "text a")]) == 0
    with pytest.raises(DataError, match="id 'a1' is used for two different texts"):
        filled.add_examples([Example("a1", "something else")])


def test_ids_merged_before_the_store_stand_for_the_example_too(store: SqlStore) -> None:
    store.add_examples([Example("a", "one", meta={"duplicate_ids": ["a2", "a1"]}), Example("b", "two")])
    assert store.ids_merged_into("a") == ["a1", "a2"]
    assert store.ordinals_of(["a2", "b"]).tolist() == [0, 1]


def test_a_column_of_the_user_with_that_name_merges_nothing(store: SqlStore) -> None:
    store.add_examples([Example("a", "one", meta={"duplicate_ids": "b c"})])
    assert store.ids_merged_into("a") == []


def test_an_example_lists_the_ids_merged_into_it_later(store: SqlStore) -> None:
    store.add_examples([Example("a", "one", meta={"n": 1, "duplicate_ids": ["a2"]}), Example("b", "two")])
    store.add_aliases([("a1", "a2")])
    assert [dict(e.meta) for e in store.examples([0, 1])] == [{"n": 1, "duplicate_ids": ["a1", "a2"]}, {}]


def test_texts_are_found_by_digest(filled: SqlStore) -> None:
    known, unknown = text_digest("text c"), text_digest("text C")
    assert filled.find_digests([known, unknown]) == {known: "c"}


def test_a_digest_of_two_examples_names_the_first(store: SqlStore) -> None:
    store.add_examples([Example("first", "same"), Example("second", "same")])
    assert store.find_digests([text_digest("same")]) == {text_digest("same"): "first"}


def test_texts_are_a_lazy_sequence(store: SqlStore) -> None:
    store.add_examples(Example(str(i), f"t{i}", split=Split.TEST if i % 2 else Split.POOL) for i in range(5_000))
    texts = store.texts(Split.TEST)
    assert len(texts) == 2_500
    assert (texts[0], texts[-1]) == ("t1", "t4999")
    assert texts[1:4] == ["t3", "t5", "t7"]
    assert texts[::-1][:2] == ["t4999", "t4997"]
    assert texts[5:5] == []
    assert texts.take(np.array([2_499, 0, 0])) == ["t4999", "t1", "t1"]
    assert texts.take([]) == []
    assert list(texts) == [f"t{i}" for i in range(1, 5_000, 2)]
    with pytest.raises(IndexError):
        texts[2_500]


def test_an_empty_store_has_empty_answers(store: SqlStore) -> None:
    assert store.add_examples([]) == 0
    assert (store.n_examples(), store.examples([]), store.examples_by_id([])) == (0, [], [])
    assert list(store.iter_examples()) == []
    assert list(store.texts()) == []
    assert store.ordinals().dtype == np.int64


HUNDRED_THOUSAND = """
import resource, sys
from llm_al.store import SqlStore
from llm_al.types import Example
def rows(n):
    return (Example(f"x{i}", f"{i:0500d}") for i in range(n))
def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
with SqlStore(sys.argv[1]) as store:
    store.add_examples(rows(5_000), chunk=5_000)
    before = peak_mb()
    store.add_examples(rows(100_000), chunk=5_000)
    print(store.n_examples(), peak_mb() - before)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the system does not tell the peak of memory")
def test_adding_a_hundred_thousand_rows_holds_only_a_chunk(path: Path) -> None:
    command = [sys.executable, "-c", HUNDRED_THOUSAND, str(path)]
    n, grown_mb = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert n == "100000"
    # The texts alone are 50 MB; the page cache of the database may still grow a little.
    assert float(grown_mb) < 15.0
