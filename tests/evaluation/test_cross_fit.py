import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.evaluation.cross_fit import CrossFit


def clusters(n=120, c=3, seed=0):
    rng = np.random.default_rng(seed)
    gold = np.arange(n) % c
    vectors = np.eye(c, 8)[gold] + 0.15 * rng.normal(size=(n, 8))
    return [f"id-{i}" for i in range(n)], vectors.astype(np.float32), gold


def test_labels_of_clusters_are_found_without_their_own_label():
    ids, vectors, gold = clusters()
    proba = CrossFit().out_of_fold(ids, vectors, np.eye(3)[gold])
    assert (proba.argmax(axis=1) == gold).mean() > 0.9
    np.testing.assert_allclose(proba.sum(axis=1), 1.0)


def test_a_wrong_label_does_not_reach_its_own_prediction():
    ids, vectors, gold = clusters()
    right, wrong = np.eye(3)[gold], np.eye(3)[gold]
    wrong[7] = np.eye(3)[(gold[7] + 1) % 3]
    a, b = (CrossFit().out_of_fold(ids, vectors, targets) for targets in (right, wrong))
    np.testing.assert_allclose(a[7], b[7])
    assert not np.allclose(a[8:], b[8:])


def test_order_does_not_matter_and_folds_stay_when_others_go():
    ids, vectors, gold = clusters()
    folds = CrossFit().folds(ids)
    assert list(CrossFit().folds(ids[50:])) == list(folds[50:])
    proba = CrossFit().out_of_fold(ids, vectors, np.eye(3)[gold])
    back = CrossFit().out_of_fold(ids[::-1], vectors[::-1], np.eye(3)[gold[::-1]])
    np.testing.assert_allclose(proba, back[::-1], atol=2e-3)


def test_unseen_texts_get_the_mean_of_the_fits():
    ids, vectors, gold = clusters()
    known, unseen = CrossFit().fit(ids[:90], vectors[:90], np.eye(3)[gold[:90]], unseen=vectors[90:])
    np.testing.assert_allclose(known, CrossFit().out_of_fold(ids[:90], vectors[:90], np.eye(3)[gold[:90]]))
    assert (unseen.argmax(axis=1) == gold[90:]).mean() > 0.9
    np.testing.assert_allclose(unseen.sum(axis=1), 1.0)


def test_soft_targets_count_by_their_share():
    ids, vectors, gold = clusters(n=300)
    soft = 0.7 * np.eye(3)[gold] + 0.3 * np.eye(3)[(gold + 1) % 3]
    proba = CrossFit().out_of_fold(ids, vectors, soft)
    np.testing.assert_allclose(np.mean([row[g] for row, g in zip(proba, gold, strict=True)]), 0.7, atol=0.05)


def test_classes_without_an_example_share_laplaces_estimate():
    ids, vectors, gold = clusters(n=30, c=2)
    proba = CrossFit().out_of_fold(ids, vectors, np.eye(4)[gold])
    sizes = np.array([(CrossFit().folds(ids) != fold).sum() for fold in CrossFit().folds(ids)])
    np.testing.assert_allclose(proba[:, 2], 1.0 / (sizes + 4))


def test_one_label_and_no_label():
    one = CrossFit().out_of_fold(["a"], np.ones((1, 4), dtype=np.float32), np.eye(2)[[0]])
    np.testing.assert_allclose(one, [[0.5, 0.5]])
    assert CrossFit().out_of_fold([], np.zeros((0, 4), dtype=np.float32), np.zeros((0, 2))).shape == (0, 2)


def test_one_class_only_is_nearly_sure():
    ids, vectors, _ = clusters()
    proba = CrossFit().out_of_fold(ids, vectors, np.tile([1.0, 0.0], (120, 1)))
    assert proba[:, 0].min() > 0.98


def test_bad_input_is_named():
    with pytest.raises(ConfigError, match="n_folds is 1"):
        CrossFit(n_folds=1)
    with pytest.raises(ConfigError, match="cross-fitting C is 0"):
        CrossFit(C=0)
    with pytest.raises(ShapeError, match="got 1 ids, 2 vectors and 2 targets"):
        CrossFit().out_of_fold(["a"], np.ones((2, 3), dtype=np.float32), np.ones((2, 1)))
