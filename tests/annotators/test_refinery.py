import numpy as np
import pytest

from llm_al.annotators.refinery import refined_demonstrations
from llm_al.errors import ShapeError


def _clusters(seed=0):
    """Two classes of two groups each, 20 rows a group."""
    rng = np.random.default_rng(seed)
    centres = np.eye(4)
    vectors = np.repeat(centres, 20, axis=0) + rng.normal(size=(80, 4)) * 0.05
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.repeat([0, 0, 1, 1], 20)
    sure = rng.uniform(0.6, 1.0, size=80)
    proba = np.where(labels[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
    return vectors, proba, labels


def test_each_group_of_each_class_has_its_demonstration():
    vectors, proba, labels = _clusters()
    rows = refined_demonstrations(vectors, proba, labels, n_demonstrations=4, share=0.5)
    assert sorted(rows // 20) == [0, 1, 2, 3]


def test_only_the_surest_rows_on_which_both_agree_are_taken():
    vectors, proba, labels = _clusters()
    said = labels.copy()
    said[::3] = 1 - said[::3]
    rows = refined_demonstrations(vectors, proba, said, n_demonstrations=20, share=0.2)
    assert (proba[rows].argmax(axis=1) == said[rows]).all()
    for c in (0, 1):
        agreeing = np.flatnonzero((said == c) & (proba.argmax(axis=1) == c))
        limit = np.sort(proba[agreeing, c])[-int(np.ceil(0.2 * len(agreeing)))]
        assert proba[rows[said[rows] == c], c].min() >= limit


def test_fewer_rows_than_demonstrations_are_all_taken_once():
    vectors, proba, labels = _clusters()
    rows = refined_demonstrations(vectors, proba, labels, n_demonstrations=500, share=0.1)
    assert len(rows) == len(set(rows.tolist())) == 8


def test_equal_texts_give_one_demonstration():
    vectors, proba = np.ones((6, 1)), np.tile([0.9, 0.1], (6, 1))
    assert len(refined_demonstrations(vectors, proba, np.zeros(6, dtype=np.int64), share=1.0)) == 1


def test_a_class_without_agreement_has_none():
    vectors, proba, labels = _clusters()
    missing = np.where(labels == 1, -1, labels)
    assert set(labels[refined_demonstrations(vectors, proba, missing)]) == {0}
    assert len(refined_demonstrations(vectors, proba, np.full(80, -1))) == 0


def test_lengths_are_checked():
    with pytest.raises(ShapeError, match="got 2 vectors, 2 rows of proba and 1 labels"):
        refined_demonstrations(np.eye(2), np.eye(2), np.zeros(1, dtype=np.int64))
