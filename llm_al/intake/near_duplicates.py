"""Near-duplicates by MinHash and locality-sensitive hashing, in numpy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llm_al.intake.shingles import Shingles, is_short, normalise, shingle, word_digest

__all__ = ["NearDuplicates", "Texts"]

_BATCH_TEXTS = 1_000
_BATCH_CHARS = 200_000
_BATCH_PAIRS = 2_000
_SEED = 20_240_607

Pairs = NDArray[np.int64]
"""Shape (p, 2): a text and an earlier one."""


class Texts(Protocol):
    """A sequence of strings that may lie on disk."""

    def __len__(self) -> int: ...

    def __getitem__(self, position: int, /) -> str: ...


@dataclass(frozen=True)
class NearDuplicates:
    """Group texts whose character 5-grams overlap [1]_ [2]_.

    Case, punctuation and white space do not count. Texts of fewer than four words and 20 characters
    are near-duplicates only when nothing else differs. A candidate pair shares a band of its MinHash
    signature, and is then checked on the 5-grams themselves, so no group rests on chance.

    A text joins the group of the earliest text that it is a checked near-duplicate of, so that texts
    that come later never change an earlier group.

    Parameters
    ----------
    threshold : float
        Least Jaccard similarity of the 5-gram sets, in (0, 1].
    n_bands, n_rows : int
        The signature has ``n_bands * n_rows`` hashes. With similarity s a pair is found with probability
        ``1 - (1 - s**n_rows)**n_bands``: 0.9998 at 0.8, 0.988 at 0.7 with 16 bands of 4.

    References
    ----------
    .. [1] Broder (1997). On the resemblance and containment of documents. SEQUENCES '97, 21-29.
    .. [2] Leskovec, Rajaraman & Ullman (2014). Mining of massive datasets, 2nd ed., chapter 3.

    Examples
    --------
    >>> texts = ["Where is my parcel, order 17?", "I want my money back", "where is my parcel, order 17!!"]
    >>> NearDuplicates().group(texts).tolist()
    [0, 1, 0]
    """

    threshold: float = 0.7
    n_bands: int = 16
    n_rows: int = 4

    def group(self, texts: Texts | Sequence[str], *, known: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Return the group of each text: the position of the group's first member.

        Parameters
        ----------
        texts : sequence of str, length n
            Read once in order, and again in part; held only in batches. About 80 bytes a text are.
        known : ndarray of shape (m,), int64, optional
            Groups of the first m texts from an earlier call; they stay.

        Returns
        -------
        ndarray of shape (n,), int64
            ``result[i] <= i``.
        """
        n = len(texts)
        n_known = 0 if known is None else len(known)
        words, bands = self._sign(texts)
        earliest = np.arange(n, dtype=np.int64)
        _keep_earliest(earliest, _run_pairs(words, np.ones(n, dtype=bool), to_first=True))
        for to_first in (True, False):
            pairs = self._candidates(bands, earliest, to_first=to_first)
            pairs = pairs[pairs[:, 0] >= n_known]
            _keep_earliest(earliest, self._check(texts, pairs))
        return _resolve(earliest, known)

    def _sign(self, texts: Texts) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Return the digest of all words, shape (n,), and band keys, shape (n_bands, n); 0 for short texts."""
        n = len(texts)
        words = np.empty(n, dtype=np.uint64)
        bands = np.zeros((self.n_bands, n), dtype=np.uint32)
        factors = np.random.default_rng(_SEED).integers(0, 2**32, (2, self.n_bands * self.n_rows), dtype=np.uint32)
        for start, batch in _batches(texts):
            stop = start + len(batch)
            words[start:stop] = [word_digest(text) for text in batch]
            long = np.flatnonzero([not is_short(text) for text in batch])
            if len(long):
                signature = _minhash(shingle([batch[i] for i in long]), factors)
                bands[:, start + long] = _band_keys(signature.reshape(len(long), self.n_bands, self.n_rows))
        return words, bands

    def _candidates(self, bands: NDArray[np.uint32], earliest: NDArray[np.int64], *, to_first: bool) -> Pairs:
        """Return distinct pairs that share a band, of texts that have no near-duplicate yet."""
        n = bands.shape[1]
        is_open = earliest == np.arange(n)
        codes = np.empty(0, dtype=np.int64)
        for keys in bands:
            pairs = _run_pairs(keys, keys > 0, to_first=to_first)
            pairs = pairs[is_open[pairs[:, 0]]]
            codes = np.union1d(codes, pairs[:, 0] * n + pairs[:, 1])
        return np.stack([codes // max(n, 1), codes % max(n, 1)], axis=1)

    def _check(self, texts: Texts, pairs: Pairs) -> Pairs:
        """Return the pairs whose 5-gram sets are similar enough."""
        kept = [np.empty((0, 2), dtype=np.int64)]
        for start in range(0, len(pairs), _BATCH_PAIRS):
            part = pairs[start : start + _BATCH_PAIRS]
            positions, local = np.unique(part, return_inverse=True)
            shingles = shingle([normalise(texts[int(i)]) for i in positions]).distinct()
            kept.append(part[_jaccard(shingles, local.reshape(-1, 2)) >= self.threshold])
        return np.concatenate(kept)


def _batches(texts: Texts) -> Iterator[tuple[int, list[str]]]:
    """Yield (position of the first, normalised texts), bounded in number and in characters."""
    start, batch, n_chars = 0, list[str](), 0
    for position in range(len(texts)):
        batch.append(normalise(texts[position]))
        n_chars += len(batch[-1])
        if len(batch) == _BATCH_TEXTS or n_chars > _BATCH_CHARS:
            yield start, batch
            start, batch, n_chars = position + 1, [], 0
    if batch:
        yield start, batch


def _minhash(shingles: Shingles, factors: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return signatures, shape (n, h), under h hashes ``(x ^ b) * a`` with odd a."""
    signature = np.empty((len(shingles), factors.shape[1]), dtype=np.uint32)
    for h, (a, b) in enumerate(factors.T):
        signature[:, h] = np.minimum.reduceat((shingles.hashes ^ b) * (a | np.uint32(1)), shingles.starts[:-1])
    return signature


def _band_keys(signature: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return one key a band and text, shape (n_bands, n), never 0; a clash of keys only costs a check."""
    keys = np.zeros(signature.shape[:2], dtype=np.uint32)
    for row in range(signature.shape[2]):
        keys = (keys ^ signature[:, :, row]) * np.uint32(0x9E3779B1)
        keys ^= keys >> np.uint32(15)
    return np.maximum(keys, np.uint32(1)).T


def _run_pairs(keys: NDArray[np.uint32] | NDArray[np.uint64], is_used: NDArray[np.bool_], *, to_first: bool) -> Pairs:
    """Pair each text with the first of those with its key, or else with the one just before it."""
    positions = np.flatnonzero(is_used)
    order = positions[np.argsort(keys[positions], kind="stable")]
    same = np.flatnonzero(keys[order[1:]] == keys[order[:-1]]) + 1
    if not to_first:
        return np.stack([order[same], order[same - 1]], axis=1).astype(np.int64)
    begins = np.ones(len(order), dtype=bool)
    begins[same] = False
    first = order[np.maximum.accumulate(np.where(begins, np.arange(len(order)), 0))]
    return np.stack([order[same], first[same]], axis=1).astype(np.int64)


def _jaccard(shingles: Shingles, pairs: Pairs) -> NDArray[np.float64]:
    """Return the Jaccard similarity of each pair of sets, shape (p,)."""
    sizes = np.diff(shingles.starts)
    members = pairs.ravel()
    lengths = sizes[members]
    inside = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    hashes = shingles.hashes[np.repeat(shingles.starts[members], lengths) + inside].astype(np.uint64)
    pair = np.repeat(np.repeat(np.arange(len(pairs), dtype=np.uint64), 2), lengths)
    codes = np.sort(pair << np.uint64(32) | hashes)
    shared = codes[1:][codes[1:] == codes[:-1]] >> np.uint64(32)
    common = np.bincount(shared.astype(np.int64), minlength=len(pairs))
    union = sizes[pairs[:, 0]] + sizes[pairs[:, 1]] - common
    similarity: NDArray[np.float64] = common / np.maximum(union, 1)
    return similarity


def _keep_earliest(earliest: NDArray[np.int64], pairs: Pairs) -> None:
    np.minimum.at(earliest, pairs[:, 0], pairs[:, 1])


def _resolve(earliest: NDArray[np.int64], known: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Follow each text's earliest near-duplicate to the first of the group."""
    group = earliest.copy()
    if known is not None:
        group[: len(known)] = known
    while True:
        # Pointer doubling: every link leads to an earlier text, so this ends.
        further = group[group]
        if np.array_equal(further, group):
            return group
        group = further
