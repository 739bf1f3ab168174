import numpy as np
import pytest

from llm_al.embedders.hashing import HashEmbedder
from llm_al.errors import ConfigError


def test_rows_are_unit_length_float32_even_without_words():
    vectors = HashEmbedder(16).encode(["a tent", "", "!?", "\ud800", "x " * 5000])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, rtol=1e-6)


def test_no_texts_give_no_rows():
    assert HashEmbedder(16).encode([]).shape == (0, 16)


def test_texts_that_share_words_are_nearer():
    red, blue, late = HashEmbedder().encode(["a red tent", "a blue tent", "late parcel"])
    assert red @ blue > red @ late


def test_case_and_punctuation_do_not_matter():
    first, second = HashEmbedder().encode(["A red tent!", "a red, tent"])
    np.testing.assert_array_equal(first, second)


def test_a_text_does_not_depend_on_the_others():
    together = HashEmbedder().encode(["one", "two", "three"])
    np.testing.assert_array_equal(together[1], HashEmbedder().encode(["two"])[0])


def test_fingerprint_tells_sizes_apart():
    assert HashEmbedder(16).fingerprint != HashEmbedder(32).fingerprint


def test_refuses_a_single_dimension():
    with pytest.raises(ConfigError, match="n_dimensions is 1; allowed is 2 or more"):
        HashEmbedder(1)
