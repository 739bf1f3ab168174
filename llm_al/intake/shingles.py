"""Texts as sets of hashed character 5-grams."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["N_GRAM", "Shingles", "is_short", "normalise", "shingle", "word_digest"]

N_GRAM = 5
_NOT_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Shingles:
    """Hashed 5-grams of n texts, one after the other.

    Parameters
    ----------
    hashes : ndarray of shape (s,), uint32
    starts : ndarray of shape (n + 1,), int64
        Text i has ``hashes[starts[i]:starts[i + 1]]``, at least one.
    """

    hashes: NDArray[np.uint32]
    starts: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def distinct(self) -> "Shingles":
        """Return the same sets without repeats."""
        text = np.repeat(np.arange(len(self), dtype=np.uint64), np.diff(self.starts))
        codes = np.unique(text << np.uint64(32) | self.hashes)
        starts = np.searchsorted(codes, np.arange(len(self) + 1, dtype=np.uint64) << np.uint64(32))
        return Shingles((codes & np.uint64(0xFFFFFFFF)).astype(np.uint32), starts.astype(np.int64))


def normalise(text: str) -> str:
    """Return the words of a text, lower-cased, one space between them.

    A text without any word (only emoji or punctuation) is kept but for its white space.

    Examples
    --------
    >>> normalise("  WHERE is my parcel?!")
    'where is my parcel'
    """
    return _NOT_WORD.sub(" ", text.casefold()).strip() or " ".join(text.split())


def is_short(normalised: str) -> bool:
    """Whether a text has too little in it for 5-grams: under four words and under 20 characters."""
    return len(normalised) < 20 and normalised.count(" ") < 3


def word_digest(normalised: str) -> int:
    """Return 64 bits that texts with the same words in the same order share."""
    return int.from_bytes(blake2b(normalised.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def shingle(normalised: Sequence[str]) -> Shingles:
    """Hash the character 5-grams of each text; a text of fewer characters is padded with spaces."""
    padded = [text.ljust(N_GRAM) for text in normalised]
    lengths = np.array([len(text) for text in padded], dtype=np.int64)
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    n_windows = max(len(codes) - N_GRAM + 1, 0)
    hashes = np.zeros(n_windows, dtype=np.uint32)
    for offset in range(N_GRAM):
        hashes = hashes * np.uint32(0x01000193) + codes[offset : offset + n_windows]
    ends = np.cumsum(lengths)
    is_inside = np.ones(n_windows, dtype=bool)
    for overlap in range(1, N_GRAM):  # windows that reach into the next text
        is_inside[ends[:-1] - overlap] = False
    starts = np.concatenate([[0], np.cumsum(lengths - N_GRAM + 1)])
    return Shingles(_mix(hashes[is_inside]), starts)


def _mix(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Spread the bits (the 32-bit finaliser of MurmurHash3)."""
    hashes = (hashes ^ (hashes >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    hashes = (hashes ^ (hashes >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return hashes ^ (hashes >> np.uint32(16))
