"""First queries chosen by somebody who reads the texts, among rows that stand for the regions of the pool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.strategies._kmeans import gather, squared_distances
from llm_al.strategies.cold_start import Typical
from llm_al.types import Positions, Scores

__all__ = ["Choose", "FirstChoice"]

Choose = Callable[[Sequence[str], int], Sequence[int]]
"""Takes texts and how many are wanted; returns positions into the texts, the most wanted first."""


def _nothing(_texts: Sequence[str], _k: int) -> Sequence[int]:
    return ()


@dataclass(frozen=True)
class FirstChoice:
    """Let a reader choose the very first examples; fill up with, and go on with, typical ones [1]_.

    Parameters
    ----------
    choose : callable
        Positions that do not exist or come twice are passed over; what is missing is filled by `Typical`.
        The default chooses nothing.
    candidates_per_pick : float
        The reader sees so many texts for each that is wanted, one of each region of the pool, like ones together.
    max_candidates : int
        At most so many texts altogether.

    Raises
    ------
    ConfigError
        If a setting is below 1.

    References
    ----------
    .. [1] Bayer, Lutz & Reuter (2024). ActiveLLM: large language model-based active learning for textual
           few-shot scenarios. arXiv:2405.10808. There the reader sees a random part of the pool.
    """

    choose: Choose = field(default=_nothing, repr=False)
    candidates_per_pick: float = 4.0
    max_candidates: int = 400

    def __post_init__(self) -> None:
        for name in ("candidates_per_pick", "max_candidates"):
            if not getattr(self, name) >= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is 1 or more; raise it")

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        """Return min(k, available) rows, the chosen ones first, and a score that falls with the rank.

        Once a row is labelled, all rows are typical ones: the reader gives the first view only.
        """
        if view.is_labeled.any() or k <= 0:
            return Typical().query(view, k, rng)
        n_shown = max(k, min(round(self.candidates_per_pick * k), self.max_candidates))
        shown = _chained(view, Typical().query(view, n_shown, rng)[0])
        chosen = shown[_valid(self.choose([view.texts[int(row)] for row in shown], k), len(shown))[:k]]
        positions = _filled(view, chosen, k, rng)
        return positions, 1.0 - np.arange(len(positions)) / max(len(positions), 1)


def _chained(view: PoolView, rows: Positions) -> Positions:
    """Order rows so that like ones stand together: each is followed by the nearest that is left."""
    points = gather(view.embeddings, rows)
    distances = squared_distances(points, points)
    order, is_left = [0] if len(rows) else [], np.ones(len(rows), dtype=np.bool_)
    is_left[:1] = False
    while is_left.any():
        order.append(int(np.where(is_left, distances[order[-1]], np.inf).argmin()))
        is_left[order[-1]] = False
    return rows[order]


def _valid(positions: Sequence[int], n: int) -> NDArray[np.intp]:
    return np.array([p for p in dict.fromkeys(positions) if 0 <= p < n], dtype=np.intp)


def _filled(view: PoolView, chosen: Positions, k: int, rng: np.random.Generator) -> Positions:
    """Add typical rows: none of the chosen groups while there are others."""
    is_near = np.zeros(len(view), dtype=np.bool_)
    is_near[chosen] = True
    if view.groups is not None:
        is_near |= np.isin(view.groups, view.groups[chosen])
    for is_open in (~is_near, np.ones(len(view), dtype=np.bool_)):
        is_open[chosen] = False
        rest = replace(view, is_available=view.is_available & is_open)
        more, _ = Typical().query(rest, k - len(chosen), rng)
        chosen = np.concatenate([chosen, more])
    return chosen
