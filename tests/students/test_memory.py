from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from llm_al.students._material import Material
from llm_al.students._memory import is_out_of_memory
from llm_al.students._network import Network
from llm_al.students._prediction import predict_logits
from llm_al.students.training import Recipe, fine_tune

IDS = [[1, 2], [3, 4, 5], [6], [7, 8], [2, 3], [4], [5, 6, 7], [8]]
_NO_ROOM = MemoryError()
TARGETS = np.eye(2)[[0, 0, 1, 1, 0, 0, 1, 1]]


class _Output:
    def __init__(self, last_hidden_state: Tensor) -> None:
        self.last_hidden_state = last_hidden_state


class _Small(nn.Module):
    """An encoder on a device that holds `room` rows and no more."""

    def __init__(self, room: int, error: BaseException) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vectors = nn.Embedding(20, 4)
        self.room, self.error = room, error

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None) -> _Output:
        if len(input_ids) > self.room:
            raise self.error
        return _Output(self.vectors(input_ids))


def _network(room: int, error: BaseException = _NO_ROOM) -> Network:
    with torch.random.fork_rng():
        return Network(_Small(room, error), 4, 2, scale=8.0, precision="fp32")


def _fit(network: Network) -> Network:
    recipe = Recipe(epochs=6, batch_size=8, encoder_lr=0.05, head_lr=0.05)
    return fine_tune(network, Material(IDS, TARGETS, np.ones(8)), recipe=recipe, seed=3)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("not enough memory: you tried to allocate 4 bytes"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_out_of_memory_halves_the_batch_and_reaches_the_same_weights(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    roomy, tight = _fit(_network(100)), _fit(_network(2, error))
    assert torch.allclose(tight.head.weight, roomy.head.weight, atol=1e-5)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "out of memory with 8 rows at once; going on with batches in 2 parts",
        "out of memory with 8 rows at once; going on with batches in 4 parts",
    ]


def test_a_single_row_that_does_not_fit_is_the_callers_error() -> None:
    with pytest.raises(MemoryError):
        _fit(_network(0))


def test_another_error_is_not_taken_for_want_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        _fit(_network(2, RuntimeError("shapes")))


def test_prediction_out_of_memory_goes_on_with_half_the_rows(caplog: pytest.LogCaptureFixture) -> None:
    def predicted(room: int) -> Any:
        network = _network(room)
        nn.init.normal_(network.head.weight, generator=torch.Generator().manual_seed(1))
        return predict_logits(network, IDS, pad_id=0, max_batch_tokens=100)

    assert predicted(3) == pytest.approx(predicted(100))
    assert "out of memory predicting 8 texts at once; going on with half as many" in caplog.text
    with pytest.raises(MemoryError):
        predicted(0)
