"""How far machines err together, and what their votes are worth then."""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._votes import Votes

Floats = NDArray[np.float64]


def error_correlation(votes: Votes, *, prior: float, strength: float) -> Floats:
    """Return the correlation of the errors of each pair of voters, shape (v, v), in [0, 1], 1 on the diagonal.

    For two machines it is Pearson's correlation of being right over the m examples that people settled and both
    answered, shrunk to `prior` as if that were `strength` examples more: ``(m r + strength * prior) / (m + strength)``.
    Where one of the two was always right or always wrong, nothing is known but the prior. People err independently.

    Parameters
    ----------
    votes : Votes
    prior : float
        In [0, 1].
    strength : float
        Positive.
    """
    machines = np.flatnonzero(~votes.is_human)
    result = np.eye(len(votes.voters))
    right = _rightness(votes, machines)
    for j, k in combinations(range(len(machines)), 2):
        both = right[:, [j, k]]
        both = both[~np.isnan(both).any(axis=1)]
        m, r = _pearson(both)
        rho = (m * r + strength * prior) / (m + strength)
        pair = machines[j], machines[k]
        result[pair] = result[pair[::-1]] = min(max(rho, 0.0), 1.0)
    return result


def _pearson(pairs: Floats) -> tuple[int, float]:
    """Return how many pairs tell something and their correlation; (0, 0) where one side never changes."""
    left, right = (pairs - pairs.mean(axis=0)).T if len(pairs) else (np.zeros(0), np.zeros(0))
    spread = float(np.sqrt((left @ left) * (right @ right)))
    return (len(pairs), float(left @ right) / spread) if spread > 1e-12 else (0, 0.0)


def independence(votes: Votes, correlation: Floats) -> Floats:
    """Return what each entry's vote is worth among those on the same example, in (0, 1].

    A voter counts ``1 / sum of its correlations`` with the voters of the example, itself among them. n voters that
    are all correlated by rho count ``n / (1 + (n - 1) rho)`` together, the effective number of independent ones [1]_;
    two copies of one voter count once.

    References
    ----------
    .. [1] Kish (1965). Survey sampling. Wiley, 161-164 (the design effect of clusters).
    """
    present = np.zeros((len(votes.example_ids), len(votes.voters)), dtype=np.float32)
    present[votes.example, votes.voter] = 1.0
    total = present @ correlation
    return np.asarray(1.0 / np.maximum(total[votes.example, votes.voter], 1.0), dtype=np.float64)


def _rightness(votes: Votes, machines: NDArray[np.intp]) -> Floats:
    """Return the share of each machine's vote that people agree with, NaN without one, shape (settled, machines)."""
    human = votes.is_human[votes.voter]
    by_people = votes.totals(np.where(human, votes.share, 0.0)) > 0
    settled = np.flatnonzero(by_people.sum(axis=1) == 1)
    row_of = np.full(len(votes.example_ids), -1)
    row_of[settled] = np.arange(len(settled))
    column_of = np.full(len(votes.voters), -1)
    column_of[machines] = np.arange(len(machines))
    kept = (row_of[votes.example] >= 0) & ~human
    rows, columns = row_of[votes.example[kept]], column_of[votes.voter[kept]]
    right = np.full((len(settled), len(machines)), np.nan)
    right[rows, columns] = 0.0
    is_right = by_people[votes.example[kept], votes.outcome[kept]]
    np.add.at(right, (rows, columns), votes.share[kept] * is_right)
    return right
