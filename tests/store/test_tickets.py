import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from llm_al.phrasing import Form, Phrasing
from llm_al.store import SqlStore
from llm_al.store.tickets import Handed, Offer
from llm_al.types import SKIP, Annotation, AnnotatorKind


def draw(store: SqlStore, person: str, n: int = 1, *, now: float = 0.0, rank=None) -> list[Handed]:
    with store.database.writing() as connection:
        return store.tickets.draw(connection, person, n=n, expires_s=now + 60.0, now=now, rank=rank)


def said(example_id: str, label: str, person: str) -> Annotation:
    return Annotation(example_id, label, person, kind=AnnotatorKind.HUMAN)


def names(handed: list[Handed]) -> list[str]:
    return [one.example_id for one in handed]


def test_a_question_for_three_goes_to_three_people_and_no_fourth(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="x", n_wanted=3)
    assert [names(draw(filled, person)) for person in ("ann", "bob", "eve", "dan")] == [["a"], ["a"], ["a"], []]
    for person in ("ann", "bob"):
        filled.answer(said("a", "x", person))
    assert [q.n_answered for q in filled.pending()] == [2]
    filled.answer(said("a", "y", "eve"))
    assert filled.pending() == []


def test_an_answer_without_a_ticket_counts_and_its_person_is_not_asked(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="x", n_wanted=2)
    filled.answer(said("a", "x", "ann"))
    assert (names(draw(filled, "ann")), names(draw(filled, "bob"))) == ([], ["a"])


def test_a_skip_counts_against_the_people_who_are_wanted_once_enough_skipped(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="x", n_wanted=2)
    filled.answer(said("a", "x", "ann"))
    filled.answer(said("a", SKIP, "bob"))
    assert filled.pending() == []


def test_a_skip_is_not_enough_while_more_people_may_try(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="x")
    (handed,) = draw(filled, "ann")
    with filled.database.writing() as connection:
        filled.write_answer(connection, said("a", SKIP, "ann"), ticket=handed, max_skips=2)
    assert names(draw(filled, "bob")) == ["a"]
    assert draw(filled, "ann") == []


def test_an_answer_that_was_taken_back_leaves_the_question_to_others(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="x")
    row = filled.answer(said("a", "x", "ann"))
    filled.take_back(row)
    assert [q.n_answered for q in filled.pending()] == [0]
    assert names(draw(filled, "bob")) == ["a"]


def test_an_answer_taken_back_is_not_asked_twice_at_a_time(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="x")
    row = filled.answer(said("a", "x", "ann"))
    filled.enqueue(["a"], round=2, reason="second opinion")
    filled.take_back(row)
    assert [(q.example_id, q.round) for q in filled.pending()] == [("a", 2)]


def test_a_rank_puts_the_free_questions_into_a_persons_order(filled: SqlStore) -> None:
    filled.enqueue(list("abc"), round=1, reason="x")

    def backwards(offers: list[Offer]) -> list[Offer]:
        return offers[::-1]

    assert names(draw(filled, "ann", 2, rank=backwards)) == ["c", "b"]


def test_a_cluster_comes_whole_for_one_and_only_what_is_free_of_it(filled: SqlStore) -> None:
    bulk = {id_: Phrasing(Form.BULK, ("x",), cluster="1") for id_ in "abc"}
    filled.enqueue(list("abcd"), round=1, reason="x", phrasing=bulk)
    filled.answer(said("b", "x", "eve"))
    assert names(draw(filled, "ann", 2)) == ["a", "c", "d"]


def test_the_same_text_of_another_round_has_a_ticket_of_its_own(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=1, reason="first")
    filled.answer(said("a", "x", "ann"))
    filled.enqueue(["a"], round=2, reason="second opinion", phrasing={"a": Phrasing(Form.PAIR, ("x", "y"))})
    (handed,) = draw(filled, "bob")
    assert (handed.round, handed.reason, handed.phrasing.options) == (2, "second opinion", ("x", "y"))


def test_threads_share_the_queue_out(filled: SqlStore) -> None:
    filled.enqueue(list("abcdefghij"), round=1, reason="x")
    with ThreadPoolExecutor(8) as threads:
        drawn = list(threads.map(lambda k: names(draw(filled, f"person {k}", 2)), range(8)))
    assert sorted(id_ for part in drawn for id_ in part) == list("abcdefghij")


DRAW = """
import sys
from llm_al.store import SqlStore
with SqlStore(sys.argv[1]) as store:
    for _ in range(5):
        with store.database.writing() as connection:
            for one in store.tickets.draw(connection, sys.argv[2], n=1, expires_s=60.0, now=0.0):
                print(one.example_id)
"""


@pytest.mark.slow
def test_processes_share_the_queue_out(filled: SqlStore, path: Path) -> None:
    filled.enqueue(list("abcdefghij"), round=1, reason="x")
    command = [sys.executable, "-c", DRAW, str(path)]
    people = [subprocess.Popen([*command, f"p{k}"], stdout=subprocess.PIPE, text=True) for k in range(3)]
    drawn = Counter(word for person in people for word in person.communicate()[0].split())
    assert drawn == Counter("abcdefghij")
