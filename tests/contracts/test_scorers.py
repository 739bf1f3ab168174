import dataclasses

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.strategies.scorers import Entropy, LeastConfidence, Margin, Random

SCORERS = [Random(), LeastConfidence(), Margin(), Entropy()]
NEEDS_STUDENT = [scorer for scorer in SCORERS if scorer != Random()]


@pytest.mark.parametrize("scorer", SCORERS, ids=repr)
class TestEveryScorer:
    @pytest.mark.parametrize("n", [0, 1, 60])
    @pytest.mark.parametrize("c", [2, 5])
    def test_gives_one_finite_float64_a_row(self, scorer, n, c, view_of):
        scores = scorer.score(view_of(n, c=c, n_labeled=min(n, 2)), np.random.default_rng(0))
        assert scores.shape == (n,)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()

    def test_gives_the_same_scores_for_the_same_seed(self, scorer, view_of):
        first, second = (scorer.score(view_of(), np.random.default_rng(3)) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_takes_certain_and_uniform_rows(self, scorer, view_of):
        proba = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
        scores = scorer.score(dataclasses.replace(view_of(2, n_labeled=0), proba=proba), np.random.default_rng(0))
        assert np.isfinite(scores).all()

    def test_is_a_frozen_recipe(self, scorer):
        assert eval(repr(scorer), {type(scorer).__name__: type(scorer)}) == scorer
        assert dataclasses.fields(scorer) is not None
        with pytest.raises(dataclasses.FrozenInstanceError):
            scorer.surprise = 1


@pytest.mark.parametrize("scorer", NEEDS_STUDENT, ids=repr)
class TestEveryScorerOfAStudent:
    def test_says_that_there_is_no_student_yet(self, scorer, view_of):
        with pytest.raises(ConfigError, match="needs the student's probabilities; there is no student yet"):
            scorer.score(view_of(with_proba=False), np.random.default_rng(0))

    def test_refuses_a_single_class(self, scorer, view_of):
        with pytest.raises(ConfigError, match="compares classes; got a label list of 1"):
            scorer.score(view_of(c=1), np.random.default_rng(0))

    def test_prefers_a_uniform_row_to_a_certain_one(self, scorer, view_of):
        proba = np.array([[1.0, 0.0, 0.0], [1 / 3, 1 / 3, 1 / 3]])
        view = dataclasses.replace(view_of(2, n_labeled=0), proba=proba)
        certain, uniform = scorer.score(view, np.random.default_rng(0))
        assert uniform > certain

    def test_follows_its_rows_when_they_are_permuted(self, scorer, view_of):
        view = view_of()
        order = np.random.default_rng(1).permutation(len(view))
        moved = dataclasses.replace(view, proba=view.proba[order])
        scores = scorer.score(view, np.random.default_rng(0))
        np.testing.assert_array_equal(scorer.score(moved, np.random.default_rng(0)), scores[order])
