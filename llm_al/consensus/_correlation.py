"""How far machines err together, and what their votes are worth then."""

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._votes import Votes

Floats = NDArray[np.float64]


def error_correlation(votes: Votes, *, prior: float, strength: float, trusts_people: bool = True) -> Floats:
    """Return the correlation of the errors of each pair of machines, in [0, 1], 1 on the diagonal.

    Shape (v, v) for v machines, in the order of the voters. It is Pearson's correlation of being right over the m
    examples that gold or people settled and both answered, shrunk to `prior` as if that were `strength` examples more:
    ``(m r + strength * prior) / (m + strength)``. Where one of the two was always right or always wrong, nothing is
    known but the prior. People err independently.

    Parameters
    ----------
    votes : Votes
    prior : float
        In [0, 1].
    strength : float
        Positive.
    trusts_people : bool
        Whether examples on which people agree count as settled; else gold alone settles.
    """
    machines = np.flatnonzero(~votes.is_human)
    m, r = _pearson(_rightness(votes, machines, trusts_people=trusts_people))
    rho = np.clip((m * r + strength * prior) / (m + strength), 0.0, 1.0)
    np.fill_diagonal(rho, 1.0)
    return np.asarray(rho, dtype=np.float64)


def _pearson(right: Floats) -> tuple[Floats, Floats]:
    """Return how many rows tell something about each pair of columns, and their correlation over these rows.

    Both of shape (v, v). A row counts for a pair when neither value is NaN; where one column never changes on these
    rows, the pair has 0 rows and correlation 0.
    """
    known = ~np.isnan(right)
    x, is_known = np.where(known, right, 0.0), known.astype(np.float64)
    n = is_known.T @ is_known
    total, squares = x.T @ is_known, (x * x).T @ is_known
    spread = squares - total**2 / np.maximum(n, 1.0)
    together = x.T @ x - total * total.T / np.maximum(n, 1.0)
    scale = np.sqrt(np.maximum(spread * spread.T, 0.0))
    tells = scale > 1e-9
    return np.where(tells, n, 0.0), np.where(tells, together / np.where(tells, scale, 1.0), 0.0)


def independence(votes: Votes, correlation: Floats) -> Floats:
    """Return what each entry's vote is worth among those on the same example, in (0, 1].

    A voter counts ``1 / sum of its correlations`` with the voters of the example, itself among them. n voters that
    are all correlated by rho count ``n / (1 + (n - 1) rho)`` together, the effective number of independent ones [1]_;
    two copies of one voter count once.

    References
    ----------
    .. [1] Kish (1965). Survey sampling. Wiley, 161-164 (the design effect of clusters).
    """
    machines = np.flatnonzero(~votes.is_human)
    column_of = np.full(len(votes.voters), -1)
    column_of[machines] = np.arange(len(machines))
    entries = np.flatnonzero(column_of[votes.voter] >= 0)
    rows, columns = votes.example[entries], column_of[votes.voter[entries]]
    present = np.zeros((len(votes.example_ids), len(machines)), dtype=np.float32)
    present[rows, columns] = 1.0
    total = present @ correlation.astype(np.float32)
    worth = np.ones(len(votes.voter))
    worth[entries] = 1.0 / np.maximum(total[rows, columns], 1.0)
    return worth


def _rightness(votes: Votes, machines: NDArray[np.intp], *, trusts_people: bool) -> Floats:
    """Return the share of each machine's vote that gold or people agree with, else NaN, shape (settled, machines)."""
    human = votes.is_human[votes.voter]
    by_people = votes.clamped(votes.totals(np.where(human, votes.share, 0.0) * trusts_people)) > 0
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
