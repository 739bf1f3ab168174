"""Linear layers whose bfloat16 weights lie in memory as the CPU kernel wants them."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.activations import GELUActivation

__all__ = ["Packed", "can_pack", "pack"]

# Rows that the layout is chosen for; any number of rows computes.
_TYPICAL_ROWS = 2048


class Packed(nn.Module):
    """A linear layer for prediction; without it, every call lays the weights out anew, a tenth of its time."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._laid_out = _ops()._reorder_linear_weight(linear.weight.detach(), _TYPICAL_ROWS)
        bias: Tensor | None = linear.bias
        self.bias = None if bias is None else bias.detach()
        # Some encoders ask a layer for its type before they call it.
        self.weight = torch.empty_like(linear.weight.detach(), device="meta")
        self.activation = "none"
        """What the kernel applies to the product while it is in the cache: "none" or "gelu"."""

    def forward(self, x: Tensor) -> Tensor:
        """Return what the linear layer does."""
        product: Tensor = _ops()._linear_pointwise(x, self._laid_out, self.bias, self.activation, [], "none")
        return product


def _ops() -> Any:
    return torch.ops.mkldnn


def can_pack(device: torch.device) -> bool:
    """Say whether this build of torch packs weights: the calls are those of its own compiler, not public ones."""
    backend: Any = torch.backends.mkldnn
    if device.type != "cpu" or not backend.is_available():
        return False
    try:
        with torch.inference_mode():
            layer = nn.Linear(32, 32, device=device, dtype=torch.bfloat16)
            Packed(layer)(torch.ones(1, 32, dtype=torch.bfloat16))
    except (RuntimeError, AttributeError, NotImplementedError):
        return False
    return True


def pack(encoder: nn.Module) -> nn.Module:
    """Replace the linear layers of an encoder in place, and return it; kinds that derive from them stay."""
    for name, child in encoder.named_children():
        if type(child) is nn.Linear:
            setattr(encoder, name, Packed(child))
        else:
            pack(child)
    _fuse_gelu(encoder)
    return encoder


def _fuse_gelu(block: nn.Module) -> None:
    """Let the first half of a BERT-like feed-forward block apply its GELU within the product."""
    dense, activation = getattr(block, "dense", None), getattr(block, "intermediate_act_fn", None)
    is_exact = getattr(activation, "approximate", "none") == "none"
    if is_exact and isinstance(dense, Packed) and isinstance(activation, nn.GELU | GELUActivation):
        dense.activation = "gelu"
        block.intermediate_act_fn = nn.Identity()
