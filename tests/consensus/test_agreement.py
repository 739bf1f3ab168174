import numpy as np
import pytest

from llm_al.consensus.agreement import agreement_of, cohen_kappa, fleiss_kappa, krippendorff_alpha, pairwise
from llm_al.errors import ShapeError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind


def test_cohens_kappa_matches_a_hand_table():
    # 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no: p_o = .7, p_e = .5.
    first = ["y"] * 25 + ["n"] * 25
    second = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert cohen_kappa(first, second).value == pytest.approx(0.4)


def test_cohens_kappa_is_undefined_with_one_label_or_no_example():
    assert cohen_kappa(["a"], ["a"]).value is None
    assert cohen_kappa(["a"], ["a"]).reason == "undefined because only one label occurs"
    assert "no example" in cohen_kappa([], []).reason
    with pytest.raises(ShapeError, match="1 and 2 answers"):
        cohen_kappa(["a"], ["a", "b"])


FLEISS_1971 = np.array(
    [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]
)  # fmt: skip


def test_fleiss_kappa_matches_the_textbook_table():
    assert fleiss_kappa(FLEISS_1971).value == pytest.approx(0.2099, abs=1e-4)


def test_fleiss_kappa_needs_equal_counts_and_two_labels():
    with pytest.raises(ShapeError, match="use krippendorff_alpha"):
        fleiss_kappa(np.array([[2, 0], [1, 2]]))
    with pytest.raises(ShapeError, match="expected 2"):
        fleiss_kappa(np.array([2, 0]))
    assert fleiss_kappa(np.array([[2, 0], [2, 0]])).reason == "undefined because only one label occurs"
    assert fleiss_kappa(np.array([[1, 0], [0, 1]])).value is None
    assert fleiss_kappa(np.zeros((0, 2), dtype=int)).value is None


def test_krippendorffs_alpha_matches_the_papers_nominal_example():
    # Krippendorff (2011), example C: four observers, twelve units, five values, missing data; alpha = .743.
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    counts = np.zeros((12, 5), dtype=int)
    for row in ratings:
        for unit, value in enumerate(row):
            if value is not None:
                counts[unit, value - 1] += 1
    assert krippendorff_alpha(counts).value == pytest.approx(0.743, abs=5e-4)


def test_krippendorffs_alpha_is_undefined_without_pairs_or_variation():
    assert krippendorff_alpha(np.array([[1, 0], [0, 1]])).reason == "undefined because no example has two answers"
    assert krippendorff_alpha(np.array([[2, 0], [0, 1]])).reason == "undefined because only one label occurs"
    with pytest.raises(ShapeError, match="expected 2"):
        krippendorff_alpha(np.array([1]))


def said(table, kind=AnnotatorKind.HUMAN):
    """Return annotations from rows such as "ann: a b . a": one letter an example, a dot for no answer."""
    names = {"n": NONE_OF_THESE, "s": SKIP}
    return [
        Annotation(str(i), names.get(letter, letter), who, kind)
        for who, letters in (row.split(": ") for row in table)
        for i, letter in enumerate(letters.split())
        if letter != "."
    ]


def test_agreement_of_two_people_is_all_three_coefficients_by_hand():
    found = agreement_of(said(["ann: a a b b", "bob: a a b a"]))
    assert (found.n_examples, found.n_people) == (4, 2)
    # p_o = 3/4; Cohen p_e = 1/2; Fleiss p_e = (5/8)^2 + (3/8)^2; Krippendorff D_o = 1/4, D_e = 2*5*3 / (8*7).
    assert found.cohen.value == pytest.approx(0.5)
    assert found.fleiss.value == pytest.approx((0.75 - 34 / 64) / (30 / 64))
    assert found.krippendorff.value == pytest.approx(1 - 0.25 / (30 / 56))
    (pair,) = found.pairs
    assert (pair.first, pair.second, pair.n_examples, pair.share) == ("ann", "bob", 4, 0.75)
    assert pair.kappa.value == pytest.approx(0.5)
    assert [(p.name, p.n_examples, p.share) for p in found.people] == [("ann", 4, 0.75), ("bob", 4, 0.75)]


def test_the_table_of_pairs_holds_those_with_common_examples():
    table = pairwise(said(["cid: . . . b a", "ann: a b . . a", "bob: a a a . ."]))
    assert [(p.first, p.second, p.n_examples, p.share) for p in table] == [("ann", "bob", 2, 0.5), ("ann", "cid", 1, 1)]
    assert table[1].kappa.reason == "undefined because only one label occurs"


def test_agreement_by_label_tells_the_doubtful_label():
    found = agreement_of(said(["ann: a a b b c c n n", "bob: a a b c c b n n"]))
    assert found.labels["a"].value == found.labels[NONE_OF_THESE].value == pytest.approx(1.0)
    assert found.labels["b"].value == found.labels["c"].value < 0.5


def test_a_person_who_answers_at_random_agrees_least():
    found = agreement_of(said(["ann: a b a b a b", "bob: a b a b a b", "cid: a a b b b a"]))
    kappa = {p.name: p.kappa.value for p in found.people}
    assert kappa["ann"] == kappa["bob"] == pytest.approx((1 + kappa["cid"]) / 2)
    assert kappa["cid"] < 0


def test_unequal_counts_leave_fleiss_undefined_and_single_answers_out():
    found = agreement_of(said(["ann: a b a", "bob: a b .", "cid: a . ."]))
    assert found.fleiss.reason == "undefined because examples have 2 to 3 answers"
    assert found.krippendorff.value == pytest.approx(1.0)
    assert (found.n_examples, agreement_of(said(["ann: a b a", "bob: a b ."])).fleiss.value) == (2, pytest.approx(1.0))


def test_agreement_without_pairs_says_why():
    alone = agreement_of(said(["ann: a b"]))
    assert (alone.n_examples, alone.n_people, alone.pairs, alone.labels) == (0, 1, (), {})
    assert alone.cohen.reason == "undefined because no two people answered the same example"
    assert alone.fleiss.reason == "undefined because there are no examples"
    assert alone.people[0].share is None
    nobody = agreement_of([])
    assert (nobody.n_people, nobody.krippendorff.reason) == (0, "undefined because no example has two answers")
    same = agreement_of(said(["ann: a", "bob: a"]))
    assert same.cohen.reason == "undefined because no pair of people used more than one label"


def test_skips_machines_and_replaced_answers_are_left_out():
    people = said(["ann: a b", "bob: a s"])
    machines = said(["m: b a"], AnnotatorKind.LLM)
    assert agreement_of([*said(["ann: b b"]), *people, *machines]) == agreement_of(people)
    assert agreement_of(people).n_examples == 1
