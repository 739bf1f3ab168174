import threading

import pytest

from llm_al.errors import StoreError
from llm_al.people.background import Background


class Source:
    """A result that can be held up, with a state that can be moved on."""

    def __init__(self) -> None:
        self.key = 0
        self.n_made = 0
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def make(self) -> int:
        self.gate.wait(10.0)
        self.n_made += 1
        if self.error is not None:
            raise self.error
        return self.key


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def background(source: Source) -> Background[int]:
    return Background(source.make, lambda: source.key)


def test_a_result_is_made_once_for_each_state(source: Source, background: Background[int]) -> None:
    for _ in range(3):
        made = background.look(10.0)
        assert made is not None
        assert made.value == 0
    assert source.n_made == 1


def test_a_request_gets_the_old_result_when_the_new_one_is_not_ready(
    source: Source, background: Background[int]
) -> None:
    background.look(10.0)
    background._rests_until = 0.0
    source.key, source.gate = 1, threading.Event()
    made = background.look(0.0)
    assert made is not None
    assert (made.value, made.key, background.is_running) == (0, 0, True)
    source.gate.set()
    background.join(10.0)
    assert background.last is not None
    assert background.last.value == 1


def test_nothing_is_there_before_the_first_is_ready(source: Source, background: Background[int]) -> None:
    source.gate = threading.Event()
    assert background.look(10.0, first_s=0.0) is None
    source.gate.set()
    background.join(10.0)
    assert background.look(0.0) is not None


def test_after_a_making_it_rests_although_the_state_has_moved(source: Source, background: Background[int]) -> None:
    background.look(10.0)
    source.key = 1
    background._rests_until = float("inf")
    made = background.look(10.0)
    assert made is not None
    assert (made.value, source.n_made) == (0, 1)


@pytest.mark.parametrize(
    ("error", "words"),
    [(StoreError("the disk is gone"), "the disk is gone"), (ZeroDivisionError(), "failed with ZeroDivisionError")],
)
def test_a_failure_is_kept_in_words_and_tried_again_in_another_state(
    source: Source, background: Background[int], error: Exception, words: str
) -> None:
    source.error = error
    assert background.look(10.0) is None
    assert words in background.failure
    assert background.look(10.0) is None
    assert source.n_made == 1
    source.key, source.error = 1, None
    made = background.look(10.0)
    assert made is not None
    assert (made.value, background.failure) == (1, "")
