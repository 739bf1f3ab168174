import math
from functools import partial
from pathlib import Path

import pytest
import torch

from llm_al.distillation import measured
from llm_al.distillation.measured import bytes_on_disk, texts_per_s, threads


class Clock:
    """Time that passes only when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(measured, "time", made)
    return made


def test_speed_is_that_of_the_best_of_three_passes_in_batches_of_32(clock: Clock) -> None:
    seen: list[int] = []
    # The first call warms up; then two batches a pass.
    seconds = iter([9.0, 2.0, 2.0, 1.0, 1.0, 3.0, 3.0])

    def predict(texts: list[str]) -> None:
        seen.append(len(texts))
        clock.now += next(seconds)

    assert texts_per_s([predict], ["text"] * 40, 1) == pytest.approx([40 / 2.0])
    assert seen == [32, 32, 8, 32, 8, 32, 8]


def test_passes_take_turns(clock: Clock) -> None:
    turns: list[str] = []

    def predict(name: str, texts: list[str]) -> None:
        turns.append(name)
        clock.now += 1.0 if name == "a" else 2.0

    found = texts_per_s([partial(predict, "a"), partial(predict, "b")], ["text"] * 8, 1)
    assert "".join(turns) == "ab" + "ab" * 3
    assert found == pytest.approx([8.0, 4.0])


def test_a_slow_pass_ends_early_and_counts_what_it_did(clock: Clock) -> None:
    def predict(texts: list[str]) -> None:
        clock.now += 11.0

    assert texts_per_s([predict], ["text"] * 96, 1) == pytest.approx([32 / 11.0])


def test_no_text_has_no_speed() -> None:
    assert math.isnan(texts_per_s([len], [], 1)[0])


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


def test_bytes_are_those_of_every_file_below(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "deep").write_bytes(b"123")
    (tmp_path / "top").write_bytes(b"12")
    assert bytes_on_disk(tmp_path) == 5
