from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from sqlalchemy import delete, update

from llm_al.errors import DataError, StoreError
from llm_al.store import SqlStore, schema
from llm_al.types import Annotation, AnnotatorKind, Example

FULL = Annotation(
    "b",
    "refund",
    "gpt/classify.v1",
    kind=AnnotatorKind.LLM,
    model="gpt",
    prompt="classify.v1",
    confidence=0.1 + 0.2,
    proba=(1 / 3, 2 / 3),
    round=4,
    request_hash="abc",
    n_tokens_in=120,
    n_tokens_out=3,
    cost_nanousd=18_000,
    duration_s=0.25,
    is_suggestion_shown=True,
    reason="because",
)


def test_every_field_comes_back(filled: SqlStore) -> None:
    bare = Annotation("a", None, "rule")
    ids = filled.add_annotations([FULL, bare])
    assert filled.annotations() == [replace(FULL, row_id=ids[0]), replace(bare, row_id=ids[1])]


def test_row_ids_follow_the_order_of_the_rows(filled: SqlStore) -> None:
    letters = list("jihgfedcba") * 300
    ids = filled.add_annotations(Annotation(letter, str(i), "rule") for i, letter in enumerate(letters))
    assert ids == sorted(ids)
    assert [a.label for a in filled.annotations()] == [str(i) for i in range(3_000)]


def test_annotations_are_read_by_example_and_round(filled: SqlStore) -> None:
    filled.add_annotations([Annotation(e, "x", "s", round=r) for e, r in [("a", 0), ("b", 0), ("a", 1), ("c", 1)]])
    assert [(a.example_id, a.round) for a in filled.annotations(ids=["c", "a"])] == [("a", 0), ("a", 1), ("c", 1)]
    assert [a.example_id for a in filled.annotations(round=1)] == ["a", "c"]
    assert [a.example_id for a in filled.annotations(ids=["a"], round=1)] == ["a"]
    assert filled.annotations(ids=[]) == []


def test_an_annotation_keeps_its_model_when_the_name_gets_another(filled: SqlStore) -> None:
    filled.add_annotations([replace(FULL, model="old"), replace(FULL, model="new"), replace(FULL, model=None)])
    assert [a.model for a in filled.annotations()] == ["old", "new", None]


def test_a_retraction_takes_back_one_row_and_stays_in_the_history(filled: SqlStore) -> None:
    first, second = filled.add_annotations([Annotation("a", "x", "ann"), Annotation("a", "y", "bob")])
    filled.add_annotations([Annotation("a", None, "ann", retracts=first)])
    assert [a.row_id for a in filled.annotations()] == [second]
    assert [(a.label, a.retracts) for a in filled.annotation_history("a")] == [("x", None), ("y", None), (None, first)]


def test_only_a_standing_label_of_the_example_can_be_taken_back(filled: SqlStore) -> None:
    (row,) = filled.add_annotations([Annotation("a", "x", "ann")])
    for example_id, retracts in [("b", row), ("a", 99)]:
        with pytest.raises(StoreError, match=f"row {retracts} cannot be taken back for example '{example_id}'"):
            filled.add_annotations([Annotation(example_id, None, "ann", retracts=retracts)])
    retraction = Annotation("a", None, "ann", retracts=row)
    with pytest.raises(StoreError, match="cannot be taken back"):
        filled.add_annotations([retraction, retraction])
    (retracting,) = filled.add_annotations([retraction])
    for taken in (row, retracting):
        with pytest.raises(StoreError, match="to restore a label, append it again"):
            filled.add_annotations([Annotation("a", None, "ann", retracts=taken)])


def test_a_wrong_row_keeps_the_others_out_too(filled: SqlStore) -> None:
    with pytest.raises(DataError, match="unknown example id 'zz'"):
        filled.add_annotations([Annotation("a", "x", "ann"), Annotation("zz", "x", "ann")])
    assert filled.annotations() == []


def test_the_database_refuses_to_change_an_annotation(filled: SqlStore) -> None:
    filled.add_annotations([FULL])
    for statement in (update(schema.annotations).values(label="other"), delete(schema.annotations)):
        with (
            pytest.raises(StoreError, match="annotations are appended, never changed; append a new row instead"),
            filled.database.writing() as connection,
        ):
            connection.execute(statement)
    assert [a.label for a in filled.annotations()] == ["refund"]


class Log(RuleBasedStateMachine):
    """The store against a list and a set."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = SqlStore(Path(self.folder.name) / "project.db")
        self.store.add_examples(Example(letter, letter) for letter in "abc")
        self.standing: list[Annotation] = []

    @rule(
        rows=st.lists(
            st.builds(
                Annotation,
                st.sampled_from("abc"),
                st.sampled_from(["x", "y", None]),
                st.sampled_from(["ann", "bob", ""]),
                model=st.sampled_from([None, "", "m"]),
                proba=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
                round=st.integers(0, 2),
                reason=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5),
            ),
            max_size=4,
        )
    )
    def add(self, rows: list[Annotation]) -> None:
        ids = self.store.add_annotations(rows)
        self.standing += [replace(row, row_id=id_) for row, id_ in zip(rows, ids, strict=True)]

    @precondition(lambda self: self.standing)
    @rule(data=st.data())
    def retract(self, data: st.DataObject) -> None:
        taken = self.standing.pop(data.draw(st.integers(0, len(self.standing) - 1)))
        self.store.add_annotations([Annotation(taken.example_id, None, "ann", retracts=taken.row_id)])

    @invariant()
    def reads_what_stands(self) -> None:
        assert self.store.annotations() == self.standing
        assert self.store.annotations(ids=["a"], round=1) == [
            a for a in self.standing if a.example_id == "a" and a.round == 1
        ]

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


Log.TestCase.settings = settings(max_examples=15, stateful_step_count=12, deadline=None)
TestLog = Log.TestCase
