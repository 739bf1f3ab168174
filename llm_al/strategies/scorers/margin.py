"""Breaking ties: uncertainty as a small gap between the two likeliest classes."""

from dataclasses import dataclass

import numpy as np

from llm_al.pool import PoolView
from llm_al.strategies.scorers._proba import check_proba, require_proba
from llm_al.types import Proba, Scores

__all__ = ["Margin", "margin"]


def margin(proba: Proba) -> Scores:
    """Score examples by how close the two likeliest classes are [1]_.

    Parameters
    ----------
    proba : ndarray of shape (n, c), float
        Class probabilities. Rows sum to 1, and c >= 2.

    Returns
    -------
    ndarray of shape (n,), float64
        ``1 - (p1 - p2)``, in [0, 1]. Higher means ask sooner.

    Raises
    ------
    ShapeError
        If `proba` is not two-dimensional, has fewer than two columns, or holds NaN.

    References
    ----------
    .. [1] Scheffer, Decomain & Wrobel (2001). Active hidden Markov models for
           information extraction. IDA 2001, LNCS 2189, 309-318.

    Examples
    --------
    >>> margin(np.array([[0.5, 0.5], [0.75, 0.25]]))
    array([1. , 0.5])
    """
    runner_up, best = np.partition(check_proba(proba), -2, axis=1)[:, -2:].T
    scores: Scores = 1.0 - (best - runner_up)
    return scores


@dataclass(frozen=True)
class Margin:
    """Prefer examples whose two likeliest classes are close."""

    def score(self, view: PoolView, rng: np.random.Generator) -> Scores:  # noqa: ARG002 - the protocol's argument
        """Return shape (n,), in [0, 1]; raises `ConfigError` without a student."""
        return margin(require_proba(view, "margin"))
