"""Scorers, selectors and cold starts joined into strategies."""

from dataclasses import dataclass

import numpy as np

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.protocols import Scorer, Selector, Strategy
from llm_al.types import Positions, Scores

__all__ = ["ColdStartThen", "Combined"]


@dataclass(frozen=True)
class Combined:
    """Score every row, then select among the scores.

    Parameters
    ----------
    scorer : Scorer
    selector : Selector
    """

    scorer: Scorer
    selector: Selector

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        """Return min(k, available) rows and their scores; an empty pool is not scored."""
        if k == 0 or not view.is_available.any():
            return np.empty(0, dtype=np.intp), np.empty(0, dtype=np.float64)
        scores = self.scorer.score(view, rng)
        positions = self.selector.select(view, scores, k, rng)
        return positions, scores[positions]


@dataclass(frozen=True)
class ColdStartThen:
    """Ask by `cold_start` while labels are few or there is no student, by `main` afterwards.

    Parameters
    ----------
    cold_start : Strategy
    main : Strategy
    labels_per_class : float
        `cold_start` asks while there are fewer than ``labels_per_class * c`` labelled rows. With many classes
        covering the pool beats uncertainty for long: on banking77 (rows held out of the train split) the mean
        accuracy from 77 to 847 labels was .793, .800 and .809 for 2, 4 and 6 labels a class.

    Raises
    ------
    ConfigError
        If `labels_per_class` is negative.
    """

    cold_start: Strategy
    main: Strategy
    labels_per_class: float = 5.0

    def __post_init__(self) -> None:
        if not self.labels_per_class >= 0.0:
            raise ConfigError(f"labels_per_class is {self.labels_per_class}; allowed is 0 or more; raise it")

    def query(self, view: PoolView, k: int, rng: np.random.Generator) -> tuple[Positions, Scores]:
        """Return min(k, available) rows and the scores of whichever strategy picked them."""
        n_labeled = int(view.is_labeled.sum())
        is_cold = view.proba is None or n_labeled < self.labels_per_class * view.n_classes
        return (self.cold_start if is_cold else self.main).query(view, k, rng)
