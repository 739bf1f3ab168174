"""The loop that fine-tunes a network on soft, weighted labels."""

import copy
import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_al.errors import StudentError
from llm_al.students._batches import TokenIds, pad, prediction_batches, training_batches
from llm_al.students._network import Network
from llm_al.types import Proba

__all__ = ["Recipe", "fine_tune", "predict_logits", "seeded"]

_log = logging.getLogger(__name__)
_N_TRIES = 3


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Parameters
    ----------
    epochs : int
        Passes over the training set.
    batch_size : int
        Examples a step, at most; batches of one epoch are nearly equal in size.
    encoder_lr, head_lr : float
        Peak learning rates of AdamW.
    warmup : float
        Share of the steps over which the rates rise; they fall linearly to zero afterwards.
    weight_decay : float
        Decoupled decay of matrices; biases and norms are left alone.
    max_grad_norm : float
        Length at which the gradient is cut.
    min_steps, max_steps : int
        Bounds on the number of steps: few labels get more epochs, many labels fewer.
    """

    epochs: int = 15
    batch_size: int = 16
    encoder_lr: float = 1e-4
    head_lr: float = 5e-3
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    min_steps: int = 0
    max_steps: int = 4000

    def n_steps(self, n: int) -> int:
        """Return the number of steps for `n` examples."""
        planned = self.epochs * math.ceil(n / self.batch_size)
        return min(max(planned, self.min_steps), self.max_steps)

    def rate(self, step: int, n_steps: int) -> float:
        """Return the learning-rate factor in (0, 1] of a zero-based step."""
        n_warm = max(1, round(self.warmup * n_steps))
        if step < n_warm:
            return (step + 1) / n_warm
        return (n_steps - step) / max(1, n_steps - n_warm)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and give the caller's random state back after it."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def has_bf16(device: torch.device) -> bool:
    """Say whether bfloat16 is faster than float32 on a device: by instructions, not by emulation."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch cannot say; then float32 is the safe choice.
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _autocast(device: torch.device, *, is_training: bool) -> AbstractContextManager[Any]:
    # Training on a CPU in bfloat16 has not been measured, so it stays in float32.
    if has_bf16(device) and not (is_training and device.type == "cpu"):
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _optimizer(network: Network, recipe: Recipe, slow_down: float) -> torch.optim.Optimizer:
    groups = []
    for module, rate in ((network.encoder, recipe.encoder_lr), (network.head, recipe.head_lr)):
        trained = [p for p in module.parameters() if p.requires_grad]
        for is_matrix in (True, False):
            members = [p for p in trained if (p.ndim > 1) == is_matrix]
            decay = recipe.weight_decay if is_matrix else 0.0
            groups.append({"params": members, "lr": rate * slow_down, "weight_decay": decay})
    return torch.optim.AdamW([group for group in groups if group["params"]], fused=True)


def _step_batches(lengths: NDArray[np.intp], recipe: Recipe, rng: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    n_left = recipe.n_steps(len(lengths))
    while n_left > 0:
        for batch in training_batches(lengths, recipe.batch_size, rng)[:n_left]:
            n_left -= 1
            yield batch


def _run(network: Network, data: "_Tensors", recipe: Recipe, seed: int, slow_down: float) -> bool:
    """Train in place; return False as soon as the loss is not finite."""
    device = data.device
    n_steps = recipe.n_steps(len(data.ids))
    optimizer = _optimizer(network, recipe, slow_down)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.rate(min(step, n_steps - 1), n_steps))
    parameters = [p for p in network.parameters() if p.requires_grad]
    network.train()
    for batch in _step_batches(data.lengths, recipe, np.random.default_rng(seed)):
        tokens, mask, targets, weights = data.take(batch)
        with _autocast(device, is_training=True):
            logits = network(tokens, mask)
        losses = -(targets * torch.log_softmax(logits, dim=-1)).sum(-1)
        loss = (losses * weights).mean()
        if not torch.isfinite(loss):
            return False
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
        optimizer.step()
        schedule.step()
    network.eval()
    return True


@dataclass(frozen=True)
class _Tensors:
    """The training set on its way to the device."""

    ids: TokenIds
    lengths: NDArray[np.intp]
    targets: Tensor
    weights: Tensor
    pad_id: int
    device: torch.device

    def take(self, batch: NDArray[np.intp]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        tokens, mask = pad([self.ids[i] for i in batch], self.pad_id)
        rows = torch.from_numpy(batch)
        parts = (tokens, mask, self.targets[rows], self.weights[rows])
        return tuple(part.to(self.device, non_blocking=True) for part in parts)  # type: ignore[return-value]


def fine_tune(
    network: Network,
    ids: TokenIds,
    *,
    targets: Proba,
    weights: NDArray[np.float64],
    recipe: Recipe,
    seed: int,
    pad_id: int,
) -> Network:
    """Train `network` in place and return it, in evaluation mode.

    The loss is the cross-entropy to soft targets, weighted by example; weights are scaled to mean 1 over the
    whole set, so that their unit does not act as a learning rate. One seed gives one result on one device.

    Parameters
    ----------
    network : Network
        On the device to train on.
    ids : list of list of int, length n
        Token ids, n >= 1.
    targets : ndarray of shape (n, c)
        Rows sum to 1.
    weights : ndarray of shape (n,)
        Positive.

    Raises
    ------
    StudentError
        If the loss is not finite at the full, half and quarter learning rate.
    """
    device = network.head.weight.device
    lengths = np.array([len(sequence) for sequence in ids], dtype=np.intp)
    scaled = torch.as_tensor(weights / weights.mean(), dtype=torch.float32)
    data = _Tensors(ids, lengths, torch.as_tensor(targets, dtype=torch.float32), scaled, pad_id, device)
    start = copy.deepcopy(network.state_dict())
    for attempt in range(_N_TRIES):
        with seeded(seed, device):
            if _run(network, data, recipe, seed, 0.5**attempt):
                return network
        network.load_state_dict(start)
        _log.warning("the loss is not finite at learning rate %g; halved", recipe.encoder_lr * 0.5**attempt)
    raise StudentError(
        f"training diverged {_N_TRIES} times, the last at encoder learning rate "
        f"{recipe.encoder_lr * 0.5 ** (_N_TRIES - 1):g}; lower encoder_lr or look for NaN in the weights"
    )


def predict_logits(network: Network, ids: TokenIds, *, pad_id: int, max_batch_tokens: int) -> NDArray[np.float64]:
    """Return logits of shape (n, c), float64, in the order of `ids`; n = 0 gives shape (0, c)."""
    device = network.head.weight.device
    logits = np.zeros((len(ids), network.head.out_features))
    lengths = np.array([len(sequence) for sequence in ids], dtype=np.intp)
    network.eval()
    with torch.inference_mode(), _autocast(device, is_training=False):
        for batch in prediction_batches(lengths, max_batch_tokens):
            tokens, mask = pad([ids[i] for i in batch], pad_id)
            logits[batch] = network(tokens.to(device), mask.to(device)).cpu().numpy()
    return logits
