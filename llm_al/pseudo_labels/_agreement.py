"""How far voters err together, from agreement beyond what their reliability explains."""

import numpy as np
from numpy.typing import NDArray

from llm_al.types import Proba

Floats = NDArray[np.float64]
Votes = NDArray[np.int64]

_LEAST = 1e-9


def excess_correlation(votes: Votes, posterior: Proba, matrices: Floats, *, prior: float, strength: float) -> Floats:
    """Return how dependent the votes of each pair of voters are, given what is true, in [0, 1]; 1 on the diagonal.

    Independent voters j and k agree on a row with probability ``e = sum_y q(y) sum_v T_j[y, v] T_k[y, v]``; voters
    that depend on each other as far as their matrices allow, with ``u = sum_y q(y) sum_v min(T_j[y, v], T_k[y, v])``.
    The share of the way from e to u that they really go, ``(agreement - e) / (u - e)`` over the m rows that both
    answered, is shrunk to `prior` as if that were `strength` rows more.

    Parameters
    ----------
    votes : ndarray of shape (m, j), int64
        -1 where there is no answer.
    posterior : ndarray of shape (m, c)
    matrices : ndarray of shape (j, c, c)
        Rows are true classes and sum to 1.
    prior : float
        In [0, 1].
    strength : float
        Positive.
    """
    n_voters = votes.shape[1]
    correlation = np.eye(n_voters)
    for j in range(n_voters):
        for k in range(j):
            both = (votes[:, j] >= 0) & (votes[:, k] >= 0)
            n = float(both.sum())
            truth = posterior[both].mean(axis=0) if n else np.zeros(posterior.shape[1])
            chance = float(truth @ (matrices[j] * matrices[k]).sum(axis=1))
            most = float(truth @ np.minimum(matrices[j], matrices[k]).sum(axis=1))
            agreed = float((votes[both, j] == votes[both, k]).mean()) if n else 0.0
            share = np.clip((agreed - chance) / max(most - chance, _LEAST), 0.0, 1.0)
            correlation[j, k] = correlation[k, j] = (n * share + strength * prior) / (n + strength)
    return correlation


def independent_share(votes: Votes, correlation: Floats) -> Floats:
    """Return what each vote is worth among those on the same row, shape (m, j), in (0, 1]; 0 where there is none.

    A voter counts ``1 / sum of its correlations`` with the voters of the row, itself among them: n voters that are all
    correlated by rho count ``n / (1 + (n - 1) rho)`` together, the effective number of independent ones [1]_.

    References
    ----------
    .. [1] Kish (1965). Survey sampling. Wiley, 161-164 (the design effect of clusters).
    """
    answered = (votes >= 0).astype(np.float64)
    return np.asarray(answered / np.maximum(answered @ correlation, 1.0), dtype=np.float64)
