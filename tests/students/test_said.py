"""What was said of a text is not asked for again."""

from pathlib import Path

import numpy as np
import pytest

from llm_al.students import _folder
from llm_al.students._folder import read_arrays, replace_arrays
from llm_al.students._said import Said
from llm_al.types import Proba


class Lengths:
    """Predicts from the length of a text, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: list[str]) -> Proba:
        self.asked.append(texts)
        share = np.array([1.0 / (1 + len(text)) for text in texts])
        return np.column_stack([share, 1.0 - share])


def test_each_text_is_asked_for_once_and_rows_come_in_order() -> None:
    said, predict = Said(), Lengths()
    first = said.of(["bb", "a", "bb"], predict)
    np.testing.assert_allclose(first[:, 0], [1 / 3, 1 / 2, 1 / 3])
    second = said.of(["ccc", "a", "bb"], predict)
    np.testing.assert_allclose(second[:, 0], [1 / 4, 1 / 2, 1 / 3])
    assert said.of(["a", "ccc"], predict).shape == (2, 2)
    assert predict.asked == [["bb", "a"], ["ccc"]]


def test_no_text_has_the_columns_all_the_same() -> None:
    assert Said().of([], Lengths()).shape == (0, 2)


def test_what_a_caller_does_to_the_answer_changes_nothing() -> None:
    said, predict = Said(), Lengths()
    said.of(["a"], predict)[:] = 7
    said.of(["a"], predict)[:] = 7
    np.testing.assert_allclose(said.of(["a"], predict), [[0.5, 0.5]])


def test_when_it_is_full_the_first_rows_stay_and_the_others_are_asked_for_again() -> None:
    said, predict = Said(max_bytes=600), Lengths()
    for _ in range(2):
        np.testing.assert_allclose(said.of(["a", "bb", "ccc"], predict)[:, 0], [1 / 2, 1 / 3, 1 / 4])
    assert predict.asked == [["a", "bb", "ccc"], ["ccc"]]


def test_what_was_said_outlives_the_process_to_the_last_bit(tmp_path: Path) -> None:
    texts = ["bb", "a", "", "\ud800 alone"]
    said, predict = Said(), Lengths()
    first = said.of(texts, predict)
    replace_arrays(tmp_path / "said", said.arrays())
    again = Said.from_arrays(read_arrays(tmp_path / "said"))
    np.testing.assert_array_equal(again.of(texts[::-1], predict), first[::-1])
    assert again.of(["ccc", "a"], predict).shape == (2, 2)
    assert predict.asked == [texts, ["ccc"]]


def test_nothing_said_is_no_arrays_and_other_arrays_say_nothing() -> None:
    assert Said().arrays() == {}
    for arrays in ({}, {"keys": np.zeros((2, 16), np.uint8)}, {"keys": np.zeros((2, 3)), "rows": np.zeros((2, 2))}):
        assert Said.from_arrays(arrays).arrays() == {}


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "said"
    replace_arrays(path, {"keys": np.zeros(1)})
    replace_arrays(path, {})
    monkeypatch.setattr(_folder, "write_arrays", _full)
    replace_arrays(path, {"keys": np.ones(1)})
    assert read_arrays(path)["keys"].tolist() == [0.0]
    assert [found.name for found in tmp_path.iterdir()] == ["said"]


def _full(path: Path, _arrays: object) -> None:
    path.write_bytes(b"half")
    raise OSError(28, "No space left on device")
