import pytest

from llm_al.annotators.engine.ledger import MemoryLedger
from llm_al.errors import StoreError
from llm_al.money import Release, Reservation, Settlement, Verdict


def reserve(ledger: MemoryLedger, key: str, cost: int, cap: int | None = 100) -> Verdict:
    return ledger.post([Reservation(key, "m", "p", 1, cost)], cap_nanousd=cap)[0]


def test_open_reservations_count_at_their_maximum() -> None:
    ledger = MemoryLedger()
    assert reserve(ledger, "a", 60).is_granted
    assert "cap of 100 nano-dollars does not allow" in reserve(ledger, "b", 41).refusal
    ledger.post([Settlement("a", "{}", 1, 1, 10)])
    assert reserve(ledger, "b", 90).is_granted
    assert ledger.spent_nanousd() == 100


@pytest.mark.parametrize(("is_idempotent", "spent"), [(False, 70), (True, 10)])
def test_a_reservation_left_open_is_lost_unless_repeats_are_free(is_idempotent: bool, spent: int) -> None:
    ledger = MemoryLedger()
    reserve(ledger, "a", 60, cap=None)
    reserve(ledger, "a", 60, cap=None)
    assert ledger.spent_nanousd() == 120
    ledger.post([Settlement("a", "{}", 1, 1, 10, is_idempotent)])
    assert ledger.spent_nanousd() == spent


def test_only_settled_calls_are_cached_and_released_ones_cost_nothing() -> None:
    ledger = MemoryLedger()
    reserve(ledger, "a", 60)
    assert ledger.cached("a") is None
    ledger.post([Release("a", "refused")])
    assert (ledger.spent_nanousd(), ledger.calls) == (0, {})
    reserve(ledger, "a", 60, cap=None)
    ledger.post([Settlement("a", '{"x": 1}', 1, 1, 10)])
    assert ledger.cached("a") == '{"x": 1}'
    assert reserve(ledger, "a", 60) == Verdict('{"x": 1}')


def test_a_call_that_was_never_reserved_cannot_be_settled() -> None:
    with pytest.raises(StoreError, match="x was never reserved"):
        MemoryLedger().post([Settlement("x", "{}", 1, 1, 1)])


def test_facts_are_remembered() -> None:
    ledger = MemoryLedger()
    assert ledger.recall("k") is None
    ledger.remember("k", "v")
    assert ledger.recall("k") == "v"
