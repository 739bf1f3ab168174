"""A bound on the CPU threads of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["threads"]


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Let torch use at most `n` threads inside the block, and what it used before after it; None changes nothing."""
    before = torch.get_num_threads()
    if n is None or n >= before:
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
