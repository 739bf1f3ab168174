"""What every scorer asks of the student's probabilities."""

import numpy as np

from llm_al.errors import ConfigError, ShapeError
from llm_al.pool import PoolView
from llm_al.types import Proba


def require_proba(view: PoolView, scorer: str) -> Proba:
    """Return the student's probabilities.

    Raises
    ------
    ConfigError
        If there are fewer than two classes, or no student has been trained yet.
    """
    if view.n_classes < 2:
        raise ConfigError(
            f"scorer {scorer!r} compares classes; got a label list of {view.n_classes}; "
            "it needs at least 2; add the labels to tell apart"
        )
    if view.proba is None:
        raise ConfigError(
            f"scorer {scorer!r} needs the student's probabilities; there is no student yet; "
            "choose a cold start for the first queries, or the scorer 'random'"
        )
    return view.proba


def check_proba(proba: Proba) -> Proba:
    """Return `proba` as float64.

    Raises
    ------
    ShapeError
        If it is not two-dimensional, has fewer than two columns, or holds NaN or infinity.
    """
    proba = np.asarray(proba, dtype=np.float64)
    if proba.ndim != 2 or proba.shape[1] < 2:
        raise ShapeError(f"proba has shape {proba.shape}; expected (n, c) with c >= 2; give one column a class")
    finite = np.isfinite(proba).all(axis=1)
    if not finite.all():
        raise ShapeError(
            f"proba row {int(finite.argmin())} holds NaN or infinity; expected probabilities; retrain the student"
        )
    return proba
