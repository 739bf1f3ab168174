import dataclasses

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.strategies.selectors import TopK


def test_takes_the_best_scored_first(view_of):
    scores = np.zeros(8)
    scores[[5, 2, 7]] = [0.9, 0.8, 0.7]
    assert TopK().select(view_of(8, n_labeled=2), scores, 3, np.random.default_rng(0)).tolist() == [5, 2, 7]


def test_passes_over_a_better_scored_labelled_row(view_of):
    scores = np.arange(8)[::-1].astype(float)
    assert TopK().select(view_of(8, n_labeled=2), scores, 2, np.random.default_rng(0)).tolist() == [2, 3]


def test_takes_the_best_scored_row_of_a_group(view_of):
    view = view_of(6, n_labeled=0, groups=np.array([0, 0, 0, 3, 3, 5]))
    scores = np.array([0.1, 0.9, 0.8, 0.2, 0.3, 0.05])
    assert TopK().select(view, scores, 3, np.random.default_rng(0)).tolist() == [1, 4, 5]
    assert TopK().select(view, scores, 5, np.random.default_rng(0)).tolist() == [1, 4, 5, 2, 3]


def test_breaks_ties_evenly(view_of):
    view, rng = view_of(4, n_labeled=0), np.random.default_rng(0)
    taken = np.bincount([TopK().select(view, np.zeros(4), 1, rng)[0] for _ in range(2000)], minlength=4)
    # 500 each expected; five standard deviations are 97.
    assert (abs(taken - 500) < 97).all()


@given(seed=st.integers(0, 999), k=st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_follows_its_rows_when_they_are_permuted(seed, k, view_of):
    rng = np.random.default_rng(seed)
    view, scores, order = view_of(30), rng.random(30), rng.permutation(30)
    moved = dataclasses.replace(view, labels=view.labels[order], is_available=view.is_available[order])
    picks = TopK().select(view, scores, k, np.random.default_rng(0))
    moved_picks = TopK().select(moved, scores[order], k, np.random.default_rng(0))
    assert order[moved_picks].tolist() == picks.tolist()
