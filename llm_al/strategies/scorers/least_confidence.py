"""Uncertainty as one minus the largest probability."""

from dataclasses import dataclass

import numpy as np

from llm_al.pool import PoolView
from llm_al.strategies.scorers._proba import check_proba, require_proba
from llm_al.types import Proba, Scores

__all__ = ["LeastConfidence", "least_confidence"]


def least_confidence(proba: Proba) -> Scores:
    """Score examples by how unlikely their likeliest class is [1]_.

    Parameters
    ----------
    proba : ndarray of shape (n, c), float
        Class probabilities. Rows sum to 1, and c >= 2.

    Returns
    -------
    ndarray of shape (n,), float64
        ``1 - max p``, in [0, 1 - 1/c]. Higher means ask sooner.

    Raises
    ------
    ShapeError
        If `proba` is not two-dimensional, has fewer than two columns, or holds NaN.

    References
    ----------
    .. [1] Lewis & Gale (1994). A sequential algorithm for training text classifiers. SIGIR 1994, 3-12.

    Examples
    --------
    >>> least_confidence(np.array([[0.5, 0.5], [0.75, 0.25]]))
    array([0.5 , 0.25])
    """
    scores: Scores = 1.0 - check_proba(proba).max(axis=1)
    return scores


@dataclass(frozen=True)
class LeastConfidence:
    """Prefer examples whose likeliest class is unlikely."""

    def score(self, view: PoolView, rng: np.random.Generator) -> Scores:  # noqa: ARG002 - the protocol's argument
        """Return shape (n,), in [0, 1]; raises `ConfigError` without a student."""
        return least_confidence(require_proba(view, "least_confidence"))
