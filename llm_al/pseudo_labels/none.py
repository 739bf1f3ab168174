"""No self-training."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.pool import PoolView
from llm_al.types import Positions, Proba

__all__ = ["NoPseudo"]


@dataclass(frozen=True)
class NoPseudo:
    """Choose no rows."""

    def pseudo_label(
        self,
        view: PoolView,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> tuple[Positions, Proba, NDArray[np.float64]]:
        """Return empty rows, targets of shape (0, c) and weights."""
        return np.zeros(0, dtype=np.intp), np.zeros((0, view.n_classes)), np.zeros(0)
