"""Logits and features of many texts, in batches of like length."""

import logging
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from llm_al.students._batches import TokenIds, pad, prediction_batches
from llm_al.students._memory import free, is_out_of_memory
from llm_al.students._network import Network

__all__ = ["predict_features", "predict_logits"]

_log = logging.getLogger(__name__)


def predict_logits(network: Network, ids: TokenIds, *, pad_id: int, max_batch_tokens: int) -> NDArray[np.float64]:
    """Return logits of shape (n, c), float64, in the order of `ids`; n = 0 gives shape (0, c).

    A batch that does not fit into memory is halved, and so are those after it; a warning says so.
    """
    into = np.zeros((len(ids), network.head.out_features))
    return _fill(network, network.quick_logits, ids, into, pad_id=pad_id, max_batch_tokens=max_batch_tokens)


def predict_features(network: Network, ids: TokenIds, *, pad_id: int, max_batch_tokens: int) -> NDArray[np.float64]:
    """Return the unit vectors that the head sees, shape (n, d), float64, in the order of `ids`."""
    into = np.zeros((len(ids), network.head.in_features))
    return _fill(network, network.quick_features, ids, into, pad_id=pad_id, max_batch_tokens=max_batch_tokens)


def _fill(
    network: Network,
    compute: Callable[[Tensor, Tensor | None], Tensor],
    ids: TokenIds,
    into: NDArray[np.float64],
    *,
    pad_id: int,
    max_batch_tokens: int,
) -> NDArray[np.float64]:
    lengths = np.array([len(sequence) for sequence in ids], dtype=np.intp)
    waiting = prediction_batches(lengths, max_batch_tokens)[::-1]
    network.eval()
    with torch.inference_mode():
        while waiting:
            batch = waiting.pop()
            try:
                into[batch] = _computed(network, compute, [ids[i] for i in batch], pad_id)
            except Exception as exc:
                if not is_out_of_memory(exc) or len(batch) == 1:
                    raise
                _log.warning("out of memory predicting %d texts at once; going on with half as many", len(batch))
                halves = [np.array_split(part, 2) for part in (*waiting, batch)]
                waiting = [half for pair in halves for half in pair if len(half)]
                free(network.device)
    return into


def _computed(
    network: Network, compute: Callable[[Tensor, Tensor | None], Tensor], ids: TokenIds, pad_id: int
) -> NDArray[np.float32]:
    tokens, mask = map(torch.from_numpy, pad(ids, pad_id))
    # Attention without a mask is faster, and nothing has to be masked when all rows are of one length.
    sent = None if bool(mask.all()) else mask.to(network.device)
    values: NDArray[np.float32] = compute(tokens.to(network.device), sent).float().cpu().numpy()
    return values
