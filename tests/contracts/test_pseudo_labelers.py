import dataclasses

import numpy as np
import pytest

from llm_al import registry
from llm_al.pseudo_labels.caps import Capped

NAMES = registry.names("pseudo_labeler")
STRATEGIES = [registry.make("pseudo_labeler", name) for name in NAMES]
STRATEGIES += [Capped(strategy) for strategy in STRATEGIES]


def choose(strategy, view, seed=0):
    return strategy.pseudo_label(view, np.random.default_rng(seed))


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
class TestEveryStrategy:
    @pytest.mark.parametrize(("n", "c", "n_labeled"), [(0, 2, 0), (1, 2, 0), (2, 2, 2), (60, 2, 6), (60, 5, 40)])
    def test_gives_distinct_unlabelled_rows_with_distributions_and_positive_weights(
        self, strategy, n, c, n_labeled, view_of
    ):
        view = view_of(n, c=c, n_labeled=n_labeled)
        rows, targets, weights = choose(strategy, view)
        assert targets.shape == (len(rows), c)
        assert weights.shape == (len(rows),)
        assert targets.dtype == weights.dtype == np.float64
        assert np.issubdtype(rows.dtype, np.integer)
        assert (np.diff(rows) > 0).all()
        assert not view.is_labeled[rows].any()
        np.testing.assert_allclose(targets.sum(axis=1), 1.0)
        assert (targets >= 0).all()
        assert np.isfinite(weights).all()
        assert (weights > 0).all()

    def test_gives_the_same_rows_for_the_same_seed(self, strategy, view_of):
        for first, second in zip(choose(strategy, view_of(), 3), choose(strategy, view_of(), 3), strict=True):
            np.testing.assert_array_equal(first, second)

    def test_does_without_a_student_a_label_or_a_free_row(self, strategy, view_of):
        for view in (view_of(with_proba=False), view_of(n_labeled=0), view_of(6, n_labeled=6)):
            assert len(choose(strategy, view)[0]) <= int((~view.is_labeled).sum())
        assert not len(choose(strategy, view_of(n_labeled=0, with_proba=False))[0])

    def test_takes_equal_vectors_certain_rows_and_a_single_labelled_class(self, strategy, view_of):
        view = view_of(40, n_labeled=4)
        same = np.tile(view.embeddings[:1], (40, 1))
        certain = np.eye(3)[np.arange(40) % 3]
        one_class = np.where(view.is_labeled, 1, -1)
        for changes in ({"embeddings": same}, {"proba": certain}, {"labels": one_class}):
            changed = dataclasses.replace(view, **changes)
            rows, targets, weights = choose(strategy, changed)
            assert np.isfinite(targets).all()
            assert np.isfinite(weights).all()
            assert not changed.is_labeled[rows].any()

    def test_reads_vectors_of_half_precision(self, strategy, view_of):
        rows, targets, _ = choose(strategy, view_of(dtype="float16"))
        assert np.isfinite(targets).all()
        assert len(rows) == len(targets)

    def test_is_a_frozen_recipe(self, strategy):
        names = {type(other).__name__: type(other) for other in STRATEGIES}
        assert eval(repr(strategy), names) == strategy
        with pytest.raises(dataclasses.FrozenInstanceError):
            strategy.surprise = 1
