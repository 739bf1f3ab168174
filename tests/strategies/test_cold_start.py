import dataclasses

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.strategies import cold_start
from llm_al.strategies.cold_start import Centres, Typical, typicality


@pytest.fixture
def view(view_of):
    """Bundles of 30, 20 and 10 rows around three axes, and three rows far out; none labelled."""
    rng = np.random.default_rng(0)
    embeddings = np.repeat(np.eye(3, 8), [30, 20, 10], axis=0) + 0.05 * rng.normal(size=(60, 8))
    embeddings = np.concatenate([embeddings, -5.0 * np.eye(3, 8, 4)])
    return dataclasses.replace(view_of(63, n_labeled=0, with_proba=False), embeddings=embeddings.astype(np.float32))


def bundle_of(rows):
    return np.digitize(rows, [30, 50, 60]).tolist()


def labeled(view, rows):
    labels = view.labels.copy()
    labels[rows] = 0
    return dataclasses.replace(view, labels=labels, is_available=labels < 0)


def test_typicality_is_one_over_the_mean_distance_to_the_nearest():
    points = np.array([[0.0], [1.0], [3.0], [7.0]], dtype=np.float32)
    # Two neighbours each: (1 + 3)/2, (1 + 2)/2, (2 + 3)/2, (4 + 6)/2.
    np.testing.assert_allclose(typicality(points, 20), 1 / np.array([2.0, 1.5, 2.5, 5.0]), rtol=1e-4)


def test_typicality_of_duplicates_is_finite_and_of_a_lone_point_zero():
    assert np.isfinite(typicality(np.ones((3, 2), dtype=np.float32), 2)).all()
    assert typicality(np.ones((1, 2), dtype=np.float32), 2).tolist() == [0.0]


def test_typicality_is_the_same_in_blocks(monkeypatch):
    points = np.random.default_rng(0).random((50, 3), dtype=np.float32)
    whole = typicality(points, 5)
    monkeypatch.setattr(cold_start, "BLOCK_ROWS", 1)
    np.testing.assert_allclose(typicality(points, 5), whole, rtol=1e-5)


def test_typical_takes_the_largest_clusters_first_and_no_outlier(view):
    for seed in range(5):
        picks, scores = Typical(max_clusters=6).query(view, 6, np.random.default_rng(seed))
        assert 3 not in bundle_of(picks)
        assert (scores > 0).all()


def test_typical_takes_outliers_when_nothing_else_can_serve(view):
    assert sorted(Typical().query(view, 63, np.random.default_rng(0))[0]) == list(range(63))
    assert len(Typical(min_cluster_size=1000).query(view, 5, np.random.default_rng(0))[0]) == 5


def test_typical_pick_is_the_densest_row_of_its_cluster(view):
    only = dataclasses.replace(view, is_available=np.arange(63) < 30)
    (pick,), (score,) = Typical(n_neighbours=4).query(only, 1, np.random.default_rng(0))
    densities = typicality(view.embeddings[:30], 4)
    assert pick == densities.argmax()
    assert score == pytest.approx(densities.max())


def test_centres_take_the_row_nearest_to_each_mean(view):
    only = dataclasses.replace(view, is_available=np.arange(63) < 60)
    picks, _ = Centres().query(only, 3, np.random.default_rng(0))
    assert sorted(bundle_of(picks)) == [0, 1, 2]
    for start, stop in ((0, 30), (30, 50), (50, 60)):
        bundle = view.embeddings[start:stop]
        assert start + int(((bundle - bundle.mean(axis=0)) ** 2).sum(axis=1).argmin()) in picks


@pytest.mark.parametrize("strategy", [Typical(max_clusters=3), Centres(max_clusters=3)], ids=repr)
def test_clusters_without_labels_come_first(strategy, view):
    only = dataclasses.replace(view, is_available=np.arange(63) < 60)
    half = labeled(only, [1, 2, 3])
    half = dataclasses.replace(half, is_available=half.is_available & (np.arange(63) < 60))
    picks, _ = strategy.query(half, 3, np.random.default_rng(0))
    # The bundle of rows 0-29 is the largest, and has labels.
    assert bundle_of(picks) == [1, 2, 0]


@pytest.mark.parametrize("strategy", [Typical(max_clusters=2), Centres(max_clusters=2)], ids=repr)
def test_more_picks_than_clusters_go_round(strategy, view):
    only = dataclasses.replace(view, is_available=(np.arange(63) < 20) | ((np.arange(63) >= 30) & (np.arange(63) < 40)))
    picks, _ = strategy.query(only, 6, np.random.default_rng(0))
    assert bundle_of(picks) == [0, 1, 0, 1, 0, 1]


def test_refuses_settings_out_of_range():
    with pytest.raises(ConfigError, match="max_clusters is 0; allowed is 1 or more; raise it"):
        Centres(max_clusters=0)
    with pytest.raises(ConfigError, match="n_neighbours is 0; allowed is 1 or more"):
        Typical(n_neighbours=0)
