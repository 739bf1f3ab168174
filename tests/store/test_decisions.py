from dataclasses import replace

import pytest
from sqlalchemy import delete

from llm_al.errors import DataError, StoreError
from llm_al.store import SqlStore, schema
from llm_al.types import Decision, Outcome, Stage

SELECT = Decision("a", 0, Stage.SELECT, Outcome.SELECTED, "close margin", score=0.75)
AUDIT = Decision("b", 0, Stage.AUDIT, Outcome.AUDIT, "drawn", probability=0.1)


def test_decisions_come_back_in_the_order_written(filled: SqlStore) -> None:
    filled.add_decisions([SELECT, AUDIT])
    filled.add_decisions([replace(SELECT, round=1)])
    assert filled.decisions() == [SELECT, AUDIT, replace(SELECT, round=1)]
    assert filled.decisions(example_id="b") == [AUDIT]
    assert filled.decisions(example_id="a", round=1) == [replace(SELECT, round=1)]


def test_a_step_that_runs_again_writes_nothing_twice(filled: SqlStore) -> None:
    filled.add_decisions([SELECT, AUDIT])
    filled.add_decisions([replace(SELECT, reason="again"), AUDIT, replace(SELECT, example_id="c")])
    assert filled.decisions() == [SELECT, AUDIT, replace(SELECT, example_id="c")]


def test_a_review_that_moves_on_within_a_round_leaves_both_rows(filled: SqlStore) -> None:
    outcomes = [Outcome.CANDIDATE, Outcome.ACCEPT]
    filled.add_decisions(Decision("a", 0, Stage.REVIEW, outcome, "") for outcome in outcomes)
    assert [d.outcome for d in filled.decisions(example_id="a")] == outcomes


def test_decisions_about_unknown_examples_are_refused_together(filled: SqlStore) -> None:
    with pytest.raises(DataError, match="unknown example id 'zz'"):
        filled.add_decisions([SELECT, replace(SELECT, example_id="zz")])
    assert filled.decisions() == []


def test_the_database_refuses_to_delete_a_decision(filled: SqlStore) -> None:
    filled.add_decisions([SELECT])
    with (
        pytest.raises(StoreError, match="decisions are appended, never changed"),
        filled.database.writing() as connection,
    ):
        connection.execute(delete(schema.decisions))
