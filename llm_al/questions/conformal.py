"""Sets of labels that hold the answer with a stated probability, also where people are asked about hard texts only."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, ShapeError
from llm_al.types import Proba

__all__ = ["Asked", "Record", "Threshold", "miss_scores", "quantile", "replay"]

_STEP = 0.005
"""How far one answer moves the level, chosen on clinc150; 0 is split conformal prediction without a correction."""
_WINDOW = 300
"""Latest answers that a threshold is taken from; older ones tell of students that are long gone."""
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Asked:
    """What people were asked in a round and have answered with a label, in the order of asking.

    Parameters
    ----------
    proba : ndarray of shape (m, c)
        Of a student that had not learned from these texts.
    labels : ndarray of shape (m,), int64
        Class index of the answer.

    Raises
    ------
    ShapeError
        If the shapes do not fit, a probability is no number in [0, 1], or a label is outside 0 ... c - 1.
    """

    proba: Proba
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        _check_proba(self.proba)
        if len(self.labels) != len(self.proba) or np.any((self.labels < 0) | (self.labels >= self.proba.shape[1])):
            raise ShapeError(
                f"got {len(self.labels)} labels for probabilities of shape {self.proba.shape}; give one class index "
                "from 0 to c - 1 a row; leave out texts that nobody gave a label"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Threshold:
    """Where plausible labels end.

    Parameters
    ----------
    value : float
        A label belongs to the set when its score is at most this; infinite as long as there are too few answers.
    coverage : float
        The nominal one.
    level : float
        Quantile that `value` is of: above `coverage` after more misses than that allows, else below.
    n : int
        Answers that it was taken from.
    """

    value: float
    coverage: float
    level: float
    n: int

    @property
    def is_known(self) -> bool:
        """Whether there were enough answers; if not, every label is in every set."""
        return bool(np.isfinite(self.value))

    def sets(self, proba: Proba) -> NDArray[np.bool_]:
        """Return which labels are plausible, shape (n, c); the likeliest one always is.

        Raises
        ------
        ShapeError
            If `proba` is not two-dimensional or holds anything but numbers in [0, 1].
        """
        _check_proba(proba)
        scores = _scores(proba)
        # A level of 0 or less asks for an empty set; the likeliest label is offered all the same.
        plausible: NDArray[np.bool_] = (scores <= self.value + _ROUNDING) | (scores == 0.0)
        return plausible


@dataclass(frozen=True)
class Record:
    """What the sets of past rounds were worth, each made before its answer was known.

    Parameters
    ----------
    threshold : Threshold
        For the next round.
    is_hit : ndarray of shape (m,), bool
        Whether the answer was in the set; rounds with too few answers before them are left out.
    n_options : ndarray of shape (m,), int64
        Size of the set.
    n_looked : ndarray of shape (m,), int64
        Options looked at, likeliest first: up to the answer, or all of them after a miss.
    n_lists : int
        Questions that were to have a set, but after a run of misses got the whole list.
    """

    threshold: Threshold
    is_hit: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    n_options: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    n_looked: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    n_lists: int = 0

    def mean_seconds(self, option_s: float, list_s: float) -> float:
        """Return the mean seconds of looking for a label: options first, after a miss the list; infinite if unknown."""
        if not len(self.is_hit):
            return float("inf")
        seconds = option_s * self.n_looked.sum() + list_s * ((~self.is_hit).sum() + self.n_lists)
        return float(seconds / (len(self.is_hit) + self.n_lists))


def miss_scores(asked: Asked) -> NDArray[np.float64]:
    """Return how far each answer lay behind the likeliest label, ``1 - p / max p``, shape (m,), in [0, 1]."""
    scores: NDArray[np.float64] = _scores(asked.proba)[np.arange(len(asked)), asked.labels]
    return scores


def quantile(scores: NDArray[np.float64], level: float) -> float:
    """Return the threshold of split conformal prediction [1]_: the ``ceil((n + 1) level)``-th smallest score.

    Parameters
    ----------
    scores : ndarray of shape (n,)
    level : float
        Share of future scores that are meant to lie at or below it, if they come like those at hand.

    Returns
    -------
    float
        Infinite when n is too small for the level; minus infinity at a level of 0 or less.

    References
    ----------
    .. [1] Papadopoulos, Proedrou, Vovk & Gammerman (2002). Inductive confidence machines for regression. ECML 2002.

    Examples
    --------
    >>> quantile(np.array([0.1, 0.4, 0.2, 0.3]), 0.8)
    0.4
    >>> quantile(np.array([0.1, 0.4, 0.2, 0.3]), 0.9)
    inf
    """
    n = len(scores)
    # 0.9 * 10 is a little more than 9 in binary.
    rank = int(np.ceil((n + 1) * level - 1e-9))
    if rank < 1:
        return float("-inf")
    return float("inf") if rank > n else float(np.partition(scores, rank - 1)[rank - 1])


def replay(rounds: Sequence[Asked], coverage: float, *, step: float = _STEP, window: int = _WINDOW) -> Record:
    """Go through all rounds so far and return the threshold of the next one.

    Parameters
    ----------
    rounds : sequence of Asked
        Oldest first; a round may be empty.
    coverage : float
        Nominal coverage, above 0 and below 1.
    step : float
        How far one answer moves the level.
    window : int
        Latest answers that a threshold is taken from.

    Notes
    -----
    Sets hold the labels whose score ``1 - p / max p`` is at most a quantile of what it was for answers so far. That
    promises its coverage for texts that come like those answered. Active learning breaks this: what is asked about
    is chosen, by a student that changes each round. So scores are those of the very texts that were asked about, by
    the student of that time, which had not seen them; and the level of the quantile follows the misses [2]_: each
    miss raises it by ``step * coverage``, each hit lowers it by ``step * (1 - coverage)``. Whatever the order of the
    texts, the share of misses over T answers then differs from the nominal one by no more than about
    ``1 / (step T)``.

    The paper of these sets [1]_ takes ``1 - p``. Relative to the likeliest label, scores change less as the student
    grows surer, and no set is empty. Measured on clinc150 as asked by margin, the coverage of the first 400 answers
    was closer to the nominal one, with the same time to find a label; sets of cumulated probability, APS and RAPS,
    were a quarter larger at .95.

    References
    ----------
    .. [1] Sadinle, Lei & Wasserman (2019). Least ambiguous set-valued classifiers with bounded error levels. Journal
           of the American Statistical Association 114(525), 223-234.
    .. [2] Gibbs & Candes (2021). Adaptive conformal inference under distribution shift. NeurIPS 2021.
    """
    if not 0.0 < coverage < 1.0:
        raise ConfigError(f"the coverage of a candidate set is {coverage}; it must lie between 0 and 1, such as 0.95")
    level, scores, looks = coverage, np.zeros(0), []
    for asked in rounds:
        # Before there are enough answers nobody is shown a set, and there is nothing to learn from.
        if np.isfinite(quantile(scores, coverage)):
            look = _look(_threshold(scores[-window:], coverage, level), asked)
            level += step * (coverage * len(asked) - float(look.is_hit.sum()) - look.n_lists)
            looks.append(look)
        scores = np.concatenate([scores, miss_scores(asked)])
    return _joined(_threshold(scores[-window:], coverage, level), looks)


def _threshold(scores: NDArray[np.float64], coverage: float, level: float) -> Threshold:
    return Threshold(quantile(scores, level), coverage, level, len(scores))


def _look(threshold: Threshold, asked: Asked) -> Record:
    """Return what sets made with a threshold were worth; an infinite one makes lists, which never miss."""
    if not threshold.is_known:
        return Record(threshold, n_lists=len(asked))
    rows = np.arange(len(asked))
    sets = threshold.sets(asked.proba)
    is_hit, n_options = sets[rows, asked.labels], sets.sum(axis=1)
    rank = (asked.proba > asked.proba[rows, asked.labels][:, None]).sum(axis=1) + 1
    return Record(threshold, is_hit, n_options, np.where(is_hit, np.minimum(rank, n_options), n_options))


def _joined(threshold: Threshold, looks: Sequence[Record]) -> Record:
    if not looks:
        return Record(threshold)
    return Record(
        threshold,
        is_hit=np.concatenate([look.is_hit for look in looks]),
        n_options=np.concatenate([look.n_options for look in looks]),
        n_looked=np.concatenate([look.n_looked for look in looks]),
        n_lists=sum(look.n_lists for look in looks),
    )


def _scores(proba: Proba) -> NDArray[np.float64]:
    """Return the score of every label, shape (n, c); 0 for the likeliest."""
    scores: NDArray[np.float64] = 1.0 - proba / proba.max(axis=1, keepdims=True)
    return scores


def _check_proba(proba: Proba) -> None:
    is_sound = proba.ndim == 2 and np.all((proba >= 0.0) & (proba <= 1.0 + 1e-9)) and np.all(proba.any(axis=1))
    if not is_sound:
        raise ShapeError(
            f"proba has shape {proba.shape}, NaN: {bool(np.isnan(proba).any())}; "
            "expected (n, c) with numbers from 0 to 1, none of the rows all 0; train the student again"
        )
