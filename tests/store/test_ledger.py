import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sqlalchemy import func, select

from llm_al.errors import StoreError
from llm_al.measures import SpendingLine
from llm_al.money import Release, Reservation, Settlement, Verdict
from llm_al.store import SqlLedger, SqlStore, schema

CAP = 1_000


def reserve(ledger: SqlLedger, request_hash: str, price: int = 400, cap: int | None = CAP) -> Verdict:
    return ledger.post([Reservation(request_hash, "m", "p.v1", 0, price)], cap_nanousd=cap)[0]


def settle(
    ledger: SqlLedger, request_hash: str, price: int = 100, response: str = "{}", *, is_idempotent: bool = False
) -> None:
    ledger.post([Settlement(request_hash, response, 10, 2, price, is_idempotent)])


def release(ledger: SqlLedger, request_hash: str, reason: str) -> None:
    ledger.post([Release(request_hash, reason)])


def test_an_answer_is_cached_once_it_is_settled(store: SqlStore) -> None:
    assert store.ledger.cached("h") is None
    reserve(store.ledger, "h")
    assert (store.ledger.cached("h"), store.spent_nanousd()) == (None, 400)
    settle(store.ledger, "h", response="the answer")
    assert (store.ledger.cached("h"), store.spent_nanousd()) == ("the answer", 100)


def test_the_cap_counts_what_is_settled_and_what_is_reserved(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    settle(store.ledger, "a", 300)
    reserve(store.ledger, "b", 600)
    reserve(store.ledger, "c", 100)
    refusal = reserve(store.ledger, "d", 1).refusal
    assert "cap of $0.000001 does not allow one more call to 'm'" in refusal
    assert "may cost $0.000000001: $0.0000003 is spent and $0.0000007 is reserved" in refusal
    assert "raise budget.llm_usd" in refusal
    assert store.spent_nanousd() == CAP


def test_no_cap_allows_everything(store: SqlStore) -> None:
    reserve(store.ledger, "a", 10**15, cap=None)
    assert store.spent_nanousd() == 10**15


def test_a_reservation_left_open_is_booked_as_lost_when_it_is_made_again(store: SqlStore, path: Path) -> None:
    reserve(store.ledger, "a", 300)
    with SqlStore(path) as later:
        assert reserve(later.ledger, "a", 701).refusal
        assert reserve(later.ledger, "a", 700).is_granted
        assert later.spent_nanousd() == 1_000
        settle(later.ledger, "a", 50)
        assert later.spent_nanousd() == 350
        assert later.spending() == [SpendingLine("m", "p.v1", 0, 1, 10, 2, 350)]


def test_a_server_that_charges_repeats_once_gives_lost_money_back(store: SqlStore) -> None:
    reserve(store.ledger, "a", 300)
    reserve(store.ledger, "a", 300)
    settle(store.ledger, "a", 50, is_idempotent=True)
    assert store.spent_nanousd() == 50


def test_many_entries_are_booked_together_and_in_order(store: SqlStore) -> None:
    reserve(store.ledger, "old", 500)
    verdicts = store.ledger.post(
        [
            Settlement("old", "was paid", 1, 1, 100),
            Reservation("new", "m", "p", 0, 400),
            Reservation("old", "m", "p", 0, 400),
            Reservation("dear", "m", "p", 0, 501),
            Release("new", "refused"),
            Reservation("dear", "m", "p", 0, 900),
            Settlement("dear", "at once", 1, 1, 800),
        ],
        cap_nanousd=CAP,
    )
    assert [v.is_granted for v in verdicts] == [True, False, False, True]
    assert verdicts[1] == Verdict("was paid")
    assert store.ledger.cached("dear") == "at once"
    assert store.spent_nanousd() == 900
    assert store.ledger.post([]) == []


def test_facts_about_servers_outlive_the_process(store: SqlStore, path: Path) -> None:
    assert store.ledger.recall("k") is None
    store.ledger.remember("k", "v")
    store.ledger.remember("k", "w")
    with SqlStore(path) as later:
        assert later.ledger.recall("k") == "w"


def test_a_released_call_costs_nothing_and_may_be_made_again(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    release(store.ledger, "a", "HTTP 503")
    release(store.ledger, "a", "again")
    release(store.ledger, "unknown", "never reserved")
    assert (store.spent_nanousd(), store.ledger.cached("a"), store.spending()) == (0, None, [])
    reserve(store.ledger, "a")
    settle(store.ledger, "a")
    release(store.ledger, "a", "too late")
    assert store.spent_nanousd() == 100


def test_an_answer_that_comes_after_its_release_is_kept_and_paid(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    release(store.ledger, "a", "timeout")
    settle(store.ledger, "a", 70, response="late")
    assert (store.ledger.cached("a"), store.spent_nanousd()) == ("late", 70)


def test_a_paid_call_is_not_reserved_again_but_gives_its_answer(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    settle(store.ledger, "a")
    assert reserve(store.ledger, "a") == Verdict("{}")
    assert store.spent_nanousd() == 100


def test_a_call_paid_by_two_processes_keeps_the_first_answer_and_both_prices(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    settle(store.ledger, "a", 100, response="first")
    settle(store.ledger, "a", 50, response="second")
    assert (store.ledger.cached("a"), store.spent_nanousd()) == ("first", 150)


def test_a_call_that_was_never_reserved_cannot_be_settled(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="x was never reserved; reserve it before it is sent"):
        settle(store.ledger, "x")


def test_spending_is_by_model_prompt_and_round(store: SqlStore) -> None:
    for request_hash, model, round_ in [("a", "m2", 0), ("b", "m1", 1), ("c", "m1", 1), ("d", "m1", 0)]:
        store.ledger.post([Reservation(request_hash, model, "p", round_, 5)])
        settle(store.ledger, request_hash, 3)
    reserve(store.ledger, "open")
    assert sum(line.cost_nanousd for line in store.spending()) == store.spent_nanousd()
    assert store.spending() == [
        SpendingLine("m", "p.v1", 0, 0, 0, 0, 400),
        SpendingLine("m1", "p", 0, 1, 10, 2, 3),
        SpendingLine("m1", "p", 1, 2, 20, 4, 6),
        SpendingLine("m2", "p", 0, 1, 10, 2, 3),
    ]


def test_threads_that_reserve_at_once_never_pass_the_cap(store: SqlStore) -> None:
    def try_one(k: int) -> bool:
        return reserve(store.ledger, f"h{k}", 90).is_granted

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(try_one, range(30))) == 11
    assert store.spent_nanousd() == 990


SPENDER = """
import sys
from llm_al.money import Reservation, Settlement
from llm_al.store import SqlStore
n = 0
with SqlStore(sys.argv[1]) as store:
    for k in range(60):
        key = f"{sys.argv[2]}-{k}"
        if not store.ledger.post([Reservation(key, "m", "p", 0, 90)], cap_nanousd=5_000)[0].is_granted:
            continue
        n += 1
        if k % 2:
            store.ledger.post([Settlement(key, "", 0, 0, 80)])
print(n)
"""


def test_two_processes_that_reserve_at_once_never_pass_the_cap(store: SqlStore, path: Path) -> None:
    spenders = [
        subprocess.Popen([sys.executable, "-c", SPENDER, str(path), name], stdout=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    n_calls = sum(int(spender.communicate()[0]) for spender in spenders)
    assert 5_000 - 90 < store.spent_nanousd() <= 5_000
    assert 5_000 // 90 <= n_calls <= 5_000 // 80


class Money(RuleBasedStateMachine):
    """The running totals against the sums over all calls."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.store = SqlStore(Path(self.folder.name) / "project.db")

    @rule(call=st.sampled_from("abc"), price=st.integers(0, 700))
    def reserve(self, call: str, price: int) -> None:
        before = self.store.spent_nanousd()
        if reserve(self.store.ledger, call, price).is_granted:
            assert before <= self.store.spent_nanousd() <= CAP
        else:
            assert self.store.spent_nanousd() == before

    @rule(call=st.sampled_from("abc"), price=st.integers(0, 300), is_idempotent=st.booleans())
    def settle(self, call: str, price: int, is_idempotent: bool) -> None:
        try:
            settle(self.store.ledger, call, price, is_idempotent=is_idempotent)
        except StoreError:
            assert self.store.ledger.cached(call) is None

    @rule(call=st.sampled_from("abc"))
    def release(self, call: str) -> None:
        release(self.store.ledger, call, "test")

    @invariant()
    def totals_are_the_sums(self) -> None:
        calls = schema.llm_calls.c
        with self.store.database.reading() as connection:
            total = connection.execute(
                select(func.sum(calls.cost_nanousd + calls.lost_nanousd + calls.reserved_nanousd))
            ).scalar()
        assert self.store.spent_nanousd() == (total or 0)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


Money.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestMoney = Money.TestCase
