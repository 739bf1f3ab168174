import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.intake.near_duplicates import NearDuplicates
from llm_al.intake.shingles import is_short, normalise, shingle

BASE = "where is my parcel, it should have been here on monday and nobody answers the phone"
OTHER = "please cancel the red tent that I ordered by mistake last night, thank you"


def group(*texts, **settings):
    return NearDuplicates(**settings).group(texts).tolist()


def test_small_changes_join_the_first_text():
    assert group(BASE, OTHER, BASE.upper() + "!!!", BASE.replace("monday", "friday"), OTHER) == [0, 1, 0, 0, 1]


def test_threshold_decides_on_the_true_jaccard():
    # 5-grams of a..j: abcde .. fghij (6); of a..i + x: 5 of them and fghix; 5 / 7 = 0.714.
    first, second = "a b c d e f g h i j k l".replace(" ", ""), "a b c d e f g h i j k x".replace(" ", "")
    first, second = f"{first} {first[::-1]}", f"{second} {first[::-1]}"
    sets = [set(shingle([text]).hashes.tolist()) for text in (first, second)]
    jaccard = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
    assert 0.4 < jaccard < 0.9
    assert group(first, second, threshold=jaccard - 0.001, n_bands=64, n_rows=1) == [0, 0]
    assert group(first, second, threshold=jaccard + 0.001, n_bands=64, n_rows=1) == [0, 1]


def test_short_texts_need_the_same_words():
    assert group("refund me", "Refund me!", "refund him", "refund  ME?") == [0, 0, 2, 0]


def test_texts_without_words_differ_by_their_characters():
    assert group("👍", "???", "👍 ", "??") == [0, 1, 0, 3]


def test_no_text_and_one_text_work():
    assert group() == []
    assert group("a") == [0]


def test_long_text_without_spaces_is_not_short():
    assert not is_short(normalise("我的包裹应该星期一到但是现在还没有到请帮我查一下"))
    assert is_short("thank you all")


def test_shingles_do_not_cross_texts():
    together = shingle(["abcdefg", "hijklmn"])
    assert np.array_equal(together.hashes[:3], shingle(["abcdefg"]).hashes)
    assert np.array_equal(together.hashes[3:], shingle(["hijklmn"]).hashes)
    assert together.starts.tolist() == [0, 3, 6]


def test_distinct_drops_repeats_within_a_text_only():
    distinct = shingle(["aaaaaaaa", "aaaaa", "b"]).distinct()
    assert np.diff(distinct.starts).tolist() == [1, 1, 1]


def test_known_groups_stay():
    texts = [BASE, OTHER, BASE + "!"]
    assert NearDuplicates().group(texts, known=np.array([0, 1, 2])).tolist() == [0, 1, 2]
    assert NearDuplicates().group([*texts, OTHER], known=np.array([0, 1, 0])).tolist() == [0, 1, 0, 1]


WORDS = ["where", "is", "my", "parcel", "order", "tent", "refund", "late", "again", "please", "monday"]
words = st.sampled_from(WORDS)
sentences = st.lists(st.lists(words, min_size=1, max_size=12).map(" ".join), min_size=1, max_size=25)


@settings(max_examples=60, deadline=None)
@given(sentences, st.integers(0, 25))
def test_later_texts_never_change_earlier_groups(texts, cut):
    whole = NearDuplicates().group(texts)
    first = NearDuplicates().group(texts[:cut])
    assert np.array_equal(whole[: len(first)], first)
    assert np.array_equal(NearDuplicates().group(texts, known=first), whole)


@settings(max_examples=60, deadline=None)
@given(sentences)
def test_a_group_is_named_by_its_first_member(texts):
    groups = NearDuplicates().group(texts)
    assert (groups <= np.arange(len(texts))).all()
    assert np.array_equal(groups[groups], groups)
    for i, text in enumerate(texts):
        assert groups[i] == groups[texts.index(text)]


@pytest.mark.parametrize("n", [3000])
def test_batches_do_not_change_the_groups(n):
    rng = np.random.default_rng(0)
    vocabulary = ["".join(map(chr, rng.integers(97, 123, 6))) for _ in range(500)]
    texts = [" ".join(rng.choice(vocabulary, 12)) for _ in range(n)]
    texts[n - 1] = texts[5] + " indeed"
    groups = NearDuplicates().group(texts)
    assert groups[n - 1] == 5
    assert (groups[: n - 1] == np.arange(n - 1)).all()
