import dataclasses

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.strategies.selectors import ClusterMargin


@pytest.fixture
def view(view_of):
    """Bundles of 30, 20 and 10 rows around three axes, none labelled."""
    rng = np.random.default_rng(0)
    embeddings = np.repeat(np.eye(3, 8), [30, 20, 10], axis=0) + 0.01 * rng.normal(size=(60, 8))
    return dataclasses.replace(view_of(60, n_labeled=0), embeddings=embeddings.astype(np.float32))


def test_goes_round_from_the_smallest_cluster_and_takes_the_best_scored(view):
    scores = np.random.default_rng(1).random(60)
    picks = ClusterMargin(candidates_per_pick=8.0, n_clusters=3).select(view, scores, 7, np.random.default_rng(0))
    bundles = [range(50, 60), range(30, 50), range(30)]
    best = [sorted(bundle, key=lambda row: -scores[row]) for bundle in bundles]
    shortlisted = set(np.argsort(-scores)[:56])
    best = [[row for row in bundle if row in shortlisted] for bundle in best]
    assert picks.tolist() == [best[0][0], best[1][0], best[2][0], best[0][1], best[1][1], best[2][1], best[0][2]]


def test_considers_only_the_best_scored(view):
    scores = np.zeros(60)
    scores[:5] = 1.0
    assert set(ClusterMargin().select(view, scores, 4, np.random.default_rng(0))) <= set(range(5))


def test_clusters_do_not_depend_on_the_callers_randomness(view):
    scores = np.random.default_rng(1).random(60)
    first, second = (ClusterMargin().select(view, scores, 9, np.random.default_rng(seed)) for seed in (0, 1))
    np.testing.assert_array_equal(first, second)


def test_refuses_settings_out_of_range():
    with pytest.raises(ConfigError, match=r"candidates_per_pick is 0.9; allowed is 1 or more"):
        ClusterMargin(candidates_per_pick=0.9)
    with pytest.raises(ConfigError, match="n_clusters is 0; allowed is 1 or more"):
        ClusterMargin(n_clusters=0)
