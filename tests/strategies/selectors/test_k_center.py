import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.errors import ConfigError
from llm_al.strategies.selectors import KCenter, k_center


def greedy(points, labeled, k):
    """The textbook: all distances, at every pick anew."""
    centres, chosen = list(labeled), []
    for _ in range(k):
        nearest = ((points[:, None] - points[centres][None]) ** 2).sum(-1).min(axis=1)
        nearest[centres] = -1.0
        chosen.append(int(nearest.argmax()))
        centres.append(chosen[-1])
    return chosen


@given(n=st.integers(2, 60), n_labeled=st.integers(1, 5), seed=st.integers(0, 999), data=st.data())
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("front", [1, 3, 1000])
def test_picks_what_the_textbook_picks(front, n, n_labeled, seed, data, view_of):
    n_labeled = min(n_labeled, n - 1)
    view = view_of(n, n_labeled=n_labeled, seed=seed)
    k = data.draw(st.integers(1, max(1, n - n_labeled - 1)))
    with pytest.MonkeyPatch.context() as patch:
        # Passes over the pool at every pick, now and then, or once.
        patch.setattr(k_center, "_FRONT_ROWS", front)
        picks = KCenter().select(view, np.zeros(n), k, np.random.default_rng(0))
    if k < n - n_labeled:
        assert picks.tolist() == greedy(view.embeddings.astype(float), range(n_labeled), k)


def test_starts_with_the_best_score_when_nothing_is_labelled(view_of):
    view, scores = view_of(30, n_labeled=0), np.zeros(30)
    scores[12] = 1.0
    picks = KCenter().select(view, scores, 5, np.random.default_rng(0))
    assert picks.tolist() == [12, *greedy(view.embeddings.astype(float), [12], 4)]


def test_reads_pool_and_labelled_rows_in_blocks_with_the_same_result(view_of, monkeypatch):
    view = view_of(50, n_labeled=7)
    whole = KCenter().select(view, np.zeros(50), 10, np.random.default_rng(0))
    monkeypatch.setattr("llm_al.strategies._kmeans.BLOCK_ROWS", 4)
    monkeypatch.setattr(k_center, "_CENTRES_AT_ONCE", 2)
    np.testing.assert_array_equal(KCenter().select(view, np.zeros(50), 10, np.random.default_rng(0)), whole)


def test_considers_only_the_best_scored_when_asked_to(view_of):
    scores = np.zeros(60)
    scores[30:40] = 1.0
    picks = KCenter(candidates_per_pick=2.0).select(view_of(), scores, 5, np.random.default_rng(0))
    assert set(picks) <= set(range(30, 40))


@given(seed=st.integers(0, 999))
@settings(max_examples=30, deadline=None)
def test_follows_its_rows_when_they_are_permuted(seed, view_of):
    view, order = view_of(40, seed=seed), np.random.default_rng(seed).permutation(40)
    moved = dataclasses.replace(
        view, embeddings=view.embeddings[order], labels=view.labels[order], is_available=view.is_available[order]
    )
    picks = KCenter().select(view, np.zeros(40), 8, np.random.default_rng(0))
    assert order[KCenter().select(moved, np.zeros(40), 8, np.random.default_rng(1))].tolist() == picks.tolist()


def test_breaks_ties_by_the_callers_randomness(view_of):
    same = np.tile(np.eye(1, 8, dtype=np.float32), (60, 1))
    view = dataclasses.replace(view_of(), embeddings=same)
    taken = {int(KCenter().select(view, np.zeros(60), 1, np.random.default_rng(seed))[0]) for seed in range(200)}
    assert len(taken) > 40


def test_refuses_fewer_than_one_candidate_a_pick():
    with pytest.raises(ConfigError, match=r"candidates_per_pick is 0.5; allowed is 1 or more; raise it"):
        KCenter(candidates_per_pick=0.5)
