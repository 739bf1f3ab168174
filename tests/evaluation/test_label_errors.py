import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.evaluation.label_errors import class_thresholds, find_label_errors


def simulate(n=400, c=5, noise=0.2, seed=0):
    rng = np.random.default_rng(seed)
    gold = rng.integers(c, size=n)
    is_wrong = rng.random(n) < noise
    given = np.where(is_wrong, (gold + rng.integers(1, c, n)) % c, gold)
    logits = rng.normal(size=(n, c)) + 3.0 * np.eye(c)[gold]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), given, is_wrong


@pytest.mark.parametrize("seed", range(3))
def test_the_list_is_that_of_the_authors_code(seed):
    filters = pytest.importorskip("cleanlab.filter")
    proba, given, _ = simulate(seed=seed)
    theirs = filters.find_label_issues(
        given, proba, filter_by="confident_learning", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    assert [suspect.row for suspect in find_label_errors(proba, given)] == list(theirs)


def test_planted_errors_come_first():
    proba, given, is_wrong = simulate(noise=0.1)
    found = [suspect.row for suspect in find_label_errors(proba, given)]
    assert is_wrong[found[:20]].all()
    assert is_wrong[found].sum() > 0.7 * is_wrong.sum()


def test_thresholds_are_mean_probabilities_of_the_labelled_rows():
    proba = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.3, 0.5, 0.2]])
    np.testing.assert_allclose(class_thresholds(proba, np.array([0, 0, 1])), [0.7, 0.5, np.inf])


def test_margin_by_hand():
    proba = np.array([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.95, 0.05]])
    (suspect,) = find_label_errors(proba, np.array([0, 0, 1, 1]))
    assert (suspect.row, suspect.given, suspect.likelier) == (3, 1, 0)
    assert suspect.margin == pytest.approx((0.05 - 0.95 + 1) / 2)


def test_the_students_own_choice_is_not_accused_for_missing_its_threshold():
    # Row 2 is likeliest of its own class 0 (.5 < threshold .83), while class 1 reaches its threshold of .4.
    proba = np.array([[0.99, 0.01], [0.99, 0.01], [0.5, 0.5 - 1e-9], [0.6, 0.4]])
    assert [s.row for s in find_label_errors(proba, np.array([0, 0, 0, 1]))] == []


def test_no_labels_no_errors():
    assert find_label_errors(np.zeros((0, 3)), np.zeros(0, dtype=np.intp)) == []


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match=r"proba has shape \(2, 2\) for 1 labels"):
        find_label_errors(np.full((2, 2), 0.5), np.array([0]))
    with pytest.raises(ShapeError, match="not finite"):
        find_label_errors(np.array([[np.nan, 1.0]]), np.array([0]))
    with pytest.raises(ShapeError, match="labels run from 0 to 2; give class indices from 0 to 1"):
        find_label_errors(np.full((2, 2), 0.5), np.array([0, 2]))
