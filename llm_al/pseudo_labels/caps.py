"""Keep pseudo-labels of one class from crowding out the others."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.protocols import PseudoLabeler
from llm_al.pseudo_labels._choice import Choice, Chosen, check, choose, is_among_best
from llm_al.types import ChooseOwn, Positions, Proba

__all__ = ["Capped", "class_cap"]

_ROUNDING = 1e-9


def class_cap(counts: NDArray[np.int64], multiple: float) -> float:
    """Return the most rows a class may keep, so that none ends above `multiple` times the even share of what is kept.

    The largest x with ``x <= multiple * mean over classes of min(n, x)``. A cap from the counts before the cut would
    not do: of 970, 10, 10 and 10 rows twice the even share is 500, which is still 94 % of the rest; this one gives 30.

    Parameters
    ----------
    counts : ndarray of shape (c,)
        Rows of each class; classes without rows count in the mean.
    multiple : float
        At least 1.

    Returns
    -------
    float
        The largest count where nothing has to go; 0 where fewer than ``c / multiple`` classes have rows at all.

    Examples
    --------
    >>> round(class_cap(np.array([970, 10, 10, 10]), 2.0), 3)
    30.0
    >>> round(class_cap(np.array([40, 30, 20]), 2.0), 3)
    40.0
    """
    ascending = np.sort(counts).astype(np.float64)
    c, j = len(counts), np.arange(1, len(counts) + 1)
    # Where the j smallest classes are kept whole and the others cut to x: x = multiple * (sum_j + (c - j) x) / c.
    slope = c - multiple * (c - j)
    cap = np.where(slope > 0, multiple * np.cumsum(ascending) / np.where(slope > 0, slope, 1.0), -1.0)
    is_there = (cap >= ascending - _ROUNDING) & (cap <= np.append(ascending[1:], np.inf) + _ROUNDING)
    return float(min(cap[is_there].max(initial=0.0), ascending.max(initial=0.0)))


@dataclass(frozen=True)
class Capped:
    """Pass on what a strategy chooses, the most confident rows of each class first, up to a cap on classes.

    A student that favours one class has most of its confident rows there; learning from all of them makes it favour
    the class more. No class keeps more than `multiple` times the even share of all rows that are kept, but every class
    may keep `least`.

    Parameters
    ----------
    strategy : PseudoLabeler
        Its `mixup`, `draw` and `own_labels` are passed on.
    multiple : float
        At least 1, which makes classes equal. Classes of a pool are rarely of one size: 2 leaves room for that.
    least : int
        Rows of a class that are never cut.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    strategy: PseudoLabeler
    multiple: float = 2.0
    least: int = 5

    def __post_init__(self) -> None:
        check(self, multiple=1, least=0)
        if isinstance(self.strategy, Capped):
            raise ConfigError("a capped strategy is given to be capped again; give the strategy itself")

    @property
    def mixup(self) -> float:
        """What the strategy asks for; 0 where it asks for nothing."""
        return float(getattr(self.strategy, "mixup", 0.0))

    def draw(self, view: PoolView, rng: np.random.Generator) -> Positions:
        """Return the rows that the strategy draws for a student to train itself on; none where it draws none."""
        own: Any = getattr(self.strategy, "draw", None)
        drawn: Positions = np.zeros(0, dtype=np.intp) if own is None else own(view, rng)
        return drawn

    @property
    def own_labels(self) -> ChooseOwn | None:
        """What the strategy says of labels that a student gives within a round."""
        given: ChooseOwn | None = getattr(self.strategy, "own_labels", None)
        return given

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return the rows of the strategy that are within the caps, in its order."""
        return self.choose(view, rng).plain

    def choose(self, view: PoolView, rng: np.random.Generator) -> Chosen:
        """Return the same, with the targets that the strategy would give without some labels, if it can tell."""
        chosen = choose(self.strategy, view, rng)
        if not len(chosen):
            return chosen
        classes = chosen.targets.argmax(axis=1)
        cap = class_cap(np.bincount(classes, minlength=view.n_classes), self.multiple)
        given = chosen.targets if view.proba is None else view.proba[chosen.positions]
        return chosen.at(is_among_best(classes, _of_class(given, classes), max(self.least, int(cap + 1e-6))))


def _of_class(proba: Proba, classes: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.asarray(proba[np.arange(len(classes)), classes], dtype=np.float64)
