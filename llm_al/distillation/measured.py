"""How right, how fast and how large a student is."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

__all__ = ["Predict", "bytes_on_disk", "texts_per_s", "threads"]

Predict = Callable[[Sequence[str]], object]

_BATCH = 32
_N_REPEATS = 3
_MOST_SECONDS = 10.0


def texts_per_s(predicts: Sequence[Predict], texts: Sequence[str], n_threads: int) -> list[float]:
    """Return how many texts a second each predicts in batches of 32: the best of three passes.

    The passes take turns, so that a machine that is busy for a while is busy for all.

    Parameters
    ----------
    predicts : sequence of callable
    texts : sequence of str
        In the order in which they come; a pass ends after ten seconds. None gives NaN.
    n_threads : int
        CPU threads of torch and of linear algebra; other runtimes bring their own bound.
    """
    batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
    if not batches:
        return [math.nan] * len(predicts)
    best = [0.0] * len(predicts)
    with threads(n_threads), threadpool_limits(limits=n_threads):
        for predict in predicts:
            predict(batches[0])
        for _ in range(_N_REPEATS):
            best = [max(seen, _one_pass(predict, batches)) for seen, predict in zip(best, predicts, strict=True)]
    return best


def _one_pass(predict: Predict, batches: Sequence[Sequence[str]]) -> float:
    n, started, elapsed = 0, time.perf_counter(), 0.0
    for batch in batches:
        predict(batch)
        n, elapsed = n + len(batch), time.perf_counter() - started
        if elapsed > _MOST_SECONDS:
            break
    return n / max(elapsed, 1e-9)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch use `n` threads inside the block, and what it used before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def bytes_on_disk(folder: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
