import dataclasses

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.strategies.selectors import Diverse


def corners(view_of, n_each=20, c=3):
    """Three tight bundles of rows around the axes, none labelled."""
    rng = np.random.default_rng(0)
    embeddings = np.repeat(np.eye(c, 8), n_each, axis=0) + 0.01 * rng.normal(size=(n_each * c, 8))
    view = view_of(n_each * c, n_labeled=0)
    return dataclasses.replace(view, embeddings=embeddings.astype(np.float32))


def test_takes_one_row_of_each_bundle_and_the_best_scored_of_it(view_of):
    scores = np.full(60, 0.5)
    scores[[7, 31, 55]] = [0.9, 0.8, 0.7]
    assert Diverse().select(corners(view_of), scores, 3, np.random.default_rng(0)).tolist() == [7, 31, 55]


def test_takes_the_row_nearest_to_each_centre_when_asked_to(view_of):
    view = corners(view_of)
    picks = Diverse(pick="centre").select(view, np.ones(60), 3, np.random.default_rng(0))
    for start in (0, 20, 40):
        bundle = view.embeddings[start : start + 20]
        nearest = start + int(((bundle - bundle.mean(axis=0)) ** 2).sum(axis=1).argmin())
        assert nearest in picks


def test_considers_only_the_best_scored(view_of):
    scores = np.zeros(60)
    scores[:20] = 1.0
    picks = Diverse(candidates_per_pick=4.0, min_candidates=1).select(
        corners(view_of), scores, 5, np.random.default_rng(0)
    )
    assert set(picks) <= set(range(20))


def test_a_row_without_weight_does_not_pull_a_centre(view_of):
    scores = np.zeros(60)
    scores[[3, 4, 23, 24]] = 1.0
    picks = Diverse(pick="centre").select(corners(view_of), scores, 2, np.random.default_rng(0))
    # The third bundle has no weight, so both centres lie in the first two.
    assert sorted(picks // 20) == [0, 1]


def test_spreads_more_than_the_best_scores_do(view_of):
    rng = np.random.default_rng(5)
    scores = np.repeat([0.9, 0.8, 0.7], 20) + 0.01 * rng.random(60)
    picks = Diverse().select(corners(view_of), scores, 6, np.random.default_rng(0))
    assert set(picks // 20) == {0, 1, 2}


def test_refuses_settings_out_of_range():
    with pytest.raises(ConfigError, match=r"candidates_per_pick is 0.0; allowed is 1 or more"):
        Diverse(candidates_per_pick=0.0)
    with pytest.raises(ConfigError, match="pick is 'worst'; choose from: best, centre"):
        Diverse(pick="worst")
    with pytest.raises(ConfigError, match="n_iterations is -1; allowed is 0 or more"):
        Diverse(n_iterations=-1)
