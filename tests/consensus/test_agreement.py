import numpy as np
import pytest

from llm_al.consensus.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha
from llm_al.errors import ShapeError


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
