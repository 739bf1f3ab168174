import dataclasses

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.strategies.combined import ColdStartThen, Combined
from llm_al.strategies.scorers import Margin
from llm_al.strategies.selectors import TopK


class Named:
    """Takes the first available rows, with a score that tells who picked."""

    def __init__(self, score):
        self.score = score

    def query(self, view, k, rng):
        rows = np.flatnonzero(view.is_available)[:k]
        return rows, np.full(len(rows), self.score)


def who(view, labels_per_class=2.0):
    strategy = ColdStartThen(Named(1.0), Named(2.0), labels_per_class)
    return {1.0: "cold", 2.0: "main"}[strategy.query(view, 1, np.random.default_rng(0))[1][0]]


def test_combined_returns_the_scores_of_the_picks(view_of):
    view = view_of()
    positions, scores = Combined(Margin(), TopK()).query(view, 5, np.random.default_rng(0))
    best, runner_up = np.sort(view.proba[positions], axis=1)[:, [-1, -2]].T
    np.testing.assert_allclose(scores, 1 - (best - runner_up))
    assert (np.diff(scores) <= 0).all()


def test_combined_needs_no_student_to_pick_nothing(view_of):
    assert len(Combined(Margin(), TopK()).query(view_of(with_proba=False), 0, np.random.default_rng(0))[0]) == 0


def test_cold_start_ends_at_two_labels_a_class(view_of):
    assert [who(view_of(n_labeled=n, c=3)) for n in (0, 5, 6, 7)] == ["cold", "cold", "main", "main"]


def test_cold_start_goes_on_without_a_student(view_of):
    assert who(view_of(n_labeled=30, with_proba=False)) == "cold"


def test_cold_start_can_be_kept_to_the_first_query(view_of):
    assert who(view_of(n_labeled=0), labels_per_class=0.0) == "main"


def test_refuses_a_negative_number_of_labels(view_of):
    with pytest.raises(ConfigError, match=r"labels_per_class is -1.0; allowed is 0 or more"):
        ColdStartThen(Named(1.0), Named(2.0), -1.0)


def test_margin_over_clusters_beats_random_on_a_planted_boundary(view_of):
    rng = np.random.default_rng(0)
    view = view_of(200, n_labeled=0, c=2)
    near = rng.choice(200, 20, replace=False)
    first = np.full(200, 0.99)
    first[near] = 0.5 + 0.1 * rng.random(20)
    view = dataclasses.replace(view, proba=np.column_stack([first, 1 - first]))
    picks, _ = Combined(Margin(), TopK()).query(view, 20, rng)
    assert set(picks) == set(near)


def _asked_for_a_catch_all_label(view, n_known, **fields):
    labels = view.labels.copy()
    labels[:n_known] = 2
    view = dataclasses.replace(view, labels=labels, is_available=labels < 0, catch_all=2)
    positions, scores = ColdStartThen(Named(1.0), Named(2.0), **fields).query(view, 10, np.random.default_rng(0))
    assert len(set(positions.tolist())) == 10
    assert view.is_available[positions].all()
    return int((scores == 2.0).sum())


def test_doubtful_rows_are_asked_for_until_the_catch_all_label_has_its_examples(view_of):
    view = view_of(200, n_labeled=0, c=3)
    assert _asked_for_a_catch_all_label(view, 0) == 4
    assert _asked_for_a_catch_all_label(view, 4) == 4
    assert _asked_for_a_catch_all_label(view, 5) == 0
    assert _asked_for_a_catch_all_label(view, 0, uncertain_share=1.0) == 10
    assert _asked_for_a_catch_all_label(view_of(200, n_labeled=0, c=3, with_proba=False), 0) == 0


def test_refuses_a_share_above_one(view_of):
    with pytest.raises(ConfigError, match=r"uncertain_share is 1.5; allowed is 0 to 1"):
        ColdStartThen(Named(1.0), Named(2.0), uncertain_share=1.5)
