import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.students._prototypes import Rows, fit_prototypes, with_names

NAMES = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)


def _rows(vectors: list[list[float]], classes: list[int], n_classes: int = 2) -> Rows:
    return Rows(np.array(vectors).reshape(-1, 2), np.eye(n_classes)[classes], np.ones(len(classes)))


def test_names_enter_as_one_row_a_class() -> None:
    rows = with_names(_rows([[0.5, 0.5]], [0]), NAMES, 0.25)
    assert rows.targets.tolist() == [[1, 0], [1, 0], [0, 1]]
    assert rows.weights.tolist() == [1.0, 0.25, 0.25]


def test_names_move_to_the_mean_of_texts_and_names() -> None:
    # Mean of 2 texts (3, 3) and 2 names (.5, .5) is (1.75, 1.75), so names move by 1.25.
    rows = with_names(_rows([[2.0, 4.0], [4.0, 2.0]], [0, 1]), NAMES, 1.0)
    assert rows.vectors[2:] == pytest.approx(np.array([[2.25, 1.25], [1.25, 2.25]]))


def test_no_texts_leave_names_where_they_are() -> None:
    rows = with_names(Rows(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0)), NAMES, 1.0)
    assert np.array_equal(rows.vectors, NAMES)


def test_no_names_and_no_weight_add_nothing() -> None:
    rows = _rows([[1.0, 0.0]], [0])
    assert with_names(rows, None, 1.0) is rows
    assert with_names(rows, NAMES, 0.0) is rows


@pytest.mark.parametrize("names", [np.ones((3, 2)), np.ones((2, 5))])
def test_names_of_another_encoder_or_another_list_are_refused(names: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"label_embeddings have shape .* encode every label with the encoder"):
        with_names(_rows([[1.0, 0.0]], [0]), names, 1.0)


def test_prototypes_choose_the_nearest_class_mean() -> None:
    linear = fit_prototypes(_rows([[2.0, 0.0], [2.0, 1.0], [-2.0, 0.0], [-2.0, -1.0]], [0, 0, 1, 1]))
    assert linear.logits(np.array([[1.0, 0.0], [-1.0, 0.0]])).argmax(axis=1).tolist() == [0, 1]


def test_prototypes_give_a_class_without_rows_laplaces_share() -> None:
    linear = fit_prototypes(_rows([[2.0, 0.0], [-2.0, 0.0]], [0, 1], n_classes=3))
    assert np.exp(linear.logits(np.array([[5.0, 0.0]])))[0, 2] == pytest.approx(1 / 5)


def test_one_row_alone_is_a_class_mean_without_a_direction() -> None:
    assert np.isfinite(fit_prototypes(_rows([[2.0, 0.0]], [0])).logits(np.ones((3, 2)))).all()
