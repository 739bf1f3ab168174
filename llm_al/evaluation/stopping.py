"""When enough is enough."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, ShapeError
from llm_al.measures import Metrics
from llm_al.types import NANO_PER_USD

__all__ = ["Progress", "Stopping", "prediction_kappa"]


@dataclass(frozen=True)
class Progress:
    """Where a run stands after a round.

    Parameters
    ----------
    round : int
        Rounds finished.
    n_human : int
        Answers of people so far, audits included.
    cost_nanousd : int
        LLM money spent or reserved.
    minutes : float
        Running time so far, waiting for people not counted.
    metrics : Metrics or None
        Of the current student; None without a test split or audit estimate.
    kappas : sequence of float
        Agreement of each student with the one before on the pool, oldest first.
    n_available : int or None
        Examples that could still be asked about; None means unknown.
    """

    round: int
    n_human: int = 0
    cost_nanousd: int = 0
    minutes: float = 0.0
    metrics: Metrics | None = None
    kappas: Sequence[float] = ()
    n_available: int | None = None


@dataclass(frozen=True)
class Stopping:
    """Stop at a budget, at a target that the interval supports, or when the student has settled; None is no limit.

    A money limit of 0 means that no paid LLM is used; it is not a reason to stop.

    Parameters
    ----------
    max_human_labels : int or None
        People's answers.
    max_usd : float or None
        LLM money.
    max_minutes : float or None
        Running time.
    max_rounds : int or None
        Rounds.
    target_accuracy : float or None
        Reached when the *lower* end of the accuracy's 95 % interval is at or above it.
    kappa : float or None
        The student has settled when the mean of its last `kappa_rounds` agreements is at or above this [1]_.
    kappa_rounds : int
        At least 1.

    Raises
    ------
    ConfigError
        If `kappa_rounds` is less than 1.

    References
    ----------
    .. [1] Bloodgood & Vijay-Shanker (2009). A method for stopping active learning based on stabilizing predictions and
           the need for user-adjustable stopping. CoNLL 2009, 39-47.
    """

    max_human_labels: int | None = None
    max_usd: float | None = None
    max_minutes: float | None = None
    max_rounds: int | None = None
    target_accuracy: float | None = None
    kappa: float | None = 0.99
    kappa_rounds: int = 3

    def __post_init__(self) -> None:
        if self.kappa_rounds < 1:
            raise ConfigError(f"kappa_rounds is {self.kappa_rounds}; allowed is 1 or more; correct it")

    def reason(self, progress: Progress) -> str:
        """Return why to stop, or an empty string to go on."""
        return self._goal(progress) or self._budget(progress) or self._settled(progress)

    def _goal(self, progress: Progress) -> str:
        metrics, target = progress.metrics, self.target_accuracy
        if target is None or metrics is None or metrics.accuracy_low < target:
            return ""
        return (
            f"target reached: accuracy {metrics.accuracy:.3f}, at least {metrics.accuracy_low:.3f} "
            f"with 95% confidence; {target:.3f} was asked for"
        )

    def _budget(self, progress: Progress) -> str:
        if self.max_human_labels is not None and progress.n_human >= self.max_human_labels:
            return f"the budget of {self.max_human_labels} human labels is used up"
        spent = progress.cost_nanousd / NANO_PER_USD
        if self.max_usd is not None and 0.0 < self.max_usd <= spent:
            return f"the LLM budget of ${self.max_usd:.2f} is used up"
        if self.max_minutes is not None and progress.minutes >= self.max_minutes:
            return f"the time budget of {self.max_minutes:g} minutes is used up"
        if self.max_rounds is not None and progress.round >= self.max_rounds:
            return f"the budget of {self.max_rounds} rounds is used up"
        return "every example of the pool has been asked about" if progress.n_available == 0 else ""

    def _settled(self, progress: Progress) -> str:
        recent = list(progress.kappas)[-self.kappa_rounds :]
        # The mean of .98, 1 and .99 must reach .99, whatever the last bit says.
        if self.kappa is None or len(recent) < self.kappa_rounds or float(np.mean(recent)) < self.kappa - 1e-9:
            return ""
        return (
            f"the student has settled: its predictions of the last {self.kappa_rounds} rounds agree with those before "
            f"to a mean kappa of {float(np.mean(recent)):.3f}; {self.kappa:g} was asked for"
        )


def prediction_kappa(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """Return Cohen's kappa of two prediction vectors; 1 when they are identical, even if one class only occurs.

    Raises
    ------
    ShapeError
        If they differ in length or are empty.

    Examples
    --------
    >>> prediction_kappa(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0]))
    0.5
    """
    if before.shape != after.shape or before.ndim != 1 or not len(before):
        raise ShapeError(
            f"predictions have shapes {before.shape} and {after.shape}; expected two vectors of one length, at least 1"
        )
    if np.array_equal(before, after):
        return 1.0
    c = int(max(before.max(), after.max())) + 1
    observed = float(np.mean(before == after))
    expected = float(np.bincount(before, minlength=c) @ np.bincount(after, minlength=c)) / len(before) ** 2
    return (observed - expected) / (1.0 - expected)
