import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.hast import Hast
from llm_al.pseudo_labels.none import NoPseudo


def view(embeddings, labels, proba, n_classes=2):
    embeddings = np.asarray(embeddings, dtype=np.float32)
    embeddings = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    labels = np.asarray(labels, dtype=np.int64)
    proba = None if proba is None else np.asarray(proba, dtype=np.float64)
    return PoolView([f"t{i}" for i in range(len(labels))], embeddings, n_classes, labels, labels < 0, proba)


def two_clusters(n=20, confidence=0.8, labelled=0):
    """The first half points east and is predicted 0, the second half points north and is predicted 1."""
    rng = np.random.default_rng(0)
    half = np.arange(n) >= n // 2
    embeddings = np.where(half[:, None], [0.0, 1.0], [1.0, 0.0]) + rng.normal(0, 0.02, (n, 2))
    proba = np.where(half[:, None], [1 - confidence, confidence], [confidence, 1 - confidence])
    labels = np.full(n, -1)
    labels[:labelled] = 0
    return embeddings, labels, proba


def label(pool, seed=0, **fields):
    return Hast(**fields).pseudo_label(pool, np.random.default_rng(seed))


def test_agreeing_confident_rows_are_kept():
    rows, targets, weights = label(view(*two_clusters()), n_neighbours=6)
    assert rows.tolist() == list(range(20))
    assert targets.argmax(axis=1).tolist() == [0] * 10 + [1] * 10
    # Balanced classes: a = 10 / (1 + e^0) = 5, times beta .1.
    np.testing.assert_allclose(weights, 0.5)


def test_a_row_that_differs_from_its_neighbours_is_left_out():
    embeddings, labels, proba = two_clusters()
    proba[3] = [0.1, 0.9]
    rows, _, _ = label(view(embeddings, labels, proba), n_neighbours=6)
    assert rows.tolist() == [i for i in range(20) if i != 3]


def test_exactly_one_half_is_not_enough():
    assert not len(label(view(*two_clusters(confidence=0.5)), n_neighbours=6)[0])
    # Two neighbours each: one for and one against the first two rows, two against the last.
    same = view(np.ones((3, 2)), [-1] * 3, [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    assert not len(label(same, n_neighbours=3)[0])


def test_a_row_does_not_vote_for_itself_even_among_exact_duplicates():
    # One neighbour each. The last row's is predicted otherwise; its own vote would have kept it.
    pool = view(np.ones((3, 2)), [-1] * 3, [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    rows, _, _ = label(pool, n_neighbours=2)
    assert 2 not in rows


def test_labelled_rows_are_never_kept_and_do_not_vote_by_default():
    embeddings, labels, proba = two_clusters(labelled=4)
    rows, _, _ = label(view(embeddings, labels, proba), n_neighbours=6)
    assert rows.tolist() == list(range(4, 20))
    labels[:4] = 1
    np.testing.assert_array_equal(label(view(embeddings, labels, proba), n_neighbours=6)[0], rows)


def test_labelled_neighbours_can_outvote_predictions():
    # Five rows at one place, two of them labelled 1, all predicted 0.
    pool = view(np.ones((5, 2)), [1, 1, -1, -1, -1], np.tile([0.9, 0.1], (5, 1)))
    assert label(pool, n_neighbours=5)[0].tolist() == [2, 3, 4]
    assert label(pool, n_neighbours=5, labelled_weight=3.0)[0].tolist() == []


def test_class_weights_match_the_worked_example():
    # 100, 50 and 10 kept rows: 3.8, 5.1 and 9.9 in the paper's code.
    rng = np.random.default_rng(0)
    counts = [100, 50, 10]
    classes = np.repeat([0, 1, 2], counts)
    embeddings = np.eye(3)[classes] + rng.normal(0, 0.01, (160, 3))
    proba = np.eye(3)[classes] * 0.85 + 0.05
    pool = view(embeddings, np.full(160, -1), proba, n_classes=3)
    rows, _, weights = label(pool, n_neighbours=6, beta=1.0)
    assert len(rows) == 160
    np.testing.assert_allclose(weights[[0, 100, 150]], [3.846, 5.150, 9.866], atol=2e-3)
    _, _, plain = label(pool, n_neighbours=6, class_weights=False)
    np.testing.assert_allclose(plain, 0.1)


def test_a_huge_imbalance_does_not_overflow():
    counts = [3000, 2]
    classes = np.repeat([0, 1], counts)
    pool = view(np.eye(2)[classes] + 1e-3, np.full(3002, -1), np.eye(2)[classes] * 0.8 + 0.1)
    _, _, weights = label(pool, n_neighbours=2, beta=1.0)
    assert np.isfinite(weights).all()
    assert weights.max() == pytest.approx(10.0)


def test_a_cap_keeps_the_most_confident_of_each_class():
    embeddings, labels, proba = two_clusters()
    proba[2], proba[15] = [0.99, 0.01], [0.02, 0.98]
    rows, _, _ = label(view(embeddings, labels, proba), n_neighbours=6, max_per_class=1)
    assert rows.tolist() == [2, 15]


def test_nothing_is_kept_without_a_student_or_without_rows():
    embeddings, labels, _ = two_clusters()
    rows, targets, weights = label(view(embeddings, labels, None))
    assert (rows.shape, targets.shape, weights.shape) == ((0,), (0, 2), (0,))
    assert not len(label(view(np.ones((1, 2)), [-1], [[0.9, 0.1]]))[0])
    assert not len(label(view(np.ones((2, 2)), [0, 1], [[0.9, 0.1]] * 2))[0])


def test_no_pseudo_chooses_nothing():
    rows, targets, weights = NoPseudo().pseudo_label(view(*two_clusters()), np.random.default_rng(0))
    assert (rows.shape, targets.shape, weights.shape) == ((0,), (0, 2), (0,))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 60), st.integers(2, 5), st.integers(0, 100))
def test_kept_rows_are_unlabelled_confident_and_repeat_with_the_seed(n, c, seed):
    rng = np.random.default_rng(seed)
    labels = np.where(rng.random(n) < 0.3, rng.integers(c, size=n), -1)
    pool = view(rng.normal(size=(n, 4)), labels, rng.dirichlet(np.full(c, 0.3), n), n_classes=c)
    before = pool.embeddings.copy()
    rows, targets, weights = label(pool, seed, n_sample=30, labelled_weight=2.0)
    again = label(pool, seed, n_sample=30, labelled_weight=2.0)
    np.testing.assert_array_equal(rows, again[0])
    assert (labels[rows] < 0).all()
    assert len(set(rows.tolist())) == len(rows) == len(weights)
    assert (pool.proba[rows].max(axis=1) > 0.5).all()
    np.testing.assert_array_equal(targets.argmax(axis=1), pool.proba[rows].argmax(axis=1))
    assert (weights > 0).all()
    np.testing.assert_array_equal(before, pool.embeddings)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_neighbours": 1}, "n_neighbours is 1"),
        ({"beta": 0.0}, "beta is 0.0"),
        ({"max_per_class": 0}, "max_per_class is 0"),
    ],
)
def test_wrong_settings_are_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        Hast(**fields)
