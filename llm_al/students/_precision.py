"""Which number format to compute in, and copies of weights in it."""

import copy
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

__all__ = ["PRECISIONS", "autocast", "has_bf16", "in_bf16", "is_half", "mark"]

PRECISIONS = ("auto", "fp32", "bf16")
"""`auto` takes bfloat16 where the device has instructions for it."""


def has_bf16(device: torch.device) -> bool:
    """Say whether bfloat16 is faster than float32 on a device: by instructions, not by emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch cannot say; then float32 is the safe choice.
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def is_half(device: torch.device, precision: str) -> bool:
    """Say whether a network computes in bfloat16 on this device under one of `PRECISIONS`."""
    return precision == "bf16" or (precision == "auto" and has_bf16(device))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """Run matrix products in bfloat16 inside the block where `is_half` says so; weights stay in float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if is_half(device, precision) else nullcontext()


def in_bf16(encoder: nn.Module) -> nn.Module:
    """Return a copy with weights in bfloat16, in evaluation mode and without gradients.

    Autocast keeps no cast weights in inference mode: it casts all of them in every batch, which costs a tenth of
    the time on short batches. Norms and softmax still sum in float32 inside their kernels.
    """
    return copy.deepcopy(encoder).to(torch.bfloat16).eval().requires_grad_(False)


def mark(encoder: nn.Module) -> tuple[tuple[int, int], ...]:
    """Return what changes whenever a weight is replaced, moved or written to."""
    tensors = [*encoder.parameters(), *encoder.buffers()]
    return tuple((tensor.data_ptr(), tensor._version) for tensor in tensors)
