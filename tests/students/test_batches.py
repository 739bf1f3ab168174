import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llm_al.students._batches import clean, pad, prediction_batches, training_batches

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
