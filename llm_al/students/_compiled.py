"""An encoder that is compiled, or runs as it is when compiling fails."""

import logging
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from llm_al.students._memory import is_out_of_memory

__all__ = ["Compiled"]

_log = logging.getLogger(__name__)


class Compiled:
    """Call an encoder through torch.compile with shapes that may change; the first failure ends that for good.

    Compiling happens at the first call, needs a C++ compiler on a CPU and takes up to a minute, so that it pays for
    large pools only.

    Parameters
    ----------
    encoder : nn.Module
    compiler : callable
        Takes the encoder and ``dynamic``, returns a faster callable.
    """

    def __init__(self, encoder: nn.Module, compiler: Callable[..., Any] = torch.compile) -> None:
        self._encoder = encoder
        self._fast: Callable[..., Any] | None = None
        try:
            self._fast = compiler(encoder, dynamic=True)
        except Exception as exc:
            self._give_up(exc)

    def __call__(self, **inputs: Any) -> Any:
        """Return the encoder's output."""
        if self._fast is not None:
            try:
                return self._fast(**inputs)
            except Exception as exc:
                if is_out_of_memory(exc):
                    raise
                self._give_up(exc)
        return self._encoder(**inputs)

    def _give_up(self, error: Exception) -> None:
        self._fast = None
        # The rest of such a message is a listing of generated code.
        first = str(error).strip().split("\n")[0][:200]
        _log.warning("the encoder could not be compiled (%s: %s); going on without", type(error).__name__, first)
