"""How fine-tuned encoders of two kinds and of several rounds speak together."""

from pathlib import Path
from typing import Any, cast

import pytest

from llm_al.errors import StudentError
from llm_al.students._tuned import Tuned, read_tuned, weights_of, with_earlier


def tuned(n_labels: int = 10, *, is_taught: bool = False) -> Tuned:
    return Tuned(cast(Any, None), n_labels, is_taught)


def test_a_kind_counts_the_same_however_many_there_are_of_it() -> None:
    taught, own = tuned(is_taught=True), [tuned(), tuned()]
    assert weights_of([taught]) == [2.0]
    assert weights_of(own) == [0.5, 0.5]
    assert weights_of([own[0], taught, own[1]]) == [0.5, 2.0, 0.5]


def test_each_kind_keeps_its_newest_that_knew_nearly_as_many_labels() -> None:
    now = [tuned(40, is_taught=True), tuned(40)]
    before = [tuned(n, is_taught=kind) for n in (39, 35, 31, 29) for kind in (True, False)]
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
