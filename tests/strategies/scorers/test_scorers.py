import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.strategies.scorers import Random
from llm_al.strategies.scorers.entropy import entropy
from llm_al.strategies.scorers.least_confidence import least_confidence
from llm_al.strategies.scorers.margin import margin

PROBA = np.array([[0.5, 0.25, 0.25], [0.75, 0.25, 0.0], [1.0, 0.0, 0.0]])


def test_margin_is_one_minus_the_gap_of_the_two_likeliest():
    np.testing.assert_allclose(margin(PROBA), [0.75, 0.5, 0.0])


def test_margin_is_one_when_top_two_tie():
    assert margin(np.array([[0.4, 0.2, 0.4]])) == pytest.approx([1.0])


def test_least_confidence_is_one_minus_the_largest_probability():
    np.testing.assert_allclose(least_confidence(PROBA), [0.5, 0.25, 0.0])


def test_entropy_is_a_share_of_the_entropy_of_the_uniform_distribution():
    # In bits: 1.5, then 0.75 * log2(4/3) + 0.25 * 2 = 0.81128, each over log2(3) = 1.58496.
    np.testing.assert_allclose(entropy(PROBA), [0.94640, 0.51186, 0.0], atol=1e-5)


def test_entropy_of_a_uniform_row_is_never_above_one():
    for c in range(2, 200):
        assert entropy(np.full((1, c), 1 / c))[0] <= 1.0


@pytest.mark.parametrize("score", [margin, least_confidence, entropy])
class TestProbabilities:
    def test_of_one_class_are_refused(self, score):
        with pytest.raises(ShapeError, match=r"proba has shape \(3, 1\); expected \(n, c\) with c >= 2"):
            score(np.ones((3, 1)))

    def test_without_columns_are_refused(self, score):
        with pytest.raises(ShapeError, match=r"proba has shape \(3,\)"):
            score(np.ones(3))

    def test_that_are_not_numbers_are_refused_by_row(self, score):
        with pytest.raises(ShapeError, match="proba row 1 holds NaN or infinity"):
            score(np.array([[0.5, 0.5], [np.nan, 0.5]]))


def test_random_scores_differ_between_seeds(view_of):
    first, second = (Random().score(view_of(), np.random.default_rng(seed)) for seed in (0, 1))
    assert (first != second).all()
