import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.actune import AcTune


def view(proba, vectors, n_labeled=2):
    labels = np.where(np.arange(len(proba)) < n_labeled, np.arange(len(proba)) % 2, -1)
    vectors = np.asarray(vectors, dtype=np.float32)
    return PoolView(["t"] * len(labels), vectors, 2, labels, labels < 0, np.asarray(proba, dtype=np.float64))


def three_regions():
    """Ten rows on each of three axes: calm, calm but of two labels, and doubtful; two labelled rows before them."""
    axis = np.concatenate([[0, 1], np.repeat([0, 1, 2], 10)])
    rng = np.random.default_rng(0)
    vectors = np.eye(3)[axis] + rng.normal(0, 0.01, (32, 3))
    sure = np.concatenate([[0.9, 0.9], 0.95 + 0.004 * np.arange(10), np.full(10, 0.95), np.full(10, 0.65)])
    proba = np.column_stack([sure, 1 - sure])
    proba[12:22:2] = proba[12:22:2, ::-1]
    return view(proba, vectors)


def choose(pool, seed=0, **fields):
    return AcTune(**fields).pseudo_label(pool, np.random.default_rng(seed))


def test_the_calmest_region_gives_its_surest_rows():
    rows, targets, _ = choose(three_regions(), n_regions=3, n_calm=1, n_per_region=4)
    assert rows.tolist() == [8, 9, 10, 11]
    assert targets.argmax(axis=1).tolist() == [0] * 4


def test_a_region_of_several_labels_counts_as_uncertain():
    # Without the label entropy (.693 nats) the second region is calmer than the third; with it, in full, it is not:
    # .286 + .693 against .934 + 0.
    rows, _, _ = choose(three_regions(), n_regions=3, n_calm=2, n_per_region=4, beta=0)
    assert set(rows) & set(range(12, 22))
    rows, _, _ = choose(three_regions(), n_regions=3, n_calm=2, n_per_region=4, beta=1)
    assert not set(rows) & set(range(12, 22))


def test_pseudo_labels_weigh_as_much_as_all_labels_together():
    rows, _, weights = choose(three_regions(), n_regions=3, n_calm=2, n_per_region=5)
    assert len(rows) == 10
    np.testing.assert_allclose(weights, 2 / 10)
    np.testing.assert_allclose(choose(three_regions(), n_regions=3, n_calm=2, total=3)[2].sum(), 6)


def test_few_rows_are_all_taken_and_doubtful_ones_are_not():
    pool = view([[0.9, 0.1]] * 2 + [[0.6, 0.4], [0.61, 0.39], [0.3, 0.7]], np.tile([1.0, 0.0], (5, 1)))
    rows, targets, _ = choose(pool)
    assert rows.tolist() == [3, 4]
    assert targets.argmax(axis=1).tolist() == [0, 1]


def test_equal_vectors_leave_regions_empty_without_a_warning():
    rows, _, _ = choose(view([[0.9, 0.1]] * 30, np.tile([1.0, 0.0], (30, 1))))
    assert len(rows) == 5


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="total is 0; allowed is more than 0"):
        AcTune(total=0)
    with pytest.raises(ConfigError, match="n_calm is 0; allowed is 1 or more"):
        AcTune(n_calm=0)
