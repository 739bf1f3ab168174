import pytest
import torch

from llm_al.students._threads import threads


@pytest.fixture(autouse=True)
def _four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    state = {"n": 4}
    monkeypatch.setattr(torch, "get_num_threads", lambda: state["n"])
    monkeypatch.setattr(torch, "set_num_threads", lambda n: state.update(n=n))


@pytest.mark.parametrize(("bound", "inside"), [(1, 1), (9, 4), (None, 4)])
def test_threads_are_bounded_inside_and_restored_after(bound: int | None, inside: int) -> None:
    with threads(bound):
        assert torch.get_num_threads() == inside
    assert torch.get_num_threads() == 4


def test_threads_are_restored_after_an_error() -> None:
    with pytest.raises(KeyError), threads(2):
        raise KeyError
    assert torch.get_num_threads() == 4
