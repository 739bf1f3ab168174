"""Exact duplicates by 16-byte digests: compact, sorted, no Python object a row."""

import unicodedata
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

__all__ = ["Digests", "first_positions", "id_digest", "text_digest", "text_id"]


def text_digest(text: str) -> bytes:
    """Return 16 bytes that two texts share when they differ only in Unicode form (NFC) and white space.

    Case and punctuation count: "US" and "us" are two texts.
    """
    folded = " ".join(unicodedata.normalize("NFC", text).split())
    return blake2b(folded.encode("utf-8"), digest_size=16).digest()


def id_digest(id_: str) -> bytes:
    """Return 16 bytes for an id, exactly as it is written."""
    return blake2b(id_.encode("utf-8"), digest_size=16).digest()


def text_id(text: str) -> str:
    """Return the id of a text that came without one: the first 16 hex digits of its digest.

    Examples
    --------
    >>> text_id("where  is my parcel") == text_id("where is my parcel ")
    True
    """
    return text_digest(text).hex()[:16]


class Digests:
    """A growing column of 16-byte digests."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def append(self, digest: bytes) -> None:
        """Add one digest."""
        self._bytes += digest

    def __len__(self) -> int:
        return len(self._bytes) // 16

    def array(self) -> NDArray[np.uint64]:
        """Return shape (n, 2), uint64, without a copy."""
        return np.frombuffer(self._bytes, dtype=np.uint64).reshape(-1, 2)


def first_positions(digests: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return, for each row, the first position with the same digest.

    Parameters
    ----------
    digests : ndarray of shape (n, 2), uint64

    Returns
    -------
    ndarray of shape (n,), int64
        ``result[i] <= i``; equal to i where the digest is new.
    """
    n = len(digests)
    order = np.lexsort((digests[:, 1], digests[:, 0]))  # stable: equal digests stay in order
    is_new = np.ones(n, dtype=bool)
    is_new[1:] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    starts = np.flatnonzero(is_new)
    first = np.empty(n, dtype=np.int64)
    first[order] = np.repeat(order[starts], np.diff(np.append(starts, n)))
    return first
