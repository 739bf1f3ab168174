from hypothesis import given
from hypothesis import strategies as st

from llm_al.places import AUDIT, DOUBTFUL, SECOND, UNSURE, Places
from llm_al.types import Decision, Outcome, Stage


def decisions(prefix: str, n: int) -> list[Decision]:
    return [Decision(f"{prefix}{row}", 1, Stage.ROUTE, Outcome.HUMAN, "") for row in range(n)]


def test_the_first_round_has_places_of_its_own() -> None:
    places = Places(initial=30, per_round=20)
    assert places.open(0) == 30
    assert places.open(1) == 20
    assert places.left(7) is None


def test_the_budget_closes_places() -> None:
    places = Places(initial=30, per_round=20, max_human_labels=35)
    assert places.open(0) == 30
    assert places.open(30) == 5
    assert places.open(35) == 0
    assert places.open(40) == 0


def test_audits_come_first_and_a_third_of_the_rest_is_for_doubts() -> None:
    questions = Places(per_round=10).share_out(
        5, audits=decisions("a", 4), direct=decisions("d", 9), doubtful=decisions("q", 9)
    )
    assert [(q.reason, len(q.example_ids), q.is_blind) for q in questions] == [
        (AUDIT, 4, True),
        (UNSURE, 4, False),
        (DOUBTFUL, 2, False),
    ]
    assert questions[0].priority > questions[1].priority > questions[2].priority
    assert questions[1].example_ids == ("d0", "d1", "d2", "d3")


def test_audits_may_pass_the_round_and_never_the_budget() -> None:
    audits = decisions("a", 12)
    free = Places(per_round=5).share_out(5, audits=audits, direct=decisions("d", 3), doubtful=[])
    assert [len(question.example_ids) for question in free] == [12, 0, 0]
    capped = Places(per_round=5, max_human_labels=13).share_out(5, audits=audits, direct=[], doubtful=[])
    assert capped[0].example_ids == tuple(f"a{row}" for row in range(8))


def test_doubts_do_not_take_places_that_they_do_not_fill() -> None:
    questions = Places(per_round=9).share_out(1, audits=[], direct=decisions("d", 20), doubtful=decisions("q", 1))
    assert [len(question.example_ids) for question in questions] == [0, 8, 1]


@given(
    initial=st.integers(1, 50),
    per_round=st.integers(0, 50),
    budget=st.integers(1, 100),
    n_human=st.integers(0, 120),
    sizes=st.tuples(*[st.integers(0, 40)] * 3),
)
def test_no_share_out_passes_the_budget(
    initial: int, per_round: int, budget: int, n_human: int, sizes: tuple[int, int, int]
) -> None:
    groups = dict(zip(("audits", "direct", "doubtful"), map(decisions, "adq", sizes), strict=True))
    questions = Places(initial, per_round, budget).share_out(n_human, **groups)
    asked = [id_ for question in questions for id_ in question.example_ids]
    assert len(asked) <= max(budget - n_human, 0)
    assert len(asked) == len(set(asked))


def test_each_text_takes_as_many_places_as_people_answer_it() -> None:
    questions = Places(per_round=10, overlap=3).share_out(
        5, audits=decisions("a", 2), direct=decisions("d", 9), doubtful=decisions("q", 9)
    )
    assert [(len(q.example_ids), q.n_wanted) for q in questions] == [(2, 1), (2, 3), (0, 3)]


def test_a_rest_of_the_budget_that_is_too_small_for_the_overlap_is_one_text() -> None:
    places = Places(per_round=10, max_human_labels=12, overlap=3)
    questions = places.share_out(10, audits=[], direct=decisions("d", 9), doubtful=[])
    assert [(len(q.example_ids), q.n_wanted) for q in questions] == [(0, 1), (1, 2), (0, 2)]


def test_second_opinions_take_their_share_and_are_blind() -> None:
    places = Places(per_round=10, second_share=0.3)
    *_, direct, _, again = places.share_out(
        5, audits=[], direct=decisions("d", 20), doubtful=[], second=decisions("s", 9)
    )
    assert (again.reason, again.is_blind, again.n_wanted) == (SECOND, True, 1)
    assert again.example_ids == ("s0", "s1", "s2")
    assert len(direct.example_ids) == 7
    assert direct.priority < again.priority


@given(
    per_round=st.integers(0, 50),
    budget=st.integers(1, 100),
    n_human=st.integers(0, 120),
    overlap=st.integers(1, 5),
    sizes=st.tuples(*[st.integers(0, 40)] * 4),
)
def test_no_overlap_passes_the_budget(
    per_round: int, budget: int, n_human: int, overlap: int, sizes: tuple[int, int, int, int]
) -> None:
    groups = dict(zip(("audits", "direct", "doubtful", "second"), map(decisions, "adqs", sizes), strict=True))
    places = Places(20, per_round, budget, overlap, 0.3)
    questions = places.share_out(n_human, **groups)
    assert sum(len(q.example_ids) * q.n_wanted for q in questions) <= max(budget - n_human, 0)
