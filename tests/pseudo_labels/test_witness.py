from dataclasses import replace

import numpy as np
import pytest

from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Chosen
from llm_al.pseudo_labels.witness import witnessed


def view(n_labelled: int = 2) -> PoolView:
    """Even rows lie east, odd ones north; the first two are labelled."""
    vectors = np.eye(2, dtype=np.float32)[np.arange(10) % 2]
    labels = np.where(np.arange(10) < n_labelled, np.arange(10) % 2, -1)
    return PoolView([f"t{i}" for i in range(10)], vectors, 2, labels, labels < 0, np.full((10, 2), 0.5))


def own(classes: list[int]) -> Chosen:
    """A student's labels of the rows from 4 on."""
    rows = np.arange(4, 4 + len(classes))
    return Chosen(rows, np.eye(2)[classes], np.linspace(0.1, 0.9, len(classes)))


def test_only_labels_stay_that_known_labels_give_too() -> None:
    kept = witnessed(view(), own([0, 0, 1, 1, 0]))
    assert kept.positions.tolist() == [4, 7, 8]
    assert kept.targets.argmax(axis=1).tolist() == [0, 1, 0]
    np.testing.assert_allclose(kept.weights, [0.1, 0.7, 0.9])


def test_a_student_that_changed_its_encoder_needs_no_witness() -> None:
    wrong = own([1, 0])
    assert witnessed(replace(view(), is_outgrown=True), wrong) is wrong


def test_labels_that_can_be_given_anew_are_no_students_own() -> None:
    wrong = own([1, 0])
    taught = Chosen(*wrong.plain, lambda _: wrong.targets)
    assert witnessed(view(), taught) is taught


@pytest.mark.parametrize("n_labelled", [0, 2])
def test_nothing_chosen_is_nothing_witnessed(n_labelled: int) -> None:
    assert len(witnessed(view(n_labelled), own([]))) == 0
