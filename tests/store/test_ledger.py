import re
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

from llm_al.errors import BudgetError, StoreError
from llm_al.store import SqlLedger, SqlStore, schema
from llm_al.types import SpendingLine

CAP = 1_000


def reserve(ledger: SqlLedger, request_hash: str, price: int = 400, cap: int | None = CAP) -> None:
    ledger.reserve(request_hash, model="m", prompt="p.v1", round=0, max_cost_nanousd=price, cap_nanousd=cap)


def settle(ledger: SqlLedger, request_hash: str, price: int = 100, response: str = "{}") -> None:
    ledger.settle(request_hash, response=response, n_tokens_in=10, n_tokens_out=2, cost_nanousd=price)


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
    with pytest.raises(BudgetError, match=re.escape("cap of $0.000001 does not allow one more call to 'm'")) as caught:
        reserve(store.ledger, "d", 1)
    assert "may cost $0.000000001: $0.0000003 is spent and $0.0000007 is reserved" in str(caught.value)
    assert "raise budget.llm_usd" in str(caught.value)
    assert store.spent_nanousd() == CAP


def test_no_cap_allows_everything(store: SqlStore) -> None:
    reserve(store.ledger, "a", 10**15, cap=None)
    assert store.spent_nanousd() == 10**15


def test_a_reservation_left_open_is_taken_up_again_and_counted_once(store: SqlStore, path: Path) -> None:
    reserve(store.ledger, "a", 900)
    with SqlStore(path) as later:
        reserve(later.ledger, "a", 1_000)
        assert later.spent_nanousd() == 1_000
        with pytest.raises(BudgetError):
            reserve(later.ledger, "a", 1_001)
        assert later.spent_nanousd() == 1_000


def test_a_released_call_costs_nothing_and_may_be_made_again(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    store.ledger.release("a", reason="HTTP 503")
    store.ledger.release("a", reason="again")
    store.ledger.release("unknown", reason="never reserved")
    assert (store.spent_nanousd(), store.ledger.cached("a"), store.spending()) == (0, None, [])
    reserve(store.ledger, "a")
    settle(store.ledger, "a")
    store.ledger.release("a", reason="too late")
    assert store.spent_nanousd() == 100


def test_an_answer_that_comes_after_its_release_is_kept_and_paid(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    store.ledger.release("a", reason="timeout")
    settle(store.ledger, "a", 70, response="late")
    assert (store.ledger.cached("a"), store.spent_nanousd()) == ("late", 70)


def test_a_paid_call_is_not_reserved_again(store: SqlStore) -> None:
    reserve(store.ledger, "a")
    settle(store.ledger, "a")
    with pytest.raises(StoreError, match="a is paid already; read its answer with cached"):
        reserve(store.ledger, "a")


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
        store.ledger.reserve(request_hash, model=model, prompt="p", round=round_, max_cost_nanousd=5, cap_nanousd=None)
        settle(store.ledger, request_hash, 3)
    reserve(store.ledger, "open")
    assert store.spending() == [
        SpendingLine("m1", "p", 0, 1, 10, 2, 3),
        SpendingLine("m1", "p", 1, 2, 20, 4, 6),
        SpendingLine("m2", "p", 0, 1, 10, 2, 3),
    ]


def test_threads_that_reserve_at_once_never_pass_the_cap(store: SqlStore) -> None:
    def try_one(k: int) -> bool:
        try:
            reserve(store.ledger, f"h{k}", 90)
        except BudgetError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(try_one, range(30))) == 11
    assert store.spent_nanousd() == 990


SPENDER = """
import sys
from llm_al.errors import BudgetError
from llm_al.store import SqlStore
n = 0
with SqlStore(sys.argv[1]) as store:
    for k in range(60):
        try:
            store.ledger.reserve(f"{sys.argv[2]}-{k}", model="m", prompt="p", round=0,
                                 max_cost_nanousd=90, cap_nanousd=5_000)
        except BudgetError:
            continue
        n += 1
        if k % 2:
            store.ledger.settle(f"{sys.argv[2]}-{k}", response="", n_tokens_in=0, n_tokens_out=0, cost_nanousd=80)
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
        try:
            reserve(self.store.ledger, call, price)
        except BudgetError:
            assert self.store.spent_nanousd() == before
        except StoreError:
            assert self.store.ledger.cached(call) is not None
        else:
            assert self.store.spent_nanousd() <= CAP

    @rule(call=st.sampled_from("abc"), price=st.integers(0, 300))
    def settle(self, call: str, price: int) -> None:
        try:
            settle(self.store.ledger, call, price)
        except StoreError:
            assert self.store.ledger.cached(call) is None

    @rule(call=st.sampled_from("abc"))
    def release(self, call: str) -> None:
        self.store.ledger.release(call, reason="test")

    @invariant()
    def totals_are_the_sums(self) -> None:
        calls = schema.llm_calls.c
        with self.store.database.reading() as connection:
            total = connection.execute(select(func.sum(calls.cost_nanousd + calls.reserved_nanousd))).scalar()
        assert self.store.spent_nanousd() == (total or 0)

    def teardown(self) -> None:
        self.store.close()
        self.folder.cleanup()


Money.TestCase.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
TestMoney = Money.TestCase
