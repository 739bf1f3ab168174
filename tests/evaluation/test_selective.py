import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from llm_al.errors import ShapeError
from llm_al.evaluation.selective import (
    Checked,
    accuracy_estimate,
    auroc,
    auroc_estimate,
    brier,
    brier_estimate,
    calibration_error,
    calibration_estimate,
    kept_accuracy,
    kept_estimate,
    reliability,
    risk_coverage,
)

# Four answers: two right (.9, .7), two wrong (.7, .2).
FOUR = Checked.of(np.array([0.9, 0.7, 0.7, 0.2]), np.array([True, True, False, False]))
NOTHING = Checked.of(np.zeros(0), np.zeros(0, dtype=bool))


def made(n: int, seed: int = 0) -> Checked:
    """Answers that are right exactly as often as their score says."""
    rng = np.random.default_rng(seed)
    score = rng.random(n)
    return Checked.of(score, rng.random(n) < score, rng.choice([1.0, 10.0], n))


def test_auroc_counts_ties_half() -> None:
    # Pairs: .9>.7, .9>.2, .7=.7 (half), .7>.2: 3.5 of 4.
    assert auroc(FOUR) == pytest.approx(3.5 / 4)


def test_auroc_weighs_pairs_by_both_weights() -> None:
    rows = Checked.of(FOUR.score, FOUR.is_correct, np.array([1.0, 1.0, 3.0, 1.0]))
    # Pairs weigh 3, 1, 3 (half), 1 of 8.
    assert auroc(rows) == pytest.approx((3 + 1 + 1.5 + 1) / 8)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 4)), min_size=2, max_size=40))
def test_auroc_equals_the_library_with_weights_and_ties(rows: list[tuple[int, bool, int]]) -> None:
    score, right, weight = (np.array(column) for column in zip(*rows, strict=True))
    ours = auroc(Checked.of(score / 5, right.astype(bool), weight))
    if right.all() or not right.any():
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(roc_auc_score(right, score, sample_weight=weight))


@pytest.mark.parametrize(("right", "word"), [(True, "right"), (False, "wrong")])
def test_auroc_of_one_outcome_is_undefined_and_says_why(right: bool, word: str) -> None:
    rows = Checked.of(np.array([0.1, 0.2]), np.array([right, right]))
    assert np.isnan(auroc(rows))
    assert auroc_estimate(rows).reason == f"undefined because all checked answers were {word}"


def test_calibration_error_is_the_weighted_gap_of_the_bins() -> None:
    # Bins: .9 -> gap .1 (1 row); .7, .7 -> mean .7 against .5: .2 (2 rows); .2 -> .2 (1 row).
    assert calibration_error(FOUR) == pytest.approx((0.1 + 2 * 0.2 + 0.2) / 4)
    bins = reliability(FOUR)
    assert [bar.n for bar in bins] == [0, 1, 0, 0, 0, 0, 2, 0, 1, 0]
    assert (bins[6].confidence, bins[6].accuracy) == pytest.approx((0.7, 0.5))


def test_weights_move_the_bins() -> None:
    rows = Checked.of(np.array([0.75, 0.75]), np.array([True, False]), np.array([3.0, 1.0]))
    assert reliability(rows)[7].accuracy == pytest.approx(0.75)
    assert calibration_error(rows) == pytest.approx(0.0)


def test_scores_outside_of_the_unit_interval_fall_into_the_outer_bins() -> None:
    assert [bar.n for bar in reliability(Checked.of(np.array([-1.0, 2.0]), np.array([True, False])))][::9] == [1, 1]


def test_brier_is_the_mean_squared_distance() -> None:
    assert brier(FOUR) == pytest.approx((0.01 + 0.09 + 0.49 + 0.04) / 4)


def test_the_surest_are_kept_first_and_ties_are_shared_out() -> None:
    assert kept_accuracy(FOUR, 0.25) == 1.0
    # The surest one and half of the two that tie: (1 + 0.5) / 2.
    assert kept_accuracy(FOUR, 0.5) == pytest.approx(0.75)
    assert kept_accuracy(FOUR, 1.0) == 0.5


def test_the_curve_has_one_point_a_distinct_score() -> None:
    coverage, accuracy = risk_coverage(FOUR)
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert accuracy == pytest.approx([1.0, 2 / 3, 0.5])


@given(st.integers(1, 60), st.integers(0, 9))
def test_keeping_everything_is_the_weighted_accuracy(n: int, seed: int) -> None:
    rows = made(n, seed)
    expected = np.average(rows.is_correct, weights=rows.weights)
    assert kept_accuracy(rows, 1.0) == pytest.approx(expected)
    assert risk_coverage(rows)[1][-1] == pytest.approx(expected)


def test_the_interval_of_equally_weighted_answers_is_clopper_pearson() -> None:
    found = accuracy_estimate(Checked.of(np.zeros(10), np.arange(10) < 8))
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4439, 0.9748), abs=1e-4)


def test_all_right_still_leaves_doubt() -> None:
    found = accuracy_estimate(Checked.of(np.zeros(10), np.ones(10, dtype=bool)))
    # 0.025 ** (1 / 10).
    assert (found.low, found.high) == (pytest.approx(0.6915, abs=1e-4), 1.0)


def test_unequal_weights_widen_the_interval() -> None:
    right = np.arange(40) % 5 > 0
    even = accuracy_estimate(Checked.of(np.zeros(40), right))
    uneven = accuracy_estimate(Checked.of(np.zeros(40), right, np.repeat([1.0, 9.0], 20)))
    assert uneven.high - uneven.low > even.high - even.low


def test_intervals_hold_their_value_and_repeat() -> None:
    rows = made(300)
    for estimate in (auroc_estimate, calibration_estimate, brier_estimate):
        found = estimate(rows)
        assert found == estimate(rows)
        assert found.low < found.high
    assert auroc_estimate(rows).low < auroc(rows) < auroc_estimate(rows).high
    kept = kept_estimate(rows, 0.5)
    assert kept.low < kept.value < kept.high


def test_a_bootstrap_in_pieces_covers_the_truth() -> None:
    # Large enough for several pieces; the true area of this model is 5/6.
    found = auroc_estimate(made(6000))
    assert found.low < 5 / 6 < found.high


def test_without_answers_everything_is_undefined() -> None:
    assert all(np.isnan(value) for value in (auroc(NOTHING), brier(NOTHING), calibration_error(NOTHING)))
    assert np.isnan(kept_accuracy(NOTHING, 0.5))
    for estimate in (accuracy_estimate(NOTHING), auroc_estimate(NOTHING), calibration_estimate(NOTHING)):
        assert (estimate.value, estimate.reason) == (None, "undefined because no answer was checked")
    assert [len(side) for side in risk_coverage(NOTHING)] == [0, 0]


@pytest.mark.parametrize(
    ("score", "weights"), [([0.1, np.nan], [1.0, 1.0]), ([0.1, 0.2], [1.0, 0.0]), ([0.1, 0.2], [1.0])]
)
def test_wrong_rows_are_refused(score: list[float], weights: list[float]) -> None:
    with pytest.raises(ShapeError, match="one finite score, one outcome and one positive weight"):
        Checked.of(np.array(score), np.array([True, False]), np.array(weights))
