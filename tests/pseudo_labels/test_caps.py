from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.caps import Capped, class_cap
from llm_al.pseudo_labels.none import NoPseudo
from llm_al.pseudo_labels.soft import Soft


@dataclass(frozen=True)
class Everything:
    """Takes every row with the student's label."""

    def pseudo_label(self, view, rng):
        classes = view.proba.argmax(axis=1)
        return np.arange(len(view)), np.eye(view.n_classes)[classes], np.linspace(0.5, 1.5, len(view))


def view(counts):
    """So many rows predicted to be of each class, the confidence falling from row to row."""
    classes = np.repeat(np.arange(len(counts)), counts)
    n, c = len(classes), len(counts)
    sure = np.linspace(0.95, 0.6, n)[:, None]
    proba = np.where(np.eye(c)[classes] > 0, sure, (1 - sure) / (c - 1))
    return PoolView(["t"] * n, np.ones((n, 1), dtype=np.float32), c, np.full(n, -1), np.ones(n, dtype=bool), proba)


def choose(strategy, pool):
    return strategy.pseudo_label(pool, np.random.default_rng(0))


def test_no_class_keeps_more_than_twice_the_even_share():
    rows, targets, weights = choose(Capped(Everything()), view([970, 10, 10, 10]))
    assert targets.sum(axis=0).tolist() == [30, 10, 10, 10]
    # The most confident of the first class, with their own weights.
    assert rows[:30].tolist() == list(range(30))
    np.testing.assert_allclose(weights, np.linspace(0.5, 1.5, 1000)[rows])


def test_classes_within_the_cap_are_left_alone():
    assert len(choose(Capped(Everything()), view([40, 30, 20]))[0]) == 90


def test_a_multiple_of_one_makes_classes_equal():
    assert choose(Capped(Everything(), multiple=1.0), view([50, 20, 10]))[1].sum(axis=0).tolist() == [10, 10, 10]


def test_every_class_may_keep_a_few_even_when_most_have_none():
    assert choose(Capped(Everything()), view([100, 0, 0, 0]))[1].sum(axis=0).tolist() == [5, 0, 0, 0]
    assert not len(choose(Capped(Everything(), least=0), view([100, 0, 0, 0]))[0])


@given(st.lists(st.integers(0, 200), min_size=2, max_size=8), st.floats(1.0, 4.0))
def test_the_cap_is_the_largest_that_keeps_its_word(counts, multiple):
    counts = np.array(counts)
    cap = class_cap(counts, multiple)

    def is_kept(x):
        return x <= multiple * np.minimum(counts, x).mean() + 1e-3

    assert is_kept(cap)
    larger = np.linspace(cap, counts.max(), 50)[1:]
    assert cap == counts.max() or not any(is_kept(x) for x in larger if x > cap + 0.1)


def test_what_the_strategy_asks_of_the_student_is_passed_on():
    assert Capped(Soft(mixup=0.7)).mixup == 0.7
    assert Capped(NoPseudo()).mixup == 0.0


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match=r"multiple is 0\.5; allowed is 1 or more"):
        Capped(NoPseudo(), multiple=0.5)
    with pytest.raises(ConfigError, match="given to be capped again"):
        Capped(Capped(NoPseudo()))
