"""The loop that fine-tunes a network on soft, weighted labels."""

import copy
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from llm_al.errors import StudentError
from llm_al.students._batches import training_batches, with_share
from llm_al.students._material import Material, Part, excess, mixed
from llm_al.students._memory import free, is_out_of_memory
from llm_al.students._network import Network
from llm_al.students._optimiser import make_optimizer
from llm_al.students._precision import autocast
from llm_al.types import TrainingSet

__all__ = ["Recipe", "fine_tune", "seeded", "with_others"]

_log = logging.getLogger(__name__)
_N_TRIES = 3
# An epoch whose loss falls by less than this share has not got better.
_PROGRESS = 0.01


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
    layer_decay : float
        In (0, 1]: each layer learns at this share of the rate of the layer above it.
    warmup : float
        Share of the steps over which the rates rise; they fall linearly to zero afterwards.
    weight_decay : float
        Decoupled decay of matrices; biases and norms are left alone.
    max_grad_norm : float
        Length at which the gradient is cut.
    min_steps, max_steps : int
        Bounds on the number of steps: few labels get more epochs, many labels fewer.
    label_smoothing : float
        In [0, 1): share of every target that is spread over all classes.
    class_weight : float
        In [0, 1]: power of the inverse class frequency that multiplies example weights.
    min_human_share : float
        In [0, 1]: least share of a batch's rows that people labelled, when the set says who labelled what.
    stop_loss : float
        Training ends after an epoch whose mean loss, above the entropy of the targets, is below this; 0 never.
        No label is spent on validation.
    patience : int
        Training ends after so many epochs in a row without a fall of that loss by a hundredth; 0 never.
    """

    epochs: int = 15
    batch_size: int = 16
    encoder_lr: float = 1e-4
    head_lr: float = 5e-3
    layer_decay: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    min_steps: int = 0
    max_steps: int = 4000
    label_smoothing: float = 0.0
    class_weight: float = 0.0
    min_human_share: float = 0.25
    stop_loss: float = 0.0
    patience: int = 0

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


def with_others(recipe: Recipe, rows: Material | TrainingSet) -> Recipe:
    """Return the recipe with twice the steps of people's rows alone, where there are others among them."""
    n_human = len(rows) if rows.is_human is None else int(rows.is_human.sum())
    if n_human in (0, len(rows)):
        return recipe
    n_steps = min(2 * recipe.n_steps(n_human), recipe.max_steps)
    return replace(recipe, min_steps=n_steps, max_steps=n_steps)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch inside the block and give the caller's random state back after it."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


@dataclass
class _Stop:
    """Ends training early by the training loss alone, at the end of an epoch."""

    recipe: Recipe
    total: float = 0.0
    n_rows: int = 0
    best: float = math.inf
    n_flat: int = 0

    def see(self, loss: float, n_rows: int) -> None:
        self.total += loss * n_rows
        self.n_rows += n_rows

    def is_due(self) -> bool:
        mean = self.total / max(1, self.n_rows)
        self.total, self.n_rows = 0.0, 0
        self.n_flat = 0 if mean < (1.0 - _PROGRESS) * self.best else self.n_flat + 1
        self.best = min(self.best, mean)
        return mean < self.recipe.stop_loss or 0 < self.recipe.patience <= self.n_flat


@dataclass
class _Stepper:
    """Computes gradients of a batch, in as many parts as memory needs."""

    network: Network
    data: Material
    rng: np.random.Generator
    n_parts: int = 1
    losses: list[float] = field(default_factory=list)

    def backward(self, batch: NDArray[np.intp]) -> float | None:
        """Accumulate gradients; return the mean excess loss, or None as soon as the loss is not finite.

        Out of memory, the batch is halved, and halved again; gradients add up to those of the whole batch.
        """
        while True:
            try:
                self.network.zero_grad(set_to_none=True)
                return self._in_parts(batch)
            except Exception as exc:
                if not is_out_of_memory(exc) or self.n_parts >= len(batch):
                    raise
                self.n_parts *= 2
                _log.warning(
                    "out of memory with %d rows at once; going on with batches in %d parts", len(batch), self.n_parts
                )
            self.network.zero_grad(set_to_none=True)
            free(self.network.device)

    def _in_parts(self, batch: NDArray[np.intp]) -> float | None:
        total = 0.0
        for rows in np.array_split(batch, min(self.n_parts, len(batch))):
            part = self.data.take(rows, self.network.device)
            loss, above = self._loss(part)
            share = len(rows) / len(batch)
            if not torch.isfinite(loss):
                return None
            torch.autograd.backward(loss * share)
            total += above * share
        return total

    def _loss(self, part: Part) -> tuple[torch.Tensor, float]:
        with autocast(self.network.device, self.network.precision):
            features = self.network.features(part.tokens, part.mask)
        targets, weights = part.targets, part.weights
        if self.data.mixup > 0:
            features, targets, weights = mixed(features, part, self.data.mixup, self.rng)
        losses, above = excess(targets, self.network.head(features * self.network.scale))
        return (losses * weights).mean(), float((above * weights).mean())


def _epochs(data: Material, recipe: Recipe, rng: np.random.Generator) -> Iterator[list[NDArray[np.intp]]]:
    lengths, n_left = data.lengths, recipe.n_steps(len(data))
    while n_left > 0:
        batches = training_batches(lengths, recipe.batch_size, rng)[:n_left]
        n_left -= len(batches)
        if data.is_human is not None and recipe.min_human_share > 0:
            batches = [with_share(batch, data.is_human, recipe.min_human_share, rng) for batch in batches]
        yield batches


def _run(network: Network, data: Material, recipe: Recipe, seed: int, slow_down: float) -> bool:
    """Train in place; return False as soon as the loss is not finite."""
    n_steps = recipe.n_steps(len(data))
    optimizer = make_optimizer(
        network.encoder,
        network.head,
        encoder_lr=recipe.encoder_lr * slow_down,
        head_lr=recipe.head_lr * slow_down,
        layer_decay=recipe.layer_decay,
        weight_decay=recipe.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: recipe.rate(min(step, n_steps - 1), n_steps))
    parameters = [p for p in network.parameters() if p.requires_grad]
    rng = np.random.default_rng(seed)
    stepper, stop = _Stepper(network, data, np.random.default_rng([seed, 1])), _Stop(recipe)
    network.train()
    for batches in _epochs(data, recipe, rng):
        for batch in batches:
            loss = stepper.backward(batch)
            if loss is None:
                return False
            torch.nn.utils.clip_grad_norm_(parameters, recipe.max_grad_norm)
            optimizer.step()
            schedule.step()
            stop.see(loss, len(batch))
        if stop.is_due():
            break
    network.zero_grad(set_to_none=True)
    network.eval()
    return True


def fine_tune(network: Network, material: Material, *, recipe: Recipe, seed: int) -> Network:
    """Train `network` in place and return it, in evaluation mode.

    The loss is the cross-entropy to soft targets, weighted by example; weights are scaled to mean 1 over the
    whole set, so that their unit does not act as a learning rate. One seed gives one result on one device.
    A batch that does not fit into memory is halved and its gradients added up, and a warning says so.

    Parameters
    ----------
    network : Network
        On the device to train on.
    material : Material
    recipe : Recipe
    seed : int
        Decides the order of examples, dropout and mixing.

    Raises
    ------
    StudentError
        If the loss is not finite at the full, half and quarter learning rate.
    """
    data = material.prepared(label_smoothing=recipe.label_smoothing, class_weight=recipe.class_weight)
    start = copy.deepcopy(network.state_dict())
    for attempt in range(_N_TRIES):
        with seeded(seed, network.device):
            if _run(network, data, recipe, seed, 0.5**attempt):
                return network
        network.load_state_dict(start)
        _log.warning("the loss is not finite at learning rate %g; halved", recipe.encoder_lr * 0.5**attempt)
    raise StudentError(
        f"training diverged {_N_TRIES} times, the last at encoder learning rate "
        f"{recipe.encoder_lr * 0.5 ** (_N_TRIES - 1):g}; lower encoder_lr or look for NaN in the weights"
    )
