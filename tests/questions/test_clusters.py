import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.questions.clusters import Bulk, BulkRule, find_bulks

RULE = BulkRule(similarity=0.8, certainty=0.7, least=2, most=3)


def directions(*degrees: float) -> np.ndarray:
    turns = np.radians(degrees)
    return np.stack([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)


def sure(*labels: int, certainty: float = 0.9) -> np.ndarray:
    proba = np.full((len(labels), 2), 1.0 - certainty)
    proba[np.arange(len(labels)), labels] = certainty
    return proba


def test_similar_texts_of_one_label_are_looked_through_least_typical_first() -> None:
    proba = sure(0, 0, 0)
    proba[1] = [0.99, 0.01]
    assert find_bulks(directions(0, 10, 30), proba, rule=RULE) == [Bulk((2, 0, 1), 0)]


def test_another_label_another_direction_or_a_doubt_stays_out() -> None:
    proba = sure(0, 0, 1, 0, 0)
    proba[4] = [0.6, 0.4]
    assert find_bulks(directions(0, 5, 5, 90, 5), proba, rule=RULE) == [Bulk((1, 0), 0)]


def test_a_chain_of_neighbours_is_no_group() -> None:
    # Each is within 37 degrees of the next; the ends are not alike.
    proba = sure(0, 0, 0)
    proba[0] = [0.99, 0.01]
    assert find_bulks(directions(0, 30, 60), proba, rule=RULE) == [Bulk((1, 0), 0)]


def test_groups_are_no_larger_than_allowed_and_share_no_text() -> None:
    bulks = find_bulks(directions(*range(8)), sure(*[0] * 8), rule=RULE)
    rows = [row for bulk in bulks for row in bulk.rows]
    assert [len(bulk.rows) for bulk in bulks] == [3, 3, 2]
    assert len(set(rows)) == len(rows) == 8


def test_closed_rows_are_left_alone() -> None:
    is_open = np.array([True, False, True])
    assert find_bulks(directions(0, 1, 2), sure(0, 0, 0), is_open, rule=RULE) == [Bulk((2, 0), 0)]


def test_no_texts_make_no_group() -> None:
    assert find_bulks(np.zeros((0, 2), dtype=np.float32), np.zeros((0, 2))) == []
    assert find_bulks(directions(0, 1), sure(0, 0)) == []


def test_arrays_that_do_not_fit_or_hold_nan_are_refused() -> None:
    for vectors, proba in ((directions(0), sure(0, 0)), (directions(float("nan")), sure(0))):
        with pytest.raises(ShapeError, match=r"rows of probabilities, or NaN among them; give one of each a text"):
            find_bulks(vectors, proba)


@pytest.mark.parametrize(
    "wrong", [{"similarity": 1.1}, {"certainty": -0.1}, {"least": 1}, {"most": 2}, {"certainty": float("nan")}]
)
def test_a_rule_that_cannot_hold_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="give shares from 0 to 1 and sizes from 2 on, the least not above the most"):
        BulkRule(**wrong)  # type: ignore[arg-type]
