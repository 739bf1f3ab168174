"""Parameter groups: split and layer-wise learning rates, decay of matrices only."""

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

__all__ = ["depths", "make_optimizer"]

# Token embeddings stand below every layer; encoders number their layers inside a list named so.
_LAYER = re.compile(r"\b(?:layer|layers|h|block|blocks)\.(\d+)\.")


def depths(encoder: nn.Module) -> dict[str, int]:
    """Return, by parameter name, how many layers lie above it; 0 for the top layer and what follows it."""
    found = {name: _LAYER.search(name) for name, _ in encoder.named_parameters()}
    n_layers = 1 + max((int(match.group(1)) for match in found.values() if match), default=-1)
    return {name: _depth(name, match, n_layers) for name, match in found.items()}


def _depth(name: str, match: re.Match[str] | None, n_layers: int) -> int:
    if match is not None:
        return n_layers - 1 - int(match.group(1))
    return n_layers if "embed" in name else 0


def make_optimizer(
    encoder: nn.Module, head: nn.Module, *, encoder_lr: float, head_lr: float, layer_decay: float, weight_decay: float
) -> torch.optim.Optimizer:
    """Return AdamW over the parameters that are trained.

    Parameters
    ----------
    encoder, head : nn.Module
    encoder_lr, head_lr : float
        Rates of the encoder's top layer and of the head.
    layer_decay : float
        In (0, 1]: a layer learns at this share of the rate of the layer above it [1]_.
    weight_decay : float
        Decoupled decay of matrices; biases and norms are left alone.

    References
    ----------
    .. [1] Howard & Ruder (2018). Universal language model fine-tuning for text classification. ACL 2018.
           The paper's share is 1 / 2.6.
    """
    by_depth = depths(encoder)
    rated = [(p, encoder_lr * layer_decay ** by_depth[name]) for name, p in encoder.named_parameters()]
    rated += [(p, head_lr) for p in head.parameters()]
    return torch.optim.AdamW(list(_groups(rated, weight_decay)), fused=True)


def _groups(rated: list[tuple[nn.Parameter, float]], weight_decay: float) -> Iterator[dict[str, Any]]:
    """Join trained parameters of one rate and one decay: the fused kernel runs once a group."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter, rate in rated:
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    for (rate, decay), members in groups.items():
        yield {"params": members, "lr": rate, "weight_decay": decay}
