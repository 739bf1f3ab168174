import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_al.students._batches import clean, pad, prediction_batches, training_batches, with_share

lengths_lists = st.lists(st.integers(1, 60), min_size=1, max_size=80)


def test_pad_fills_to_the_longest_row_and_masks_the_filling() -> None:
    tokens, mask = pad([[5, 6, 7], [8]], pad_id=9)
    assert tokens.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@given(lengths_lists, st.integers(1, 200))
def test_prediction_batches_cover_every_row_once_within_the_token_limit(lengths: list[int], limit: int) -> None:
    array = np.array(lengths)
    batches = prediction_batches(array, limit)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * array[batch].max() <= limit for batch in batches)


def test_prediction_batches_of_nothing_are_none() -> None:
    assert prediction_batches(np.array([], dtype=np.intp), 10) == []


@given(lengths_lists, st.integers(1, 20), st.integers(0, 5))
def test_training_batches_cover_every_row_once_within_the_batch_size(lengths: list[int], size: int, seed: int) -> None:
    batches = training_batches(np.array(lengths), size, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert max(map(len, batches)) <= size


def test_training_batches_are_nearly_equal_so_that_no_step_rests_on_one_example() -> None:
    batches = training_batches(np.full(33, 7), 16, np.random.default_rng(0))
    assert sorted(map(len, batches)) == [11, 11, 11]


def test_training_batches_group_like_lengths() -> None:
    lengths = np.array([5, 50] * 32)
    batches = training_batches(lengths, 16, np.random.default_rng(1))
    assert all(len(set(lengths[batch])) == 1 for batch in batches)


def test_clean_cuts_huge_texts_and_replaces_what_cannot_be_encoded() -> None:
    assert clean(["a\udce9b", "x" * 1000], max_tokens=2) == ["a?b", "x" * 128]


@given(st.lists(st.booleans(), min_size=4, max_size=40), st.floats(0, 1), st.integers(0, 5))
def test_a_batch_keeps_its_size_and_gets_its_share_of_human_rows(humans: list[bool], least: float, seed: int) -> None:
    is_human = np.array(humans)
    rng = np.random.default_rng(seed)
    batch = rng.permutation(len(humans))[:4]
    changed = with_share(batch, is_human, least, rng)
    assert len(changed) == 4
    assert is_human[changed].sum() >= (np.ceil(least * 4) if is_human.any() else 0)
    assert set(batch[is_human[batch]]) <= set(changed)
    assert not is_human[np.setdiff1d(changed, batch)].sum() < len(np.setdiff1d(changed, batch))


def test_human_rows_come_once_in_a_batch_where_there_are_enough_of_them() -> None:
    is_human = np.array([True] * 4 + [False] * 8)
    changed = with_share(np.arange(4, 12), is_human, 0.5, np.random.default_rng(0))
    assert sorted(changed[is_human[changed]].tolist()) == [0, 1, 2, 3]
    few = np.array([True] + [False] * 11)
    assert with_share(np.arange(4, 12), few, 0.5, np.random.default_rng(0)).tolist().count(0) == 4
