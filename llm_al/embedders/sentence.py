"""A fixed sentence encoder on sentence-transformers."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from llm_al.errors import ConfigError
from llm_al.layers import N_VIEWS, has_layers, with_layers
from llm_al.weights import resolve

__all__ = ["Sentence"]

_READ_BYTES = 1 << 20
# Weight files up to this size are read whole for the fingerprint, larger ones at evenly spaced places.
_WHOLE_FILE_BYTES = 1 << 29
_N_PLACES = 64
# No tokenizer needs more text than this for one token; the rest would only cost time.
_CHARACTERS_PER_TOKEN = 64


def has_bf16(device: str) -> bool:
    """Say whether bfloat16 is faster than float32 on a torch device: by instructions, not by emulation."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Older torch cannot say; then float32 is the safe choice.
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    capabilities: Mapping[str, Any] = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """Keep the loading bar of the weights off the user's terminal."""
    was_enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if was_enabled:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _samples(path: Path) -> Iterator[bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        if size <= _WHOLE_FILE_BYTES:
            while block := file.read(_READ_BYTES):
                yield block
            return
        for place in range(_N_PLACES):
            file.seek(place * (size - _READ_BYTES) // (_N_PLACES - 1))
            yield file.read(_READ_BYTES)


def identify(folder: Path) -> str:
    """Return a digest of an encoder folder: names, sizes and content of what shapes its vectors.

    Two fine-tuned copies of one encoder have the same shapes and sizes, so the weights themselves are
    read. Dates and the place of the folder do not matter.
    """
    wanted = {"config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt"}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and (p.name in wanted or p.suffix == ".safetensors"))
    digest = hashlib.blake2b(digest_size=8)
    for path in files:
        digest.update(f"{path.relative_to(folder).as_posix()}:{path.stat().st_size}\n".encode())
        for block in _samples(path):
            digest.update(block)
    return digest.hexdigest()


@dataclass(frozen=True)
class Sentence:
    """Encode texts with a pretrained sentence encoder, whose weights never change.

    Parameters
    ----------
    model : str
        Hub name, local folder, or ``offline`` for the weights of the `offline` extra.
    batch_size : int
        Texts a batch. Batches hold texts of similar length, so that little is padding.
    max_tokens : int
        Longer texts are cut. The encoder's own limit stands where it is lower.
    device : str or None
        A torch device; None takes CUDA, then MPS, then the CPU.
    layers : bool
        Whether `encode_views` also gives the average of the encoder's upper layers, and the state of the first token.

    Raises
    ------
    ConfigError
        If a setting is out of range, the weights are not found or cannot be read (at first use).

    Notes
    -----
    Runs under bfloat16 autocast where the device has the instructions, which is part of the fingerprint.
    The weights are loaded at first use.
    """

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    batch_size: int = 32
    max_tokens: int = 256
    device: str | None = None
    layers: bool = True

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is 1 or more; raise it")

    @cached_property
    def _folder(self) -> Path:
        return Path(resolve(self.model))

    @cached_property
    def _device(self) -> str:
        return self.device or _best_device()

    @cached_property
    def _encoder(self) -> SentenceTransformer:
        try:
            with _without_progress_bar():
                encoder = SentenceTransformer(str(self._folder), device=self._device, local_files_only=True)
        except (OSError, RuntimeError, ValueError, KeyError) as exc:
            reason = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
            raise ConfigError(
                f"encoder {self.model!r} on device {self._device!r} cannot be loaded: {reason}; "
                "give a folder saved by sentence-transformers or transformers, and a device that torch knows"
            ) from exc
        encoder.max_seq_length = min(self.max_tokens, encoder.max_seq_length or self.max_tokens)
        return encoder.eval()

    @cached_property
    def fingerprint(self) -> str:
        """Digest of weights and settings; the batch size is left out, it changes only rounding."""
        precision = "bf16" if has_bf16(self._device) else "fp32"
        return f"sentence-{identify(self._folder)}-{self.max_tokens}-{precision}"

    @cached_property
    def n_dimensions(self) -> int:
        """Length of a vector."""
        n_dimensions = self._encoder.get_embedding_dimension()
        if n_dimensions is None:
            raise ConfigError(f"encoder {self.model!r} does not say how long its vectors are; choose another one")
        return int(n_dimensions)

    @property
    def n_views(self) -> int:
        """How many vectors of a text `encode_views` gives: 3, or 1 from an encoder without layers of its own width."""
        return N_VIEWS if self.layers and has_layers(self._encoder) else 1

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (n, d), float32, rows of unit length; n = 0 gives shape (0, d)."""
        return self._encoded(self._encoder, texts, n_views=1)[:, 0]

    def encode_views(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (n, v, d), float32: the encoder's own vectors, the average of its upper layers, the first token.

        Each is of unit length. All but the first are for what learns from labels; see `llm_al.views.best_view`.
        """
        if self.n_views == 1:
            return self._encoded(self._encoder, texts, n_views=1)
        with with_layers(self._encoder) as both:
            return self._encoded(both, texts, n_views=N_VIEWS)

    def _encoded(self, encoder: SentenceTransformer, texts: Sequence[str], *, n_views: int) -> NDArray[np.float32]:
        shape = (len(texts), n_views, self.n_dimensions)
        if not len(texts):
            return np.empty(shape, dtype=np.float32)
        longest = _CHARACTERS_PER_TOKEN * self.max_tokens
        # Lone surrogates, which tokenizers refuse, become question marks.
        clean = [text[:longest].encode("utf-8", "replace").decode("utf-8") for text in texts]
        kind = torch.device(self._device).type
        with torch.inference_mode(), torch.autocast(kind, dtype=torch.bfloat16, enabled=has_bf16(self._device)):
            # Sorts by length within the call.
            raw = encoder.encode(clean, batch_size=self.batch_size, show_progress_bar=False)
        vectors = np.asarray(raw, dtype=np.float32).reshape(shape)
        norms = np.linalg.norm(vectors, axis=2, keepdims=True)
        unit: NDArray[np.float32] = vectors / np.maximum(norms, np.finfo(np.float32).tiny)
        return unit
