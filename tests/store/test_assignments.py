from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_al.errors import StoreError
from llm_al.phrasing import Form, Phrasing
from llm_al.store import Assignment, AssignmentState, SqlStore
from llm_al.store.tickets import Handed
from llm_al.types import Annotation, AnnotatorKind


def ids(questions: list[Assignment] | list[Handed]) -> list[str]:
    return [question.example_id for question in questions]


def test_pending_is_in_order_of_priority_then_of_arrival(filled: SqlStore) -> None:
    filled.enqueue(["c", "a"], round=0, reason="route", priority=0.5)
    filled.enqueue(["b"], round=0, reason="audit", priority=0.9, is_blind=True)
    pair = Phrasing(Form.PAIR, ("x", "y"))
    filled.enqueue(["d"], round=0, reason="escalate", priority=0.5, phrasing={"d": pair})
    assert ids(filled.pending()) == ["b", "c", "a", "d"]
    assert filled.pending()[3] == Assignment(
        "d", 0, "escalate", 0.5, False, AssignmentState.WAITING, row_id=4, phrasing=pair
    )
    assert filled.pending()[0].is_blind


def test_enqueueing_again_changes_nothing(filled: SqlStore) -> None:
    assert filled.enqueue(["a", "b", "a"], round=0, reason="route") == 2
    assert filled.enqueue(["a", "b", "c"], round=0, reason="other") == 1
    assert filled.enqueue(["a"], round=1, reason="waits already") == 0
    filled.complete("a")
    assert filled.enqueue(["a"], round=0, reason="asked in this round") == 0
    assert filled.enqueue(["a"], round=1, reason="audit") == 1


def test_two_annotators_never_hold_one_item_until_the_lease_expires(filled: SqlStore) -> None:
    filled.enqueue(list("abc"), round=0, reason="route")
    assert ids(filled.lease("ann", n=2, lease_s=60, now=1_000.0)) == ["a", "b"]
    assert ids(filled.lease("bob", n=2, lease_s=60, now=1_030.0)) == ["c"]
    assert ids(filled.lease("bob", n=2, lease_s=60, now=1_061.0)) == ["c", "a"]


def test_a_lease_is_extended_by_its_holder(filled: SqlStore) -> None:
    filled.enqueue(["a", "b"], round=0, reason="route")
    filled.lease("ann", n=1, lease_s=60, now=1_000.0)
    (again,) = filled.lease("ann", n=1, lease_s=60, now=1_050.0)
    assert (again.example_id, again.annotator, again.expires_s) == ("a", "ann", 1_110.0)
    assert ids(filled.lease("bob", n=5, lease_s=60, now=1_100.0)) == ["b"]
    assert filled.lease("eve", n=5, lease_s=60, now=1_100.0) == []


def test_threads_that_lease_at_once_share_the_queue_out(filled: SqlStore) -> None:
    filled.enqueue(list("abcdefghij"), round=0, reason="route")
    with ThreadPoolExecutor(8) as threads:
        leased = threads.map(lambda k: filled.lease(f"person {k}", n=2, lease_s=60, now=0.0), range(8))
        assert sorted(id_ for part in leased for id_ in ids(part)) == list("abcdefghij")


def test_an_answered_item_leaves_the_queue_and_comes_back_when_reopened(filled: SqlStore) -> None:
    filled.enqueue(["a", "b"], round=0, reason="route")
    filled.lease("ann", n=1, lease_s=60, now=0.0)
    assert filled.complete("a")
    assert not filled.complete("a")
    assert ids(filled.pending()) == ["b"]
    assert filled.reopen("a")
    assert not filled.reopen("a")
    assert not filled.reopen("c")
    assert ids(filled.pending()) == ["a", "b"]


def test_a_cancelled_round_waits_no_more(filled: SqlStore) -> None:
    filled.enqueue(["a", "b"], round=0, reason="route")
    filled.enqueue(["c"], round=1, reason="route")
    filled.complete("a")
    assert filled.cancel(0) == 1
    assert ids(filled.pending()) == ["c"]
    assert not filled.reopen("b")


def test_an_answer_and_its_queue_item_change_together(filled: SqlStore) -> None:
    filled.enqueue(["a"], round=2, reason="route")
    row_id = filled.answer(Annotation("a", "x", "ann", kind=AnnotatorKind.HUMAN, round=2))
    assert (filled.pending(), [a.label for a in filled.annotations()]) == ([], ["x"])
    assert filled.take_back(row_id).label == "x"
    assert (ids(filled.pending()), filled.annotations()) == (["a"], [])
    retraction = filled.annotation_history("a")[-1]
    assert (retraction.source, retraction.kind, retraction.round) == ("ann", AnnotatorKind.HUMAN, 2)


def test_an_answer_is_taken_back_once(filled: SqlStore) -> None:
    row_id = filled.answer(Annotation("a", "x", "ann"))
    filled.take_back(row_id)
    with pytest.raises(StoreError, match="cannot be taken back"):
        filled.take_back(row_id)
    with pytest.raises(StoreError, match="no annotation row 77"):
        filled.take_back(77)
