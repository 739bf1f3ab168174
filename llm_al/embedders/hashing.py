"""A stand-in for a sentence encoder: hashed words, no weights, no torch."""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError

__all__ = ["HashEmbedder"]

_WORD = re.compile(r"\w+")
# Keeps a text without words, or whose words cancel out, at unit length.
_BIAS_SLOT = 0
_BIAS = 0.1


@dataclass(frozen=True)
class HashEmbedder:
    """Bag of words, each hashed to a signed slot [1]_.

    For tests, and for a first look on a machine without torch. Texts that share words are near each
    other; nothing is known of meaning. The same text gives the same vector on every machine.

    Parameters
    ----------
    n_dimensions : int
        d, at least 2.

    Raises
    ------
    ConfigError
        If `n_dimensions` is below 2.

    References
    ----------
    .. [1] Weinberger et al. (2009). Feature hashing for large scale multitask learning. ICML 2009, 1113-1120.

    Examples
    --------
    >>> red, blue, late = HashEmbedder().encode(["a red tent", "a blue tent", "late parcel"])
    >>> bool(red @ blue > red @ late)
    True
    """

    n_dimensions: int = 256

    def __post_init__(self) -> None:
        if self.n_dimensions < 2:
            raise ConfigError(f"n_dimensions is {self.n_dimensions}; allowed is 2 or more; raise it")

    @property
    def fingerprint(self) -> str:
        """Names the method and its one setting."""
        return f"hashing-v1-{self.n_dimensions}"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return shape (n, d), float32, rows of unit length."""
        vectors = np.zeros((len(texts), self.n_dimensions), dtype=np.float32)
        vectors[:, _BIAS_SLOT] = _BIAS
        for row, text in enumerate(texts):
            for word in _WORD.findall(text.lower()):
                code = zlib.crc32(word.encode("utf-8", "replace"))
                vectors[row, 1 + (code >> 1) % (self.n_dimensions - 1)] += 1.0 if code & 1 else -1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors
