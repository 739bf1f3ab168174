import numpy as np

from llm_al.keywords import group_keywords


def test_words_of_one_group_beat_words_of_all():
    groups = [["parcel late", "parcel lost late"], ["refund late", "refund money"]]
    assert [words[0] for words in group_keywords(groups, 2)] == ["parcel", "refund"]


def test_weights_follow_the_formula():
    # parcel: 2 of 5 words, f = 2; late: 2 of 5, f = 3; A = 9 / 2. 0.4 ln(1 + 4.5/2) = .471 > 0.4 ln(1 + 4.5/3) = .367
    groups = [["parcel late", "parcel lost late"], ["refund late", "refund money"]]
    assert group_keywords(groups, 3)[0] == ["parcel", "late", "lost"]
    assert np.isclose(0.4 * np.log(1 + 4.5 / 2), 0.471, atol=1e-3)


def test_groups_without_words_have_none():
    assert group_keywords([["12 !!"], ["the of"]]) == [[], []]
    assert group_keywords([["!!"], ["parcel"]]) == [[], ["parcel"]]


def test_other_scripts_and_accents_count_as_words():
    assert group_keywords([["посылка опоздала"], ["été brûlant"]], 1) == [["опоздала"], ["brûlant"]]
