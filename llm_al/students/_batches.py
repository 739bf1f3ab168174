"""Token batches of similar length, so that little of a batch is padding; torch is not needed for them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

TokenIds = list[list[int]]

# No tokeniser needs more text than this for one token; the rest of a huge text would only cost time.
_CHARACTERS_PER_TOKEN = 64


def clean(texts: Sequence[str], max_tokens: int) -> list[str]:
    """Return texts that a tokeniser takes: cut far beyond `max_tokens`, lone surrogates as question marks."""
    longest = _CHARACTERS_PER_TOKEN * max_tokens
    return [text[:longest].encode("utf-8", "replace").decode("utf-8") for text in texts]


def tokenise(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> TokenIds:
    """Return the token ids of each text, special tokens included, cut at `max_tokens`."""
    if len(texts) == 0:
        return []
    encoded = tokenizer(clean(texts, max_tokens), truncation=True, max_length=max_tokens, add_special_tokens=True)
    ids: TokenIds = encoded["input_ids"]
    return ids


def pad(ids: Sequence[Sequence[int]], pad_id: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return input ids and attention mask, both of shape (b, longest)."""
    longest = max(1, *map(len, ids))
    tokens = np.full((len(ids), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(ids), longest), dtype=np.int64)
    for row, sequence in enumerate(ids):
        tokens[row, : len(sequence)] = sequence
        mask[row, : len(sequence)] = 1
    return tokens, mask


def prediction_batches(lengths: NDArray[np.intp], max_batch_tokens: int) -> list[NDArray[np.intp]]:
    """Split positions, sorted by length, into batches of at most `max_batch_tokens` padded tokens.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
        Tokens in each text.
    max_batch_tokens : int
        Upper bound of rows times longest row; a single longer text makes a batch of its own.

    Returns
    -------
    list of ndarray
        Positions, each once; longest texts first, so that running out of memory shows at once.
    """
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        rows = max(1, max_batch_tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def training_batches(
    lengths: NDArray[np.intp], batch_size: int, rng: np.random.Generator, *, n_together: int = 8
) -> list[NDArray[np.intp]]:
    """Split a random order of positions into batches of like length and nearly equal size.

    Rows are drawn at random into groups of `n_together` batches, sorted by length within a group only, and
    the batches are shuffled again: little padding without showing short texts first.
    """
    n = len(lengths)
    order = rng.permutation(n)
    batches: list[NDArray[np.intp]] = []
    for group in np.array_split(order, max(1, round(n / (batch_size * n_together)))):
        by_length = group[np.argsort(lengths[group], kind="stable")]
        batches += np.array_split(by_length, max(1, -(-len(group) // batch_size)))
    return [batches[i] for i in rng.permutation(len(batches))]


def with_share(
    batch: NDArray[np.intp], is_human: NDArray[np.bool_], least: float, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Return a batch in which at least a share `least` of the rows are human, of the same size.

    Other rows give way to human ones drawn at random, so that a flood of machine labels cannot drown those of
    people. Without human rows, or with human rows alone, the batch stays as it is.
    """
    humans = np.flatnonzero(is_human)
    own = is_human[batch]
    n_missing = int(np.ceil(least * len(batch))) - int(own.sum())
    if n_missing <= 0 or len(humans) == 0:
        return batch
    changed = batch.copy()
    out = rng.permutation(np.flatnonzero(~own))[:n_missing]
    absent = np.setdiff1d(humans, batch[own])
    # Each row at most once where there are enough of them: twice in a batch is a doubled weight.
    drawn = rng.permutation(absent)[: len(out)]
    extra = rng.choice(humans, size=len(out) - len(drawn))
    changed[out] = np.concatenate([drawn, extra])
    return changed
