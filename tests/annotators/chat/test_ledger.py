import pytest

from llm_al.annotators.chat.ledger import MemoryLedger
from llm_al.errors import BudgetError


def _reserve(ledger: MemoryLedger, key: str, cost: int, cap: int | None = 100) -> None:
    ledger.reserve(key, model="m", prompt="p", round=1, max_cost_nanousd=cost, cap_nanousd=cap)


def test_open_reservations_count_at_their_maximum() -> None:
    ledger = MemoryLedger()
    _reserve(ledger, "a", 60)
    with pytest.raises(BudgetError, match="cap of 100 nano-dollars does not allow"):
        _reserve(ledger, "b", 41)
    ledger.settle("a", response="{}", n_tokens_in=1, n_tokens_out=1, cost_nanousd=10)
    _reserve(ledger, "b", 90)
    assert ledger.spent_nanousd() == 100


def test_a_reservation_left_open_is_taken_over_by_the_same_hash() -> None:
    ledger = MemoryLedger()
    _reserve(ledger, "a", 60)
    _reserve(ledger, "a", 60)
    assert ledger.spent_nanousd() == 60


def test_only_settled_calls_are_cached_and_released_ones_cost_nothing() -> None:
    ledger = MemoryLedger()
    _reserve(ledger, "a", 60)
    assert ledger.cached("a") is None
    ledger.release("a", reason="refused")
    assert ledger.spent_nanousd() == 0
    _reserve(ledger, "a", 60, cap=None)
    ledger.settle("a", response='{"x": 1}', n_tokens_in=1, n_tokens_out=1, cost_nanousd=10)
    assert ledger.cached("a") == '{"x": 1}'
