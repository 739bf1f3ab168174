"""An encoder whose token states are pooled to unit length, and a linear head."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from llm_al.errors import StudentError
from llm_al.students._packed import can_pack, pack
from llm_al.students._pooling import MEAN, n_parts, pooled
from llm_al.students._precision import in_bf16, is_half, mark

__all__ = ["Network", "choose_device", "freeze", "load_encoder", "load_tokenizer", "longest_input", "without_bars"]

# The library leaves these without types.
_logging: Any = transformers_logging
_AnyModel: Any = AutoModel


@contextmanager
def without_bars() -> Iterator[None]:
    """Load models in silence: the library draws a bar for every load, also into a log file."""
    was_shown = _logging.is_progress_bar_enabled()
    _logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_shown:
            _logging.enable_progress_bar()


class Network(nn.Module):
    """Logits from token ids: encoder, pooling over tokens, unit length times `scale`, linear head.

    Unit length bounds the logits, which keeps a fit on thirty labels from becoming sure of itself.

    Parameters
    ----------
    encoder : nn.Module
        Takes token ids and a mask, gives ``last_hidden_state``.
    n_dimensions, n_classes : int
        The former is the encoder's width.
    scale : float
    precision : str
        One of `_precision.PRECISIONS`.
    pooling : str
        ``mean`` or ``mean+first``, see `_pooling.pooled`.
    first : int
        Position of a text's first own token.
    """

    def __init__(
        self,
        encoder: nn.Module,
        n_dimensions: int,
        n_classes: int,
        scale: float,
        precision: str = "auto",
        *,
        pooling: str = MEAN,
        first: int = 0,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(n_dimensions * n_parts(pooling), n_classes)
        self.scale = scale
        self.precision = precision
        self.pooling = pooling
        self.first = first
        self.wrap: Callable[[nn.Module], Callable[..., Any]] | None = None
        """Makes an encoder faster, such as a compiler; None runs it as it is."""
        self._runs: dict[str, tuple[Any, Callable[..., Any]]] = {}
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights lie."""
        return self.head.weight.device

    def features(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Return unit vectors, shape (b, d), float32; without a mask every token counts."""
        return self._pooled(self._trained_run(), tokens, mask)

    def forward(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Return logits, shape (b, c)."""
        logits: Tensor = self.head(self.features(tokens, mask) * self.scale)
        return logits.float()

    def quick_features(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Return what `features` does, for prediction only: no gradients, in bfloat16 where that is faster."""
        return self._pooled(self._predicting_run(), tokens, mask)

    def quick_logits(self, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """Return what `forward` does, for prediction only; the head computes in float32."""
        logits: Tensor = self.head(self.quick_features(tokens, mask) * self.scale)
        return logits

    def logits_of(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits that the head gives to unit vectors, (n, c)."""
        weight, bias = (part.detach().double().cpu().numpy() for part in (self.head.weight, self.head.bias))
        logits: NDArray[np.float64] = self.scale * features @ weight.T + bias
        return logits

    def forget_copies(self) -> None:
        """Drop what prediction holds beside the weights."""
        self._runs.clear()

    def _pooled(self, run: Callable[..., Any], tokens: Tensor, mask: Tensor | None) -> Tensor:
        states = run(input_ids=tokens, attention_mask=mask).last_hidden_state
        return pooled(states, mask, self.pooling, self.first)

    def _trained_run(self) -> Callable[..., Any]:
        if self.wrap is None:
            return self.encoder
        kept = self._runs.get("training")
        if kept is None or kept[0] is not self.encoder:
            kept = self._runs["training"] = (self.encoder, self.wrap(self.encoder))
        return kept[1]

    def _predicting_run(self) -> Callable[..., Any]:
        if not is_half(self.device, self.precision):
            return self._trained_run()
        now = mark(self.encoder)
        kept = self._runs.get("prediction")
        if kept is None or kept[0] != now:
            # The old copy goes first, so that there are never two.
            self._runs.pop("prediction", None)
            kept = self._runs["prediction"] = (now, self._half())
        return kept[1]

    def _half(self) -> Callable[..., Any]:
        half = in_bf16(self.encoder)
        if self.wrap is not None:
            return self.wrap(half)
        return pack(half) if can_pack(self.device) else half


def choose_device(name: str | None) -> torch.device:
    """Return the named device, or CUDA when there is one, else the CPU."""
    if name is not None:
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_encoder(folder: str | Path, *, has_weights: bool = True) -> tuple[nn.Module, Any]:
    """Return the encoder and its configuration from a local folder; without weights, its shape only.

    Raises
    ------
    StudentError
        If transformers cannot build it.
    """
    try:
        with without_bars():
            config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
            if not has_weights:
                return _AnyModel.from_config(config), config
            return _AnyModel.from_pretrained(str(folder), local_files_only=True, dtype=torch.float32), config
    except (OSError, ValueError, KeyError) as exc:
        raise StudentError(f"cannot load the encoder in {folder}: {exc}; name another encoder") from exc


def load_tokenizer(folder: str | Path) -> Any:
    """Return the tokeniser from a local folder.

    Raises
    ------
    StudentError
        If the folder has none.
    """
    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as exc:
        raise StudentError(f"cannot load a tokeniser from {folder}: {exc}; name another encoder") from exc


def longest_input(config: Any, tokenizer: Any, max_tokens: int) -> int:
    """Return `max_tokens`, or less where the encoder takes less."""
    # Tokenisers without a limit say so with a huge number.
    limits = [max_tokens, int(min(tokenizer.model_max_length, 1_000_000))]
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions > 8:
        limits.append(int(positions))
    return min(limits)


def freeze(encoder: nn.Module, n_layers: int | None) -> None:
    """Stop gradients into the token embeddings and the first layers, where the encoder names them so.

    None takes a third of the layers, rounded down.
    """
    frozen: list[Any] = [getattr(encoder, "embeddings", None)]
    stack: Any = getattr(encoder, "encoder", encoder)
    layers: Any = getattr(stack, "layer", getattr(stack, "layers", None))
    if layers is not None:
        frozen += list(layers[: len(layers) // 3 if n_layers is None else n_layers])
    for module in frozen:
        if module is not None:
            module.requires_grad_(False)
