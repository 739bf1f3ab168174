import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pseudo_labels.ust import Ust
from tests.fakes.views import make_view


def choose(view, seed=0, **fields):
    return Ust(**fields).pseudo_label(view, np.random.default_rng(seed))


def clusters(n=90, n_labeled=9, shares=(1 / 3, 1 / 3, 1 / 3)):
    """Three tight clusters around the first three axes; the student is right about all of them."""
    import dataclasses

    view = make_view(n, n_labeled=n_labeled)
    rng = np.random.default_rng(0)
    classes = np.concatenate([np.arange(n_labeled) % 3, rng.choice(3, n - n_labeled, p=shares)])
    vectors = np.eye(8)[classes] + rng.normal(0, 0.05, (n, 8))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    proba = np.eye(3)[classes] * 0.7 + 0.1
    return dataclasses.replace(view, embeddings=vectors.astype(np.float32), proba=proba), classes


def test_draws_so_many_rows_of_every_class_and_all_of_a_small_one():
    view, classes = clusters(300, shares=(0.8, 0.18, 0.02))
    rows, targets, _ = choose(view, n_per_class=20)
    n_rare = int((classes[9:] == 2).sum())
    assert n_rare < 20
    assert targets.sum(axis=0).tolist() == [20, 20, n_rare]
    np.testing.assert_array_equal(targets.argmax(axis=1), classes[rows])


def test_weights_are_the_log_of_one_over_the_variance_between_their_bounds():
    view, _ = clusters()
    _, _, weights = choose(view)
    # A probability varies by at most .25, and by at least nothing.
    assert weights.min() >= 0.1 * np.log(1 / (0.25 + 1e-8))
    assert weights.max() <= 0.1 * np.log(1e8) + 1e-9
    np.testing.assert_allclose(choose(view, alpha=0.3)[2], 3 * weights)


def test_a_row_between_two_classes_weighs_less_than_one_in_the_middle_of_its_own():
    view, _ = clusters()
    vectors = view.embeddings.copy()
    vectors[20] = (np.eye(8)[0] + np.eye(8)[1]) / np.sqrt(2)
    object.__setattr__(view, "embeddings", vectors)
    rows, _, weights = choose(view, n_per_class=100)
    assert weights[rows == 20] < np.median(weights)


def test_rows_of_a_sub_pool_are_positions_of_the_pool():
    view, classes = clusters(300)
    rows, targets, _ = choose(view, n_sample=50)
    assert 30 < len(rows) <= 50
    np.testing.assert_array_equal(targets.argmax(axis=1), classes[rows])


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="alpha is 0; allowed is more than 0; to do without"):
        Ust(alpha=0)
    with pytest.raises(ConfigError, match="dropout is 1; allowed is more than 0 and less than 1"):
        Ust(dropout=1)
    with pytest.raises(ConfigError, match="n_passes is 1; allowed is 2 or more"):
        Ust(n_passes=1)
