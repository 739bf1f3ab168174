import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.strategies import _kmeans


@pytest.fixture
def bundles():
    rng = np.random.default_rng(0)
    return (np.repeat(np.eye(4, 6), 50, axis=0) + 0.02 * rng.normal(size=(200, 6))).astype(np.float32)


def test_finds_the_means_of_separate_bundles(bundles):
    found = _kmeans.cluster(bundles, np.arange(200), 4, np.random.default_rng(0))
    for start in range(0, 200, 50):
        (index,) = set(found.assignment[start : start + 50])
        np.testing.assert_allclose(found.centres[index], bundles[start : start + 50].mean(axis=0), atol=1e-5)


def test_distances_are_those_to_the_nearest_centre(bundles):
    found = _kmeans.cluster(bundles, np.arange(200), 7, np.random.default_rng(0))
    brute = ((bundles[:, None] - found.centres[None]) ** 2).sum(-1)
    np.testing.assert_allclose(found.distances, brute.min(axis=1), atol=1e-5)
    np.testing.assert_array_equal(found.assignment, brute.argmin(axis=1))


def test_gives_no_more_centres_than_distinct_points():
    points = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    assert len(_kmeans.fit_centres(points, 8, np.random.default_rng(0))) == 3


def test_weighs_points():
    points = np.array([[0.0], [1.0]], dtype=np.float32)
    centre = _kmeans.fit_centres(points, 1, np.random.default_rng(0), weights=np.array([3.0, 1.0]))
    assert centre[0, 0] == pytest.approx(0.25)


def test_without_steps_centres_are_points(bundles):
    centres = _kmeans.fit_centres(bundles, 9, np.random.default_rng(0), n_iterations=0)
    assert {tuple(centre) for centre in centres} <= {tuple(point) for point in bundles}


def test_fits_on_a_subsample_of_a_large_pool(bundles, monkeypatch):
    monkeypatch.setattr(_kmeans, "_FIT_ROWS", 80)
    monkeypatch.setattr(_kmeans, "_FIT_ROWS_PER_CLUSTER", 5)
    monkeypatch.setattr(_kmeans, "_SEED_ROWS", 50)
    found = _kmeans.cluster(bundles, np.arange(200), 4, np.random.default_rng(0))
    assert len(set(found.assignment)) == 4
    assert all(len(set(found.assignment[start : start + 50])) == 1 for start in range(0, 200, 50))


def test_gathers_runs_and_scattered_rows_alike(bundles):
    np.testing.assert_array_equal(_kmeans.gather(bundles, np.arange(5, 9)), bundles[5:9])
    np.testing.assert_array_equal(_kmeans.gather(bundles, np.array([2, 5, 7])), bundles[[2, 5, 7]])
    assert _kmeans.gather(bundles, np.arange(0)).shape == (0, 6)


def test_refuses_embeddings_that_are_no_matrix():
    with pytest.raises(ShapeError, match=r"embeddings have shape \(4,\); expected \(n, d\)"):
        _kmeans.gather(np.zeros(4, dtype=np.float32), np.arange(4))
