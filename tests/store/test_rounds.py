import numpy as np
import pytest

from llm_al.errors import StoreError
from llm_al.measures import Certificate, ClassMetrics, Metrics, ReliabilityBin, RoundRecord
from llm_al.store import DONE, STARTED, SqlStore
from llm_al.types import Source

METRICS = Metrics(
    n=3,
    accuracy=2 / 3,
    accuracy_low=0.1,
    accuracy_high=0.1 + 0.2,
    macro_f1=0.5,
    ece=0.05,
    log_loss=float("inf"),
    per_class=(ClassMetrics("é", 1.0, 0.5, 2 / 3, 2), ClassMetrics("b", 0.0, 0.0, 0.0, 1)),
    confusion=((1, 1), (0, 1)),
    reliability=(ReliabilityBin(0.0, 0.5, 1, 0.4, 1.0), ReliabilityBin(0.5, 1.0, 2, 0.9, 0.5)),
)
FULL = RoundRecord(
    number=1,
    n_human=50,
    n_llm_accepted=100,
    n_pseudo=7,
    n_llm_answers=300,
    cost_nanousd=123_456_789_012,
    metrics=METRICS,
    certificate=Certificate(None, None, 12, 3, 0.1, 0.95, "no threshold passes"),
    sources=(Source.HUMAN, Source.PSEUDO),
    guard="llm kept out",
    pseudo_precision=0.9,
    kappa=0.99,
    seconds={"train": 1.5, "embed": 0.1},
    stop_reason="budget",
)
BARE = RoundRecord(0, 30, 0, 0, 0, 0, None, None)
SEED = np.random.default_rng(3).bit_generator.state


def test_a_record_comes_back_equal(store: SqlStore) -> None:
    store.finish_round(FULL)
    store.finish_round(BARE)
    assert store.round_records() == [BARE, FULL]
    assert isinstance(store.round_records()[1].sources[1], Source)


def test_a_record_with_numpy_numbers_comes_back_with_plain_ones(store: SqlStore) -> None:
    store.finish_round(RoundRecord(0, np.int64(3), 0, 0, 0, 0, None, None, kappa=np.float64(0.5)))  # type: ignore[arg-type]
    (record,) = store.round_records()
    assert (record.n_human, record.kappa, type(record.n_human)) == (3, 0.5, int)


def test_a_round_continues_where_it_was_with_its_first_seed(store: SqlStore) -> None:
    assert store.current_round() is None
    begun = store.begin_round(0, config_fingerprint="f", seed_state=SEED)
    assert (begun.step, begun.seed_state) == (STARTED, SEED)
    store.reach(0, "selected")
    again = store.begin_round(0, config_fingerprint="other", seed_state={})
    assert (again.step, again.config_fingerprint, again.seed_state) == ("selected", "f", SEED)
    assert store.current_round() == again


def test_a_finished_round_is_not_current_and_keeps_how_it_began(store: SqlStore) -> None:
    store.begin_round(0, config_fingerprint="f", seed_state=[1])
    store.finish_round(BARE)
    assert store.current_round() is None
    (row,) = store.rounds()
    assert (row["number"], row["step"], row["config_fingerprint"], row["seed_state"]) == (0, DONE, "f", [1])
    assert row["record"]["n_human"] == 30
    assert row["started_s"] <= row["ended_s"]
    store.begin_round(1, config_fingerprint="f", seed_state=[2])
    current = store.current_round()
    assert current is not None
    assert current.number == 1


def test_a_round_finished_again_keeps_the_last_record(store: SqlStore) -> None:
    store.finish_round(BARE)
    store.finish_round(RoundRecord(0, 31, 0, 0, 0, 0, None, None))
    assert [record.n_human for record in store.round_records()] == [31]


def test_notes_are_kept_by_round_and_key(store: SqlStore) -> None:
    store.begin_round(0, config_fingerprint="f", seed_state=None)
    store.note(0, "selected", ["a", "b"])
    store.note(0, "selected", {"ids": np.array([1, 2])})
    assert store.read_note(0, "selected") == {"ids": [1, 2]}
    assert store.read_note(0, "other") is None
    assert store.read_note(1, "selected") is None
    with pytest.raises(TypeError, match="set cannot be kept as JSON"):
        store.note(0, "bad", {1, 2})


def test_a_round_must_begin_first(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="round 5 was never begun"):
        store.reach(5, "selected")
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        store.note(5, "selected", [])
