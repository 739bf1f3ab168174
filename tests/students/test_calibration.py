import numpy as np
import pytest

from llm_al.students.calibration import fit_temperature, folds, out_of_fold, scaled_proba


def test_temperature_without_prior_equals_the_closed_form_of_two_classes() -> None:
    # Logit gap g, right on a share q: the likelihood peaks where sigmoid(g / T) = q, so T = g / log(q / (1 - q)).
    logits = np.array([[3.0, 0.0]] * 10)
    targets = np.array([[1.0, 0.0]] * 8 + [[0.0, 1.0]] * 2)
    found = fit_temperature(logits, targets, np.ones(10), strength=0.0)
    assert found == pytest.approx(3.0 / np.log(4.0), rel=1e-3)


def test_temperature_of_one_label_stays_near_the_expected() -> None:
    found = fit_temperature(np.array([[2.0, 0.0]]), np.array([[0.0, 1.0]]), np.ones(1), expected=1.5, strength=5.0)
    assert 1.5 < found < 1.9


def test_temperature_of_nothing_is_the_expected() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0), expected=1.7) == 1.7


def test_scaling_keeps_the_order_and_rows_sum_to_one() -> None:
    logits = np.array([[2.0, 1.0, -1.0]])
    hot = scaled_proba(logits, 4.0)
    assert hot.sum() == pytest.approx(1.0)
    assert hot[0, 0] > hot[0, 1] > hot[0, 2]
    assert hot[0, 0] == pytest.approx(np.exp(0.5) / (np.exp(0.5) + np.exp(0.25) + np.exp(-0.25)))


def test_folds_spread_each_class_evenly() -> None:
    targets = np.repeat(np.eye(2), [10, 5], axis=0)
    number = folds(targets, 5, np.random.default_rng(0))
    assert np.bincount(number[:10], minlength=5).tolist() == [2] * 5
    assert np.bincount(number[10:], minlength=5).tolist() == [1] * 5


def test_out_of_fold_never_predicts_a_row_that_it_was_fitted_on() -> None:
    targets = np.eye(3)[np.arange(12) % 3]

    def fit_predict(fit_on: np.ndarray, held_out: np.ndarray) -> np.ndarray:
        assert not set(fit_on) & set(held_out)
        assert len(fit_on) + len(held_out) == 12
        return np.repeat(held_out[:, None], 3, axis=1).astype(float)

    logits = out_of_fold(fit_predict, targets, n_folds=4, rng=np.random.default_rng(0))
    assert logits[:, 0].tolist() == list(range(12))
