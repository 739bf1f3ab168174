import numpy as np
import pytest

from llm_al.errors import ShapeError, StudentError
from llm_al.students._linear import Linear, fit_linear, penalty_for
from llm_al.students.calibration import scaled_proba

RNG = np.random.default_rng(0)
POINTS = np.vstack([RNG.normal(loc, 0.3, size=(20, 2)) for loc in ((0, 2), (2, 0), (-2, -2))])
CLASSES = np.repeat([0, 1, 2], 20)


def test_three_blobs_are_told_apart() -> None:
    linear = fit_linear(POINTS, np.eye(3)[CLASSES], np.ones(60), C=10.0)
    assert (linear.logits(POINTS).argmax(axis=1) == CLASSES).all()


def test_two_classes_get_a_row_each_and_probabilities_of_the_sigmoid() -> None:
    from sklearn.linear_model import LogisticRegression

    points, classes = POINTS[:40], CLASSES[:40]
    expected = LogisticRegression(C=1.0, tol=1e-6, max_iter=1000).fit(points, classes).predict_proba(points)
    linear = fit_linear(points, np.eye(2)[classes], np.ones(40), C=1.0)
    assert scaled_proba(linear.logits(points), 1.0) == pytest.approx(expected, abs=1e-3)


def test_an_even_soft_target_gives_an_even_answer() -> None:
    targets = np.vstack([np.eye(2)[CLASSES[:40]], [[0.5, 0.5]] * 20])
    linear = fit_linear(np.vstack([POINTS[:40], np.full((20, 2), 1.0)]), targets, np.ones(60), C=10.0)
    assert scaled_proba(linear.logits(np.array([[1.0, 1.0]])), 1.0)[0] == pytest.approx([0.5, 0.5], abs=0.03)


def test_a_weight_of_two_counts_as_two_rows() -> None:
    targets = np.eye(2)[CLASSES[:40]]
    doubled = fit_linear(np.vstack([POINTS[:40], POINTS[:20]]), np.vstack([targets, targets[:20]]), np.ones(60), C=1.0)
    weighted = fit_linear(POINTS[:40], targets, np.repeat([2.0, 1.0], 20), C=1.0)
    assert weighted.coef == pytest.approx(doubled.coef, abs=1e-3)


def test_classes_without_examples_share_laplaces_probability() -> None:
    targets = np.eye(5)[CLASSES[:40]]
    proba = scaled_proba(fit_linear(POINTS[:40], targets, np.ones(40), C=1.0).logits(POINTS), 1.0)
    assert proba[:, 2:] == pytest.approx(3 / 45 / 3)
    assert proba.sum(axis=1) == pytest.approx(1.0)


def test_one_class_only_gets_the_rest() -> None:
    targets = np.eye(3)[np.zeros(7, dtype=int)]
    proba = scaled_proba(fit_linear(POINTS[:7], targets, np.ones(7), C=1.0).logits(POINTS[:2]), 1.0)
    assert proba[0] == pytest.approx([0.8, 0.1, 0.1])


def test_vectors_of_another_encoder_are_refused() -> None:
    linear = fit_linear(POINTS, np.eye(3)[CLASSES], np.ones(60), C=1.0)
    with pytest.raises(ShapeError, match=r"shape \(1, 3\); the classifier was trained on 2 dimensions"):
        linear.logits(np.zeros((1, 3)))


def test_arrays_rebuild_the_classifier() -> None:
    linear = fit_linear(POINTS, np.eye(4)[CLASSES], np.ones(60), C=1.0)
    again = Linear.from_arrays(linear.arrays())
    assert np.array_equal(again.logits(POINTS), linear.logits(POINTS))
    with pytest.raises(StudentError, match="no array 'coef'"):
        Linear.from_arrays({"absent_share": np.zeros(1)})


def test_more_than_two_classes_get_probabilities_of_the_library() -> None:
    from sklearn.linear_model import LogisticRegression

    expected = LogisticRegression(C=3.0, tol=1e-6, max_iter=1000).fit(POINTS, CLASSES).predict_proba(POINTS)
    linear = fit_linear(POINTS, np.eye(3)[CLASSES], np.ones(60), C=3.0)
    assert scaled_proba(linear.logits(POINTS), 1.0) == pytest.approx(expected, abs=1e-3)


def test_a_soft_target_is_a_weighted_row_for_each_class() -> None:
    soft = np.vstack([np.eye(3)[CLASSES], [[0.7, 0.3, 0.0]]])
    split = np.vstack([np.eye(3)[CLASSES], np.eye(3)[[0, 1]]])
    points = np.vstack([POINTS, [[1.0, 1.0]]])
    one = fit_linear(points, soft, np.ones(61), C=5.0)
    two = fit_linear(np.vstack([points, points[-1:]]), split, np.r_[np.ones(60), 0.7, 0.3], C=5.0)
    assert one.logits(POINTS) == pytest.approx(two.logits(POINTS), abs=1e-2)


def test_the_penalty_grows_with_labels_a_class() -> None:
    assert [penalty_for(n, 10) for n in (0, 50, 100, 500, 9000)] == [100.0, 100.0, 50.0, 10.0, 10.0]
