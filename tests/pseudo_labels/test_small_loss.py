import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.pseudo_labels.small_loss import CLEAN, clean_probability


def _noisy(seed=0, n=600, c=4, rate=0.3):
    rng = np.random.default_rng(seed)
    truth = rng.integers(c, size=n)
    wrong = rng.random(n) < rate
    labels = np.where(wrong, (truth + rng.integers(1, c, size=n)) % c, truth)
    # Class 0 is hard: the student is less sure of it throughout.
    logits = rng.normal(size=(n, c)) * 0.5
    logits[np.arange(n), truth] += np.where(truth == 0, 2.0, 5.0)
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return proba, labels, ~wrong


def test_planted_mistakes_are_told_from_clean_labels():
    proba, labels, is_right = _noisy()
    clean = clean_probability(proba, labels) > CLEAN
    assert is_right[clean].mean() > 0.97
    assert clean[is_right].mean() > 0.8


def test_a_hard_class_is_not_emptied():
    proba, labels, is_right = _noisy()
    hard = (labels == 0) & is_right
    assert (clean_probability(proba, labels)[hard] > CLEAN).mean() > 0.5


def test_missing_labels_are_never_clean_and_change_nothing_for_others():
    proba, labels, _ = _noisy()
    some = labels.copy()
    some[::2] = -1
    clean = clean_probability(proba, some)
    assert (clean[::2] == 0).all()
    np.testing.assert_allclose(clean[1::2], clean_probability(proba[1::2], labels[1::2]))


def test_equal_losses_and_few_labels_speak_against_nothing():
    np.testing.assert_array_equal(clean_probability(np.full((9, 2), 0.5), np.zeros(9, dtype=np.int64)), np.ones(9))
    np.testing.assert_array_equal(clean_probability(np.eye(2), np.array([0, 0])), [1.0, 1.0])
    assert clean_probability(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_a_probability_of_zero_is_a_finite_loss():
    proba = np.array([[1.0, 0.0]] * 9 + [[0.0, 1.0]])
    clean = clean_probability(proba, np.zeros(10, dtype=np.int64))
    assert np.isfinite(clean).all()
    assert clean[-1] < 0.5 < clean[0]


def test_same_seed_same_answer():
    proba, labels, _ = _noisy(1)
    np.testing.assert_array_equal(clean_probability(proba, labels, seed=3), clean_probability(proba, labels, seed=3))


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match=r"proba has shape \(2, 2\) and there are 3 labels"):
        clean_probability(np.eye(2), np.zeros(3, dtype=np.int64))
    with pytest.raises(ShapeError, match="one column a class"):
        clean_probability(np.eye(2), np.array([0, 2]))
