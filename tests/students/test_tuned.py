"""How fine-tuned encoders of two kinds and of several rounds speak together."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from llm_al.errors import StudentError
from llm_al.students._tuned import Tuned, joined, read_tuned, weight_of, with_earlier

TEXTS = ["one", "two"]


class Fixed:
    """Says the same of every text."""

    def __init__(self, *proba: float) -> None:
        self.proba = np.array([proba])

    def predict_proba(self, texts: list[str], **_: Any) -> np.ndarray:
        return np.repeat(self.proba, len(texts), axis=0)


def tuned(first: float, n_labels: int = 10, *, is_taught: bool = False) -> Tuned:
    return Tuned(cast(Any, Fixed(first, 1 - first)), n_labels, is_taught)


def test_a_kind_counts_the_same_however_many_there_are_of_it() -> None:
    taught, own = tuned(0.8, is_taught=True), [tuned(0.3), tuned(0.6)]
    assert weight_of([taught]) == 2.0
    assert weight_of(own) == 1.0
    assert weight_of([taught, *own]) == 3.0
    odds = (0.8 / 0.2) ** (2 / 3) * (0.3 / 0.7) ** (1 / 6) * (0.6 / 0.4) ** (1 / 6)
    expected = np.array([odds, 1.0]) / (1.0 + odds)
    assert np.allclose(joined([taught, *own], TEXTS), [expected, expected])
    assert np.allclose(joined([taught], TEXTS), [[0.8, 0.2]] * 2)


def test_each_kind_keeps_its_newest_that_knew_nearly_as_many_labels() -> None:
    now = [tuned(0.5, 40, is_taught=True), tuned(0.5, 40)]
    before = [tuned(0.5, n, is_taught=kind) for n in (39, 35, 31, 29) for kind in (True, False)]
    kept = with_earlier(now, before, 2, 0.75)
    assert [(one.n_labels, one.is_taught) for one in kept] == [
        (40, True),
        (40, False),
        (39, True),
        (35, True),
        (39, False),
        (35, False),
    ]
    assert with_earlier(now, before, 0, 0.75) == tuple(now)
    assert [one.n_labels for one in with_earlier(now[:1], before, 9, 0.75)] == [40, 39, 35, 31, 39, 35, 31]


def test_one_that_is_missing_is_a_clear_error(tmp_path: Path) -> None:
    assert read_tuned(tmp_path, {}, []) == ()
    with pytest.raises(StudentError, match="transformer"):
        read_tuned(tmp_path, {"is_taught": True}, [12])
