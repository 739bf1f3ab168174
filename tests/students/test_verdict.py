import json

import numpy as np
import pytest

from llm_al.students._verdict import Verdict, compare, untested
from llm_al.types import Proba

TRUTH = np.eye(2)[[0, 1] * 10]


def _right_on(rows: range) -> Proba:
    """Predictions that are right on some of the twenty rows."""
    classes = 1 - TRUTH.argmax(axis=1)
    classes[list(rows)] = 1 - classes[list(rows)]
    return np.eye(2)[classes]


def _chosen(cheap: range, dear: range, min_gain_se: float = 1.0) -> Verdict:
    proba = {"dear": _right_on(dear), "cheap": _right_on(cheap)}
    return compare(proba, TRUTH, order=["cheap", "dear"], min_gain_se=min_gain_se, n_folds=5)


def test_a_clear_gain_pays_the_price() -> None:
    verdict = _chosen(range(10), range(16))
    assert verdict.chosen == "dear"
    # Six labels gained and none lost, of 20: (6.5 - .5) / 22, and sqrt(7 / 22 - (6 / 22) ** 2) / sqrt(22).
    assert (verdict.gain, verdict.gain_se) == pytest.approx((6 / 22, 0.10527), abs=1e-5)
    assert verdict.accuracy == {"cheap": 0.5, "dear": 0.8}
    assert verdict.reason == (
        "dear: accuracy on 20 held-out labels of people is cheap 0.500, dear 0.800, +0.273 (standard error 0.105) "
        "against cheap"
    )


def test_a_gain_within_one_standard_error_does_not() -> None:
    # Five gains and four losses: +.045, error .143.
    assert _chosen(range(8), range(4, 13)).chosen == "cheap"
    assert _chosen(range(8), range(4, 13), min_gain_se=0.0).chosen == "dear"


def test_three_gains_and_a_loss_in_thirty_are_no_proof() -> None:
    truth = np.eye(2)[[0, 1] * 15]
    cheap, dear = truth.copy(), truth.copy()
    cheap[:3], dear[3] = 1 - cheap[:3], 1 - dear[3]
    proba = {"cheap": cheap, "dear": dear}
    # By the plain formula the gain is exactly one standard error, 2 / 30.
    assert compare(proba, truth, order=["cheap", "dear"], min_gain_se=1.0, n_folds=5).chosen == "cheap"


def test_a_tie_goes_to_the_cheap_one() -> None:
    verdict = _chosen(range(10), range(10), min_gain_se=0.0)
    assert (verdict.chosen, verdict.gain) == ("cheap", 0.0)


def test_the_best_of_three_is_held_against_the_best_so_far() -> None:
    proba = {"a": _right_on(range(4)), "b": _right_on(range(16)), "c": _right_on(range(15))}
    assert compare(proba, TRUTH, order=["a", "b", "c"], min_gain_se=1.0, n_folds=5).chosen == "b"


def test_one_candidate_wins_and_one_row_shows_nothing() -> None:
    only = compare({"a": TRUTH}, TRUTH, order=["a", "gone"], min_gain_se=1.0, n_folds=5)
    assert (only.chosen, only.accuracy) == ("a", {"a": 1.0})
    one_row = {"a": 1 - TRUTH[:1], "b": TRUTH[:1]}
    assert compare(one_row, TRUTH[:1], order=["a", "b"], min_gain_se=1.0, n_folds=5).chosen == "a"


def test_a_verdict_is_read_back_from_json() -> None:
    for verdict in (_chosen(range(10), range(16)), untested("head", "two labels are no test")):
        assert Verdict(**json.loads(json.dumps(verdict.to_json()))) == verdict
