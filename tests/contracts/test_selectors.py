import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.errors import ConfigError, ShapeError
from llm_al.strategies.cold_start import Centres, Typical
from llm_al.strategies.combined import ColdStartThen, Combined
from llm_al.strategies.first_choice import FirstChoice
from llm_al.strategies.scorers import Margin, Random
from llm_al.strategies.selectors import ClusterMargin, Diverse, KCenter, TopK

SELECTORS = [
    TopK(),
    KCenter(),
    KCenter(candidates_per_pick=3.0),
    Diverse(min_candidates=20),
    Diverse(candidates_per_pick=2.0, min_candidates=1, pick="centre", n_iterations=0),
    ClusterMargin(),
    ClusterMargin(candidates_per_pick=4.0, n_clusters=5),
]
STRATEGIES = [
    Typical(),
    Typical(max_clusters=3, min_cluster_size=1, n_neighbours=2),
    Centres(),
    FirstChoice(),
    FirstChoice(lambda _texts, _k: (1, 1, 500)),
    *(Combined(Margin(), selector) for selector in SELECTORS),
    Combined(Random(), TopK()),
    ColdStartThen(Typical(), Combined(Margin(), Diverse())),
]


class Fixed:
    """Lets a selector run as a strategy, on scores that are given."""

    def __init__(self, selector, scores=None):
        self.selector, self.scores = selector, scores

    def __repr__(self):
        return repr(self.selector)

    def query(self, view, k, rng):
        scores = np.random.default_rng(9).random(len(view)) if self.scores is None else self.scores
        positions = self.selector.select(view, scores, k, rng)
        return positions, scores[positions]


ALL = [*(Fixed(selector) for selector in SELECTORS), *STRATEGIES]


def check(view, positions, scores, k):
    assert positions.shape == scores.shape == (min(k, int(view.is_available.sum())),)
    assert positions.dtype == np.intp
    assert scores.dtype == np.float64
    assert len(set(positions.tolist())) == len(positions)
    assert view.is_available[positions].all()
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("strategy", ALL, ids=repr)
class TestEverySelectorAndStrategy:
    @given(
        n=st.integers(0, 40),
        k=st.integers(0, 45),
        n_labeled=st.integers(0, 5),
        n_groups=st.integers(1, 40),
        seed=st.integers(0, 99),
    )
    @settings(max_examples=25, deadline=None)
    def test_gives_distinct_available_rows_and_as_many_as_there_are(
        self, strategy, n, k, n_labeled, n_groups, seed, view_of
    ):
        groups = np.random.default_rng(seed).integers(0, n_groups, n)
        view = view_of(n, seed=seed, n_labeled=min(n_labeled, n), groups=groups)
        check(view, *strategy.query(view, k, np.random.default_rng(seed)), k)

    def test_takes_one_of_each_near_duplicate_group_while_that_is_enough(self, strategy, view_of):
        groups = np.arange(60) // 4
        view = view_of(n_labeled=6, groups=groups)
        positions, _ = strategy.query(view, 13, np.random.default_rng(0))
        assert len(set(groups[positions])) == 13
        assert not set(groups[positions]) & set(groups[:6])

    def test_falls_back_to_near_duplicates_when_nothing_else_is_left(self, strategy, view_of):
        view = view_of(20, n_labeled=2, groups=np.zeros(20, dtype=np.int64))
        check(view, *strategy.query(view, 5, np.random.default_rng(0)), 5)

    def test_gives_the_same_rows_for_the_same_seed(self, strategy, view_of):
        first, second = (strategy.query(view_of(), 9, np.random.default_rng(4)) for _ in range(2))
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])

    def test_does_not_care_for_identical_embeddings(self, strategy, view_of):
        same = np.tile(np.eye(1, 8, dtype=np.float32), (60, 1))
        view = dataclasses.replace(view_of(), embeddings=same)
        check(view, *strategy.query(view, 7, np.random.default_rng(0)), 7)

    def test_does_not_care_for_identical_probabilities(self, strategy, view_of):
        view = dataclasses.replace(view_of(), proba=np.tile([1.0, 0.0, 0.0], (60, 1)))
        check(view, *strategy.query(view, 7, np.random.default_rng(0)), 7)

    def test_serves_a_pool_of_one(self, strategy, view_of):
        view = view_of(1, n_labeled=0)
        assert strategy.query(view, 5, np.random.default_rng(0))[0].tolist() == [0]

    @pytest.mark.parametrize("n_labeled", [0, 1, 59])
    def test_serves_any_number_of_labelled_rows(self, strategy, n_labeled, view_of):
        view = view_of(n_labeled=n_labeled)
        check(view, *strategy.query(view, 3, np.random.default_rng(0)), 3)

    def test_leaves_alone_rows_that_are_neither_labelled_nor_available(self, strategy, view_of):
        is_available = np.zeros(60, dtype=np.bool_)
        is_available[[20, 41, 42, 57]] = True
        view = dataclasses.replace(view_of(), is_available=is_available)
        positions, _ = strategy.query(view, 3, np.random.default_rng(0))
        assert set(positions) <= {20, 41, 42, 57}

    def test_reads_a_read_only_float16_map(self, strategy, view_of, tmp_path):
        np.save(tmp_path / "e.npy", view_of(dtype="float16").embeddings)
        view = dataclasses.replace(view_of(), embeddings=np.load(tmp_path / "e.npy", mmap_mode="r"))
        check(view, *strategy.query(view, 7, np.random.default_rng(0)), 7)

    def test_changes_no_input(self, strategy, view_of):
        view, same = view_of(groups=np.arange(60) // 2), view_of(groups=np.arange(60) // 2)
        strategy.query(view, 7, np.random.default_rng(0))
        for name in ("embeddings", "labels", "is_available", "proba", "groups"):
            np.testing.assert_array_equal(getattr(view, name), getattr(same, name))

    def test_refuses_a_negative_number_of_picks(self, strategy, view_of):
        with pytest.raises(ConfigError, match="k is -1; the number of examples to pick must be at least 0"):
            strategy.query(view_of(), -1, np.random.default_rng(0))


@pytest.mark.parametrize("selector", SELECTORS, ids=repr)
class TestEverySelector:
    @pytest.mark.parametrize("value", [0.0, -3.5, 1e9])
    def test_takes_constant_scores_of_any_size(self, selector, value, view_of):
        view = view_of()
        check(view, *Fixed(selector, np.full(60, value)).query(view, 7, np.random.default_rng(0)), 7)

    def test_refuses_a_score_that_is_not_a_number(self, selector, view_of):
        scores = np.zeros(60)
        scores[17] = np.nan
        with pytest.raises(ShapeError, match="score of row 17 is nan"):
            selector.select(view_of(), scores, 3, np.random.default_rng(0))

    def test_refuses_scores_of_another_length(self, selector, view_of):
        with pytest.raises(ShapeError, match=r"scores have shape \(59,\); expected \(60,\)"):
            selector.select(view_of(), np.zeros(59), 3, np.random.default_rng(0))


USES_EMBEDDINGS = [s for s in ALL if "TopK" not in repr(s)]


@pytest.mark.parametrize("strategy", USES_EMBEDDINGS, ids=repr)
def test_an_embedding_that_is_not_a_number_is_refused_by_row(strategy, view_of):
    view = view_of()
    embeddings = view.embeddings.copy()
    embeddings[6:] = np.nan
    with pytest.raises(ShapeError, match=r"embedding of row \d+ holds NaN or infinity"):
        strategy.query(dataclasses.replace(view, embeddings=embeddings), 3, np.random.default_rng(0))
