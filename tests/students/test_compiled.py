from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from llm_al.students._compiled import Compiled


class _Double(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * 2


def _broken_at_once(encoder: nn.Module, dynamic: bool) -> Callable[..., Any]:
    raise RuntimeError("no C++ compiler\nlisting")


def _broken_when_called(encoder: nn.Module, dynamic: bool) -> Callable[..., Any]:
    def call(**inputs: Any) -> Any:
        raise RuntimeError("no kernel")

    return call


def _out_of_memory(encoder: nn.Module, dynamic: bool) -> Callable[..., Any]:
    def call(**inputs: Any) -> Any:
        raise MemoryError

    return call


def test_the_compiled_encoder_is_called_with_shapes_that_may_change() -> None:
    seen = []

    def compiler(encoder: nn.Module, dynamic: bool) -> Callable[..., Any]:
        seen.append(dynamic)
        return lambda x: encoder(x) + 1

    assert Compiled(_Double(), compiler)(x=torch.ones(1)).item() == 3
    assert seen == [True]


@pytest.mark.parametrize("compiler", [_broken_at_once, _broken_when_called])
def test_what_cannot_be_compiled_runs_as_it_is_and_says_so_once(
    compiler: Any, caplog: pytest.LogCaptureFixture
) -> None:
    run = Compiled(_Double(), compiler)
    assert run(x=torch.ones(1)).item() == 2
    assert run(x=torch.ones(1)).item() == 2
    assert caplog.text.count("could not be compiled (RuntimeError: no ") == 1
    assert "listing" not in caplog.text


def test_want_of_memory_is_no_fault_of_the_compiler() -> None:
    with pytest.raises(MemoryError):
        Compiled(_Double(), _out_of_memory)(x=torch.ones(1))
