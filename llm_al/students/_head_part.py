"""A linear classifier on one view of the vectors, with the rows that it looks up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.students._linear import Linear
from llm_al.students._recall import Recall
from llm_al.students.calibration import scaled_proba
from llm_al.types import Embeddings, Proba
from llm_al.views import FIRST, view_of

__all__ = ["HeadPart", "arrays_of", "parts_from"]

_VIEW = "view"
_TEMPERATURE = "temperature"


@dataclass(frozen=True, eq=False)
class HeadPart:
    """What a head knows on one view."""

    linear: Linear
    temperature: float = 1.0
    recall: Recall | None = None
    view: int = FIRST

    def predict_proba(self, embeddings: Embeddings) -> Proba:
        """Return calibrated probabilities, shape (n, c), for vectors of shape (n, d) or (n, v, d).

        Raises
        ------
        ShapeError
            If the vectors have another width than those of the training set, or not this view.
        """
        vectors = view_of(embeddings, self.view)
        proba = scaled_proba(self.linear.logits(vectors), self.temperature)
        return proba if self.recall is None else self.recall.mixed(proba, vectors)


def arrays_of(parts: Sequence[HeadPart]) -> dict[str, NDArray[Any]]:
    """Return named arrays for a file; those of the first part have plain names, as in files of one part."""
    return {_prefix(i) + name: array for i, part in enumerate(parts) for name, array in _arrays(part).items()}


def parts_from(arrays: Mapping[str, NDArray[Any]], temperature: float, *, k: int, share: float) -> tuple[HeadPart, ...]:
    """Read what `arrays_of` gave; `temperature` is that of the first part.

    Raises
    ------
    StudentError
        If an array is missing.
    """
    n_parts = 1
    while _prefix(n_parts) + _VIEW in arrays:
        n_parts += 1
    return tuple(_part(_under(_prefix(i), arrays), temperature, k, share) for i in range(n_parts))


def _arrays(part: HeadPart) -> dict[str, NDArray[Any]]:
    recalled = {} if part.recall is None else part.recall.arrays()
    own = {_VIEW: np.array([part.view]), _TEMPERATURE: np.array([part.temperature])}
    return {**part.linear.arrays(), **recalled, **own}


def _part(arrays: Mapping[str, NDArray[Any]], temperature: float, k: int, share: float) -> HeadPart:
    # Files of before the views hold neither.
    view = int(arrays[_VIEW][0]) if _VIEW in arrays else FIRST
    own = float(arrays[_TEMPERATURE][0]) if _TEMPERATURE in arrays else temperature
    return HeadPart(Linear.from_arrays(arrays), own, Recall.from_arrays(arrays, k=k, share=share), view)


def _prefix(i: int) -> str:
    return f"part{i}_" if i else ""


def _under(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
