"""Uncertainty as the entropy of the class distribution."""

from dataclasses import dataclass

import numpy as np

from llm_al.pool import PoolView
from llm_al.strategies.scorers._proba import check_proba, require_proba
from llm_al.types import Proba, Scores

__all__ = ["Entropy", "entropy"]


def entropy(proba: Proba) -> Scores:
    """Score examples by the entropy of their class distribution [1]_.

    Parameters
    ----------
    proba : ndarray of shape (n, c), float
        Class probabilities. Rows sum to 1, and c >= 2. A class of probability 0 adds nothing.

    Returns
    -------
    ndarray of shape (n,), float64
        ``-sum(p log p) / log c``, in [0, 1], so that label lists of different length compare.
        Higher means ask sooner.

    Raises
    ------
    ShapeError
        If `proba` is not two-dimensional, has fewer than two columns, or holds NaN.

    References
    ----------
    .. [1] Shannon (1948). A mathematical theory of communication. Bell System Technical Journal 27, 379-423.

    Examples
    --------
    >>> entropy(np.array([[0.5, 0.5], [1.0, 0.0]]))
    array([1., 0.])
    """
    proba = check_proba(proba)
    logs = np.log(proba, out=np.zeros_like(proba), where=proba > 0.0)
    # Zero minus, because a bare minus sign makes -0.0 of certainty.
    scores: Scores = np.clip(0.0 - (proba * logs).sum(axis=1) / np.log(proba.shape[1]), 0.0, 1.0)
    return scores


@dataclass(frozen=True)
class Entropy:
    """Prefer examples whose probability is spread over many classes."""

    def score(self, view: PoolView, rng: np.random.Generator) -> Scores:  # noqa: ARG002 - the protocol's argument
        """Return shape (n,), in [0, 1]; raises `ConfigError` without a student."""
        return entropy(require_proba(view, "entropy"))
