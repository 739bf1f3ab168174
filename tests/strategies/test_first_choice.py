import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.strategies.cold_start import Typical
from llm_al.strategies.first_choice import FirstChoice


def pool(n=40, n_labeled=0, groups=None):
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.full(n, -1)
    labels[:n_labeled] = 0
    return PoolView([f"text {i}" for i in range(n)], vectors, 2, labels, labels < 0, groups=groups)


def test_rows_are_those_that_the_reader_named_in_its_order():
    seen = []

    def choose(texts, k):
        seen.append((list(texts), k))
        return [5, 0]

    positions, scores = FirstChoice(choose).query(pool(), 2, np.random.default_rng(0))
    ((texts, k),) = seen
    assert (len(texts), k) == (8, 2)
    assert [f"text {row}" for row in positions] == [texts[5], texts[0]]
    assert scores.tolist() == [1.0, 0.5]


def test_numbers_that_do_not_exist_or_come_twice_are_dropped_and_the_rest_is_filled():
    positions, _ = FirstChoice(lambda _texts, _k: [3, 3, -1, 99]).query(pool(), 5, np.random.default_rng(0))
    assert len(set(positions.tolist())) == 5


def test_more_than_k_are_cut():
    positions, _ = FirstChoice(lambda texts, _k: range(len(texts))).query(pool(), 3, np.random.default_rng(0))
    assert len(positions) == 3


def test_a_reader_who_names_none_leaves_all_to_typical_rows():
    positions, scores = FirstChoice().query(pool(), 6, np.random.default_rng(0))
    assert len(set(positions.tolist())) == len(scores) == 6


def test_once_a_row_is_labelled_nobody_reads():
    def choose(_texts, _k):
        raise AssertionError

    view = pool(n_labeled=1)
    mine, _ = FirstChoice(choose).query(view, 4, np.random.default_rng(0))
    typical, _ = Typical().query(view, 4, np.random.default_rng(0))
    assert mine.tolist() == typical.tolist()


def test_no_near_duplicate_of_a_chosen_row_fills_up():
    groups = np.arange(40) // 2
    positions, _ = FirstChoice(lambda _texts, _k: [0]).query(pool(groups=groups), 10, np.random.default_rng(0))
    assert len(set(groups[positions].tolist())) == 10


def test_the_whole_pool_is_given_when_it_is_small():
    positions, _ = FirstChoice(lambda _texts, _k: [1]).query(pool(5), 9, np.random.default_rng(0))
    assert sorted(positions.tolist()) == [0, 1, 2, 3, 4]
    assert FirstChoice().query(pool(), 0, np.random.default_rng(0))[0].tolist() == []


def test_settings_below_one_are_refused():
    with pytest.raises(ConfigError, match=r"candidates_per_pick is 0.5; allowed is 1 or more"):
        FirstChoice(candidates_per_pick=0.5)
