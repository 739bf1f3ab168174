from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from llm_al import registry
from llm_al.errors import DataError, LabelError, StoreError
from llm_al.people.desk_types import Reply
from llm_al.people.review import Review
from llm_al.people.suggestions import Suggestions
from llm_al.project import Project
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind

LABELS = ["a", "b", "c"]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    texts = [{"id": f"t{n}", "text": f"text number {n}"} for n in range(8)]
    test = [{"id": "held", "text": "held back", "label": "a"}]
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}}
    with Project.create(tmp_path / "p", texts=texts, labels=LABELS, test=test, settings=settings) as made:
        yield made


class Student:
    """What a student says, by ordinal; the others it is unsure about."""

    def __init__(self) -> None:
        self.says: dict[int, tuple[float, ...]] = {}

    def pool(self, _number, _names, n_rows):
        return np.array([self.says.get(row, (1 / 3, 1 / 3, 1 / 3)) for row in range(n_rows)])


@pytest.fixture
def student() -> Student:
    return Student()


@pytest.fixture
def review(project: Project, student: Student) -> Iterator[Review]:
    made = Review(
        project.store,
        project.scheme,
        registry.make("consensus", "one_coin", labels=project.scheme.names),
        lambda number: Suggestions(project.store, student, project.scheme, number),
        lambda: project._assembly().corpus(lambda _what, _done, _total: None),
    )
    yield made
    made.wait()


def say(project: Project, who: str, *pairs: tuple[str, str], **options: object) -> None:
    is_llm = who.startswith("llm")
    kind = AnnotatorKind.LLM if is_llm else AnnotatorKind.HUMAN
    name, model = (who, "m") if is_llm else (f"human:{who}", None)
    rows = [Annotation(id_, label, name, kind, model=model, **options) for id_, label in pairs]
    project.store.add_annotations(rows)


def found(review: Review, kind: str = "disagreement", **options: int):
    review.cases(kind)
    review.wait()
    return review.cases(kind, **options)


def ids(review: Review, kind: str = "disagreement") -> list[str]:
    return [case.example_id for case in found(review, kind)[0]]


def test_people_who_differ_come_with_votes_consensus_and_what_the_student_says(
    project: Project, review: Review, student: Student
) -> None:
    say(project, "ann", ("t0", "a"), ("t1", "b"), form="list", reason="clear", is_suggestion_shown=True)
    say(project, "bob", ("t0", "b"), ("t1", "b"))
    say(project, "eve", ("t0", "b"), ("t1", SKIP))
    say(project, "llm/1", ("t0", "b"), confidence=0.7)
    student.says = {0: (0.1, 0.7, 0.2)}
    (case,), total = found(review)
    assert (case.example_id, case.text, case.kind, total) == ("t0", "text number 0", "disagreement", 1)
    assert [(v.source, v.label, v.kind) for v in case.votes] == [
        ("human:ann", "a", "human"),
        ("human:bob", "b", "human"),
        ("human:eve", "b", "human"),
        ("llm/1", "b", "llm"),
    ]
    assert (case.votes[0].note, case.votes[0].is_suggestion_shown, case.votes[3].confidence) == ("clear", True, 0.7)
    assert case.note == "people differ: b (2), a (1)"
    assert case.consensus == "b"
    assert 0.5 < (case.posterior or 0.0) <= 1.0
    assert (case.predicted, case.predicted_score) == ("b", pytest.approx(0.7))
    assert 0.0 < case.score < 0.5
    assert case.ruling is None


def test_people_against_the_llm_and_against_a_firm_student_only(
    project: Project, review: Review, student: Student
) -> None:
    say(project, "ann", *((f"t{n}", "a") for n in range(5)))
    # most runs of the LLM say b
    say(project, "llm/1", ("t0", "b"), ("t1", "b"))
    say(project, "llm/2", ("t0", "b"), ("t1", "a"))
    student.says = {2: (0.05, 0.9, 0.05), 3: (0.3, 0.7, 0.0), 4: (0.9, 0.05, 0.05)}
    notes = {case.example_id: case.note for case in found(review)[0]}
    assert notes == {
        "t0": "people say a, the LLM says b",
        "t2": "people say a, the student is 90% sure of b",
    }


def test_what_is_most_at_stake_comes_first_and_pages_have_totals(project: Project, review: Review) -> None:
    for n in range(6):
        say(project, "ann", (f"t{n}", "a"))
        say(project, "bob", (f"t{n}", "b"))
    for who in ("eve", "joe"):
        say(project, who, *((f"t{n}", "a") for n in (0, 1, 2)))
    say(project, "kim", ("t0", "a"))
    first, total = found(review, n=4)
    rest, again = review.cases("disagreement", offset=4, n=4)
    order = [case.example_id for case in [*first, *rest]]
    assert (total, again, len(first), len(rest)) == (6, 6, 4, 2)
    assert order[:3] == ["t3", "t4", "t5"]
    assert order[-1] == "t0"
    scores = [case.score for case in [*first, *rest]]
    assert scores == sorted(scores, reverse=True)


def test_none_of_these_is_an_opinion_too(project: Project, review: Review) -> None:
    say(project, "ann", ("t0", NONE_OF_THESE))
    say(project, "bob", ("t0", "b"))
    (case,), _ = found(review)
    assert case.note == "people differ: none_of_these (1), b (1)"


def test_the_test_split_and_retracted_answers_are_no_cases(project: Project, review: Review) -> None:
    say(project, "ann", ("held", "b"), ("t0", "a"))
    say(project, "bob", ("t0", "b"))
    row = project.store.annotations(ids=["t0"])[-1]
    project.store.take_back(row.row_id or 0)
    assert ids(review) == []


def test_a_ruling_appends_an_annotation_settles_the_question_and_leaves_the_list(
    project: Project, review: Review
) -> None:
    project.store.enqueue(["t0"], round=1, reason="r", n_wanted=5)
    say(project, "ann", ("t0", "a"))
    say(project, "bob", ("t0", "b"))
    before = project.store.annotations()
    assert ids(review) == ["t0"]
    review.rule("t0", "c", person="rev", note="see page 3", is_gold=True)
    assert review.cases("disagreement") == ([], 0)
    *old, new = project.store.annotations()
    assert old == before
    assert (new.source, new.kind, new.label, new.reason) == (
        "human:rev",
        AnnotatorKind.HUMAN,
        "c",
        "ruling: see page 3",
    )
    ruling = project.store.rulings.standing()["t0"]
    assert (ruling.label, ruling.person, ruling.note, ruling.is_gold) == ("c", "human:rev", "see page 3", True)
    assert project.store.pending() == []


def test_withdrawing_a_ruling_takes_its_annotation_back_and_brings_the_case_again(
    project: Project, review: Review
) -> None:
    say(project, "ann", ("t0", "a"))
    say(project, "bob", ("t0", "b"))
    before = project.store.annotations()
    review.rule("t0", "c", person="rev")
    assert ids(review) == []
    review.rule("t0", None, person="boss")
    assert project.store.annotations() == before
    assert project.store.rulings.standing() == {}
    assert ids(review) == ["t0"]


def test_a_ruling_on_none_of_these_needs_an_open_list(tmp_path: Path, review: Review) -> None:
    review.rule("t0", NONE_OF_THESE, person="rev")
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}, "labels_are_closed": True}
    with Project.create(tmp_path / "closed", texts=["one", "two"], labels=LABELS, settings=settings) as closed:
        strict = Review(closed.store, closed.scheme, review.consensus, review.suggestions, review.corpus)
        with pytest.raises(LabelError, match="every text of this project fits one of the labels"):
            strict.rule(next(closed.store.iter_examples())[0].id, NONE_OF_THESE, person="rev")


def test_an_unknown_label_text_or_kind_and_a_test_text_are_refused(project: Project, review: Review) -> None:
    with pytest.raises(LabelError, match="unknown label 'd'; choose from: a, b, c"):
        review.rule("t0", "d", person="rev")
    with pytest.raises(DataError, match="'nowhere'"):
        review.rule("nowhere", "a", person="rev")
    with pytest.raises(DataError, match="'held' is in the test split"):
        review.rule("held", "a", person="rev")
    with pytest.raises(DataError, match="unknown kind of case 'odd'; choose from: disagreement, label_error, flag"):
        review.cases("odd")
    with pytest.raises(DataError, match="cases from -1, 20 of them"):
        review.cases("flag", offset=-1)
    assert [row.source for row in project.store.annotations(ids=["t0"])] == []


def test_flags_come_with_who_and_why_and_a_ruling_settles_them(project: Project, review: Review) -> None:
    project.store.enqueue(["t0", "t1"], round=1, reason="r")
    for ticket in project.desk.draw("ann", n=2):
        project.desk.flag("ann", ticket.id, "two questions in one" if ticket.example_id == "t1" else "")
    project.store.flags.add("t1", person="human:bob", note="agree")
    (first, second), total = review.cases("flag")
    assert (first.example_id, first.score, first.note, total) == (
        "t1",
        2.0,
        "ann: two questions in one; bob: agree",
        2,
    )
    assert (second.note, second.consensus, second.votes) == ("ann flagged it", None, ())
    review.rule("t1", "a", person="rev")
    assert ids(review, "flag") == ["t0"]
    project.store.flags.add("t1", person="human:eve", note="no")
    (_, again), _ = review.cases("flag")
    assert (again.example_id, again.ruling) == ("t1", "a")


def test_while_a_blind_audit_waits_a_reviewer_sees_no_machine(
    project: Project, review: Review, student: Student
) -> None:
    project.store.enqueue(["t0"], round=1, reason="audit", is_blind=True)
    say(project, "llm/1", ("t0", "b"))
    student.says = {0: (0.0, 1.0, 0.0)}
    (ticket,) = project.desk.draw("ann", n=1)
    project.desk.flag("ann", ticket.id, "odd")
    (case,), _ = review.cases("flag")
    assert (case.votes, case.predicted, case.consensus) == ((), None, None)
    assert case.note == "ann: odd; a blind audit waits for an answer, so what machines say is not shown"
    project.desk.answer("ann", Reply(ticket.id, "a"))
    (case,), _ = review.cases("flag")
    assert (len(case.votes), case.predicted) == (2, "b")


def test_likely_label_errors_are_found_in_a_thread_and_tell_of_which_moment(
    tmp_path: Path, student: Student, review: Review
) -> None:
    words = {"a": "parcel late courier", "b": "refund money card", "c": "tent boots stove"}
    texts = [{"id": f"{label}{n}", "text": f"{words[label]} {n}"} for label in LABELS for n in range(6)]
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}}
    with Project.create(tmp_path / "shop", texts=texts, labels=LABELS, settings=settings) as shop:
        made = Review(
            shop.store,
            shop.scheme,
            review.consensus,
            lambda number: Suggestions(shop.store, student, shop.scheme, number),
            lambda: shop._assembly().corpus(lambda _what, _done, _total: None),
        )
        say(shop, "ann", *((row["id"], row["id"][0]) for row in texts if row["id"] != "a3"), ("a3", "b"))
        assert (made.as_of("label_error"), made.as_of("flag"), made.note("flag")) == (None, None, "")
        (case, *_), total = found(made, "label_error")
        assert (case.example_id, case.predicted, total >= 1) == ("a3", "a", True)
        assert case.note == "labelled b; students that have not learned from it say a"
        assert (case.votes[0].label, 0.5 < case.score <= 1.0) == ("b", True)
        assert (made.note("label_error"), made.as_of("label_error") is not None) == ("", True)
        made.rule("a3", "a", person="rev")
        assert "a3" not in [c.example_id for c in made.cases("label_error")[0]]
        made.wait()


def test_a_failure_in_the_thread_is_a_note_and_no_error(project: Project, review: Review) -> None:
    def fail():
        raise StoreError("no embeddings")

    review.corpus = fail
    say(project, "ann", ("t0", "a"))
    assert found(review, "label_error") == ([], 0)
    assert review.note("label_error") == "this list could not be made: no embeddings"


def test_nothing_is_in_dispute_where_nobody_has_answered(project: Project, review: Review) -> None:
    say(project, "llm/1", ("t0", "a"))
    say(project, "llm/2", ("t0", "b"))
    assert [found(review, kind) for kind in ("disagreement", "label_error", "flag")] == [([], 0)] * 3
