"""The label of everything else, about which pseudo-labels have no say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.students._head_part import HeadPart, arrays_of, parts_from
from llm_al.students.calibration import pooled
from llm_al.types import Embeddings, Proba

__all__ = ["CatchAll", "enough_for", "with_odds"]

_PREFIX = "catch_all_"
_CLASS = "class"
_LEAST = 3
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class CatchAll:
    """A classifier that has learned from no pseudo-label, and its word on one class.

    Parameters
    ----------
    index : int
        The class.
    parts : sequence of HeadPart
        One for each view; they are pooled in equal shares.
    """

    index: int
    parts: Sequence[HeadPart]

    def corrected(self, proba: Proba, embeddings: Embeddings) -> Proba:
        """Return probabilities, shape (n, c), with the odds of the class that this classifier gives."""
        told = pooled(*(part.predict_proba(embeddings) for part in self.parts))
        return with_odds(proba, told, self.index)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return named arrays for a file."""
        named = {**arrays_of(self.parts), _CLASS: np.array([self.index])}
        return {_PREFIX + name: array for name, array in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, k: int, share: float) -> "CatchAll | None":
        """Read what `arrays` gave; None where there is nothing of it."""
        if _PREFIX + _CLASS not in arrays:
            return None
        mine = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
        return cls(int(mine[_CLASS][0]), parts_from(mine, 1.0, k=k, share=share))


def enough_for(index: int, targets: Proba) -> bool:
    """Whether rows with targets of shape (n, c) hold enough examples of a class to speak for it."""
    return int((targets.argmax(axis=1) == index).sum()) >= _LEAST


def with_odds(proba: Proba, told: Proba, index: int) -> Proba:
    """Return `proba` with the odds between one class and the likeliest other one as they are in `told`.

    Parameters
    ----------
    proba, told : ndarray of shape (n, c)
    index : int
        The class.

    Examples
    --------
    >>> with_odds(np.array([[0.9, 0.1, 0.0]]), np.array([[0.25, 0.25, 0.5]]), 2).round(2)
    array([[0.32, 0.04, 0.64]])
    """
    others = np.arange(proba.shape[1]) != index
    odds = told[:, index] / np.maximum(told[:, others].max(axis=1), _TINY)
    changed = proba.copy()
    changed[:, index] = odds * proba[:, others].max(axis=1)
    total = changed.sum(axis=1, keepdims=True)
    return np.asarray(changed / np.maximum(total, _TINY))
