from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_al.errors import DeskError, LabelError, TicketGoneError
from llm_al.people.desk import Desk
from llm_al.people.desk_types import Reply, Ticket
from llm_al.phrasing import Form, Phrasing
from llm_al.project import Project
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind

MINUTE = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    texts = [{"id": f"t{n:02d}", "text": f"text number {n}"} for n in range(60)]
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}}
    with Project.create(tmp_path / "p", texts=texts, labels=["a", "b", "c"], settings=settings) as made:
        yield made


@pytest.fixture
def desk_of(project: Project, clock: Clock) -> Callable[..., Desk]:
    def make(**settings: Any) -> Desk:
        plain = {"gold_rate": 0.0, "re_ask_rate": 0.0}
        changed = project.config.human.model_copy(update={**plain, **settings})
        desk = project.desk
        crowd = replace(desk.crowd, settings=changed, clock=clock)
        checks = replace(desk.checks, settings=changed)
        return replace(desk, settings=changed, clock=clock, crowd=crowd, checks=checks)

    return make


@pytest.fixture
def desk(desk_of: Callable[..., Desk]) -> Desk:
    return desk_of()


def ask(project: Project, n: int, **options: Any) -> list[str]:
    ids = [f"t{k:02d}" for k in range(n)]
    project.store.enqueue(ids, round=1, reason="the student is unsure about it", **options)
    return ids


def ids(tickets: list[Ticket]) -> list[str]:
    return [ticket.example_id for ticket in tickets]


def labels(project: Project) -> dict[tuple[str, str], str | None]:
    return {(a.source, a.example_id): a.label for a in project.store.annotations()}


def test_two_people_never_hold_one_text_and_have_what_they_drew(project: Project, desk: Desk) -> None:
    ask(project, 5)
    first, second = desk.draw("ann", n=2), desk.draw("bob", n=3)
    assert ids(first) == ["t00", "t01"]
    assert ids(second) == ["t02", "t03", "t04"]
    assert desk.draw("ann", n=2, have=[t.id for t in first]) == []
    assert ids(desk.draw("ann", n=2)) == ["t00", "t01"]
    assert desk.draw("eve") == []


def test_an_answer_is_stored_with_who_how_and_how_long(project: Project, desk: Desk) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    desk.answer("ann", Reply(ticket.id, "b", seconds=2.5, note="odd", is_suggestion_shown=True))
    (row,) = project.store.annotations()
    assert (row.source, row.kind, row.label, row.round) == ("human:ann", AnnotatorKind.HUMAN, "b", 1)
    assert (row.duration_s, row.reason, row.is_suggestion_shown, row.form) == (2.5, "odd", True, "list")
    assert project.store.pending() == []


def test_one_call_answers_and_brings_the_next(project: Project, desk: Desk) -> None:
    ask(project, 4)
    one, two = desk.draw("ann", n=2)
    (three,) = desk.proceed("ann", [Reply(one.id, "a")], n=2, have=[one.id, two.id])
    assert three.example_id == "t02"
    assert labels(project) == {("human:ann", "t00"): "a"}


def test_the_same_answer_again_changes_nothing_and_another_one_replaces_it(project: Project, desk: Desk) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    for _ in range(2):
        desk.answer("ann", Reply(ticket.id, "a"))
    assert len(project.store.annotation_history("t00")) == 1
    desk.answer("ann", Reply(ticket.id, "c"))
    assert labels(project) == {("human:ann", "t00"): "c"}
    assert [row.retracts is not None for row in project.store.annotation_history("t00")] == [False, True, False]
    assert project.store.pending() == []


def test_undo_brings_the_question_back_to_its_person_alone(project: Project, desk: Desk) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    desk.answer("ann", Reply(ticket.id, "a"))
    again = desk.take_back("ann", ticket.id)
    assert (again.id, again.example_id) == (ticket.id, "t00")
    assert (project.store.annotations(), desk.draw("bob")) == ([], [])
    assert desk.take_back("ann", ticket.id).id == ticket.id
    desk.answer("ann", Reply(ticket.id, "b"))
    assert labels(project) == {("human:ann", "t00"): "b"}


def test_a_lease_that_ran_out_goes_to_somebody_else_and_its_late_answer_is_refused(
    project: Project, desk: Desk, clock: Clock
) -> None:
    ask(project, 1)
    (late,) = desk.draw("ann")
    assert desk.draw("bob") == []
    clock.now += 11 * MINUTE
    (ticket,) = desk.draw("bob")
    with pytest.raises(TicketGoneError, match="somebody else got it"):
        desk.answer("ann", Reply(late.id, "a"))
    desk.answer("bob", Reply(ticket.id, "b"))
    assert labels(project) == {("human:bob", "t00"): "b"}


def test_a_late_answer_counts_when_nobody_else_took_the_question(project: Project, desk: Desk, clock: Clock) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    clock.now += 60 * MINUTE
    desk.answer("ann", Reply(ticket.id, "a"))
    assert labels(project) == {("human:ann", "t00"): "a"}


def test_an_open_page_keeps_its_texts(project: Project, desk: Desk, clock: Clock) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    for _ in range(4):
        clock.now += 8 * MINUTE
        assert desk.draw("ann", have=[ticket.id]) == []
        assert desk.draw("bob") == []


def test_overlap_asks_so_many_people_and_each_of_them_once(project: Project, desk: Desk) -> None:
    ask(project, 1, n_wanted=2)
    for person in ("ann", "bob"):
        (ticket,) = desk.draw(person)
        assert project.store.pending()
        desk.answer(person, Reply(ticket.id, "a"))
        assert desk.draw(person) == []
    assert project.store.pending() == []
    assert desk.draw("eve") == []


def test_nobody_is_asked_again_in_a_later_round_about_what_they_have_labelled(project: Project, desk: Desk) -> None:
    ask(project, 1)
    desk.answer("ann", Reply(desk.draw("ann")[0].id, "a"))
    project.store.enqueue(["t00"], round=2, reason="second opinion")
    assert desk.draw("ann") == []
    assert ids(desk.draw("bob")) == ["t00"]


def test_a_skip_goes_to_somebody_else_and_ends_with_the_last_person(project: Project, desk: Desk) -> None:
    ask(project, 2)
    desk.draw("bob", n=1)
    (ticket,) = desk.draw("ann", n=1)
    desk.answer("ann", Reply(ticket.id, SKIP))
    assert ticket.example_id in {question.example_id for question in project.store.pending()}
    assert desk.draw("ann") == []
    again = next(t for t in desk.draw("bob", n=2) if t.example_id == ticket.example_id)
    desk.answer("bob", Reply(again.id, SKIP))
    assert ticket.example_id not in {question.example_id for question in project.store.pending()}


def test_a_skip_of_the_only_person_ends_the_question(project: Project, desk: Desk) -> None:
    ask(project, 1)
    desk.answer("ann", Reply(desk.draw("ann")[0].id, SKIP))
    assert project.store.pending() == []


def test_an_unknown_label_and_a_foreign_ticket_are_refused(project: Project, desk: Desk) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    with pytest.raises(LabelError, match="unknown label 'z'; choose from: a, b, c"):
        desk.answer("ann", Reply(ticket.id, "z"))
    with pytest.raises(TicketGoneError, match=f"question {ticket.id} is not yours"):
        desk.answer("bob", Reply(ticket.id, "a"))
    with pytest.raises(TicketGoneError, match="not yours"):
        desk.flag("bob", ticket.id, "look")
    with pytest.raises(DeskError, match="0 questions with 0 in hand; ask for 1 to 50"):
        desk.draw("ann", n=0)
    closed = replace(desk, scheme=replace(desk.scheme, is_open=False))
    with pytest.raises(LabelError, match="every text of this project fits"):
        closed.answer("ann", Reply(ticket.id, NONE_OF_THESE))
    assert project.store.annotations() == []


def test_several_answers_are_taken_all_or_none(project: Project, desk: Desk) -> None:
    ask(project, 2)
    one, two = desk.draw("ann", n=2)
    with pytest.raises(LabelError):
        desk.answer_all("ann", [Reply(one.id, "a"), Reply(two.id, "nonsense")])
    assert project.store.annotations() == []


def test_a_bulk_question_comes_whole_and_counts_as_one(project: Project, desk: Desk) -> None:
    put = {f"t{n:02d}": Phrasing(Form.BULK, ("b",), cluster="7") for n in (1, 2, 3)}
    ask(project, 5, phrasing=put)
    single, bulk = desk.draw("ann", n=2)
    assert (single.form, bulk.form, bulk.options) == ("list", "bulk", ("b",))
    assert [member.text for member in bulk.members] == ["text number 1", "text number 2", "text number 3"]
    desk.answer_all("ann", [Reply(member.ticket, "b", form="bulk") for member in bulk.members])
    assert {a.form for a in project.store.annotations()} == {"bulk"}
    assert ids(desk.draw("ann", n=2)) == ["t00", "t04"]


def test_a_blind_question_shows_neither_suggestion_nor_reason_nor_form(project: Project, desk: Desk) -> None:
    ask(project, 1, is_blind=True, phrasing={"t00": Phrasing(Form.VERIFY, ("b",))})
    project.store.add_annotations([Annotation("t00", "b", "m/1", kind=AnnotatorKind.LLM, model="m")])
    (ticket,) = desk.draw("ann")
    assert (ticket.form, ticket.options, ticket.suggestions, ticket.reason) == ("list", (), (), "")
    desk.answer("ann", Reply(ticket.id, "a", is_suggestion_shown=True, form="verify"))
    (row,) = [a for a in project.store.annotations() if a.kind.is_human]
    assert (row.is_suggestion_shown, row.form) == (False, "list")


def test_a_list_that_measures_a_set_shows_neither_the_set_nor_a_proposal(project: Project, desk: Desk) -> None:
    ask(project, 1, phrasing={"t00": Phrasing(Form.LIST, ("b", "c"), 0.9)})
    project.store.add_annotations([Annotation("t00", "b", "m/1", kind=AnnotatorKind.LLM, model="m")])
    (ticket,) = desk.draw("ann")
    assert (ticket.form, ticket.options, ticket.suggestions) == ("list", (), ())
    desk.answer("ann", Reply(ticket.id, "a", seconds=2.0))
    (kept,) = project.store.answer_times()
    assert (kept.form, kept.options, kept.coverage) == ("list", ("b", "c"), 0.9)


def test_an_llms_proposal_is_shown_with_the_share_of_its_runs_unless_hidden(
    project: Project, desk: Desk, desk_of: Callable[..., Desk]
) -> None:
    ask(project, 1)
    runs = [Annotation("t00", label, f"m/{k}", kind=AnnotatorKind.LLM, model="m") for k, label in enumerate("bba")]
    project.store.add_annotations(runs)
    (ticket,) = desk.draw("ann")
    assert [(s.label, s.score, s.by) for s in ticket.suggestions] == [("b", 0.6667, "m")]
    (hidden,) = desk_of(suggestions="hidden").draw("ann")
    assert (hidden.suggestions, hidden.form) == ((), "list")


def test_gold_questions_check_people_who_have_not_seen_them_and_label_nothing(
    project: Project, desk_of: Callable[..., Desk]
) -> None:
    desk = desk_of(gold_rate=0.5)
    for n in range(40, 44):
        project.store.rulings.add(f"t{n}", "a", person="human:eve", is_gold=True)
    ask(project, 30)
    drawn: list[str] = []
    while tickets := desk.draw("ann", n=1):
        drawn += ids(tickets)
        desk.answer("ann", Reply(tickets[0].id, "a" if tickets[0].example_id != "t41" else "b"))
    checks = project.store.checks()
    assert sorted(check.example_id for check in checks) == ["t40", "t41", "t42", "t43"]
    assert sum(check.is_right for check in checks) == 3
    assert len(drawn) == 34
    assert {example_id for _, example_id in labels(project)} == {f"t{n:02d}" for n in range(30)}
    assert all(t.example_id < "t40" for t in desk.draw("eve", n=20))


def test_a_question_that_is_asked_again_measures_steadiness(project: Project, desk_of: Callable[..., Desk]) -> None:
    desk = desk_of(re_ask_rate=0.5)
    ask(project, 50)
    seen: list[str] = []
    while tickets := desk.draw("ann", n=1):
        (ticket,) = tickets
        desk.answer("ann", Reply(ticket.id, "b" if ticket.example_id in seen else "a"))
        seen.append(ticket.example_id)
    again = [id_ for n, id_ in enumerate(seen) if id_ in seen[:n]]
    assert again
    assert all(seen[:n].index(id_) <= n - 20 for n, id_ in enumerate(seen) if id_ in seen[:n])
    checks = project.store.checks()
    assert [(c.kind, c.label, c.expected) for c in checks] == [("re_ask", "b", "a")] * len(again)
    assert set(labels(project).values()) == {"a"}


def test_flags_are_raised_with_a_note_and_settled(project: Project, desk: Desk) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    desk.flag("ann", ticket.id, "two topics")
    (flag,) = project.store.flags.open()
    assert (flag.example_id, flag.person, flag.note) == ("t00", "human:ann", "two topics")
    assert (project.store.flags.settle("t00", by="human:eve"), project.store.flags.open()) == (1, [])


def test_history_is_ones_own_and_newest_first(project: Project, desk: Desk) -> None:
    ask(project, 3)
    for person, label in (("ann", "a"), ("bob", "b"), ("ann", SKIP)):
        desk.answer(person, Reply(desk.draw(person, n=1)[0].id, label, note=f"by {person}"))
    assert [(past.label, past.note) for past in desk.history("ann")] == [(SKIP, "by ann"), ("a", "by ann")]
    assert [past.label for past in desk.history("bob")] == ["b"]


def test_standing_counts_for_each_person(project: Project, desk: Desk, clock: Clock) -> None:
    ask(project, 3)
    assert desk.standing("ann").state == "ok"
    tickets = desk.draw("ann", n=2)
    desk.answer("ann", Reply(tickets[0].id, "a"))
    assert (desk.standing("ann").waiting, desk.standing("bob").waiting) == (2, 1)
    desk.give_back("ann")
    assert desk.standing("bob").waiting == 2
    for ticket in desk.draw("bob", n=5):
        desk.answer("bob", Reply(ticket.id, "b"))
    assert desk.standing("bob").state == "empty"


def test_rulings_are_appended_and_the_newest_holds(project: Project) -> None:
    store = project.store
    store.rulings.add("t00", "a", person="human:eve")
    store.rulings.add("t01", "b", person="human:eve", note="see page 2", is_gold=True)
    store.rulings.add("t00", None, person="human:eve")
    assert {id_: (r.label, r.note, r.is_gold) for id_, r in store.rulings.standing().items()} == {
        "t01": ("b", "see page 2", True)
    }


def test_answer_times_tell_what_was_asked(project: Project, desk: Desk) -> None:
    ask(project, 2, phrasing={"t00": Phrasing(Form.CANDIDATES, ("a", "b"), 0.95)})
    one, two = desk.draw("ann", n=2)
    desk.answer("ann", Reply(one.id, "b", seconds=1.5, form="candidates"))
    desk.answer("ann", Reply(two.id, "c", seconds=9_999.0))
    first, second = project.store.answer_times()
    assert (first.form, first.options, first.coverage, first.seconds, first.n_words) == (
        "candidates",
        ("a", "b"),
        0.95,
        1.5,
        3,
    )
    assert (second.form, second.options, second.seconds) == ("list", (), 3600.0)


def test_a_skip_cannot_be_undone_once_somebody_else_has_the_text(project: Project, desk: Desk) -> None:
    ask(project, 1)
    desk.draw("bob")
    desk.give_back("bob")
    (ticket,) = desk.draw("ann", n=1)
    desk.answer("ann", Reply(ticket.id, "skip"))
    assert desk.take_back("ann", ticket.id).id == ticket.id
    desk.answer("ann", Reply(ticket.id, "skip"))
    (other,) = desk.draw("bob", n=1)
    for change in (lambda: desk.take_back("ann", ticket.id), lambda: desk.answer("ann", Reply(ticket.id, "a"))):
        with pytest.raises(TicketGoneError, match="you let this text go and somebody else got it"):
            change()
    desk.answer("bob", Reply(other.id, "b"))
    assert [(a.source, a.label) for a in project.store.annotations()] == [("human:ann", "skip"), ("human:bob", "b")]


def test_whoever_has_seen_a_proposal_has_seen_it_when_they_change_their_mind(project: Project, desk: Desk) -> None:
    ask(project, 1)
    (ticket,) = desk.draw("ann")
    desk.answer("ann", Reply(ticket.id, "a", is_suggestion_shown=True))
    desk.answer("ann", Reply(ticket.id, "c"))
    (row,) = project.store.annotations()
    assert (row.label, row.is_suggestion_shown) == ("c", True)
