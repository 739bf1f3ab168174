import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.pseudo_labels.confident import class_thresholds, in_doubt


def test_thresholds_are_the_mean_confidence_of_each_class():
    proba = np.array([[0.9, 0.1, 0.0], [0.5, 0.5, 0.0], [0.2, 0.8, 0.0], [0.3, 0.3, 0.4]])
    np.testing.assert_allclose(class_thresholds(proba, np.array([0, 0, 1, -1])), [0.7, 0.8, 1.0])


def test_a_label_is_in_doubt_when_another_class_is_likely():
    # Thresholds .7 and .5: the second row reaches that of class 1 alone, the third that of class 0 alone.
    proba = np.array([[0.9, 0.1], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]])
    assert in_doubt(proba, np.array([0, 0, 1, 1])).tolist() == [False, True, True, False]


def test_it_agrees_with_cleanlab():
    cleanlab = pytest.importorskip("cleanlab.count")
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=400)
    proba = np.abs(np.eye(4)[truth] + rng.normal(scale=0.4, size=(400, 4)))
    proba /= proba.sum(axis=1, keepdims=True)
    labels = np.where(rng.random(400) < 0.25, rng.integers(4, size=400), truth)
    joint = cleanlab.compute_confident_joint(labels, proba, calibrate=False)
    # The library counts a row without a likely class on the diagonal and puts at least one there.
    assert in_doubt(proba, labels).sum() == joint.sum() - np.trace(joint)


def test_no_label_is_not_in_doubt_and_nothing_at_all_is_fine():
    assert not in_doubt(np.full((3, 2), 0.5), np.full(3, -1)).any()
    assert in_doubt(np.zeros((0, 2)), np.zeros(0, dtype=np.int64)).shape == (0,)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="there are 2 labels; give each row a label"):
        in_doubt(np.full((3, 2), 0.5), np.zeros(2, dtype=np.int64))
