from hypothesis import given
from hypothesis import strategies as st

from llm_al.places import AUDIT, DOUBTFUL, UNSURE, Places
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
