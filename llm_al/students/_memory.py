"""Running out of memory: how it looks, and work in parts that fit."""

import torch

__all__ = ["free", "is_out_of_memory"]


# What torch says on a CPU, where it has no error of its own: "DefaultCPUAllocator: can't allocate memory",
# "not enough memory: you tried to allocate", and oneDNN's "out of memory".
_WORDS = ("can't allocate memory", "not enough memory", "out of memory", "out_of_memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Say whether an error means that smaller parts may succeed."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in _WORDS)


def free(device: torch.device) -> None:
    """Give back what the allocator of an accelerator holds and nobody uses."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
