"""Which LLM labels the audit proves good enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv
from scipy.stats import binom

from llm_al.errors import ConfigError, ShapeError
from llm_al.measures import Certificate
from llm_al.types import Decision, Outcome, Stage

__all__ = ["Candidates", "certify", "decide", "error_upper_bound", "n_audits_needed"]


@dataclass(frozen=True)
class Candidates:
    """All LLM labels that could be accepted, audited or not, with scores frozen before the audit.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        Probability of being right, as written down at review.
    is_audited : ndarray of shape (n,), bool
        Drawn for the audit *and* answered by a person.
    is_error : ndarray of shape (n,), bool
        Whether that person gave another label, or none of these; ignored where not audited.
    probability : ndarray of shape (n,)
        Probability with which the audit would have drawn each candidate, drawn or not; in (0, 1].

    Raises
    ------
    ShapeError
        If lengths differ, a score is not finite, or a probability is outside (0, 1].
    """

    scores: NDArray[np.float64]
    is_audited: NDArray[np.bool_]
    is_error: NDArray[np.bool_]
    probability: NDArray[np.float64]

    def __post_init__(self) -> None:
        lengths = {len(self.scores), len(self.is_audited), len(self.is_error), len(self.probability)}
        if len(lengths) != 1 or not np.isfinite(self.scores).all():
            raise ShapeError(
                f"candidate arrays have lengths {sorted(lengths)}; "
                "give one finite score, one audit and one probability a row"
            )
        if not ((self.probability > 0) & (self.probability <= 1)).all():
            raise ShapeError(
                "an audit probability is outside (0, 1]; record the probability of the draw for each candidate"
            )

    def __len__(self) -> int:
        return len(self.scores)


def error_upper_bound(n_errors: int, n: int, confidence: float) -> float:
    """Return the one-sided Clopper-Pearson upper bound of an error rate [1]_.

    Returns 1 when `n` is 0 or all are errors.

    References
    ----------
    .. [1] Clopper & Pearson (1934). The use of confidence or fiducial limits. Biometrika 26, 404-413.

    Examples
    --------
    >>> round(error_upper_bound(0, 29, 0.95), 4)
    0.0981
    """
    return 1.0 if n_errors >= n else float(betaincinv(n_errors + 1, n - n_errors, confidence))


def n_audits_needed(max_error: float, confidence: float) -> int:
    """Return how many audits without a single error prove `max_error`: ``(1 - max_error)^n <= 1 - confidence``.

    Examples
    --------
    >>> n_audits_needed(0.1, 0.95)
    29
    """
    return int(np.ceil(np.log1p(-confidence) / np.log1p(-max_error) - 1e-9))


def certify(candidates: Candidates, *, max_error: float, confidence: float, rng: np.random.Generator) -> Certificate:
    """Find the lowest threshold whose labels are proven to be wrong at most `max_error` of the time.

    Thresholds are tested in a fixed order, from the strictest down, each at the full level, and testing stops at the
    first failure [1]_ [2]_. Then ``P(error among candidates at or above the threshold > max_error) <= 1 -
    confidence``, whatever the LLM does: the candidates and their errors are fixed, and only the draw of the audit is
    random.

    Why the order may be chosen from the data: it depends on the candidates' scores and on the *number* m of audits,
    never on which candidates were drawn or what people said. Given m, the audit is a simple random sample; so the
    first threshold in the order that is truly too bad is a fixed one, and given how many audits lie above it, they
    are a simple random sample of the candidates above it. Their errors are hypergeometric, for which the binomial
    bound is conservative, and passing there, the only way to accept wrongly, has probability <= 1 - confidence.

    The first threshold is the strictest that m audits can test with something to spare: its expected audits are about
    m / 2, and enough to pass without an error. Each later one can afford one error more; the last takes all.

    Audits drawn with unequal probabilities are first thinned at random to the smallest of them, which makes them
    equal again. The error counts labels before people correct those they audited, so what is exported is better
    still. The guarantee is for one certificate; looking again after each round and stopping at the first success
    weakens it.

    Parameters
    ----------
    candidates : Candidates
        Audited or not, over all rounds.
    max_error, confidence : float
        In (0, 1).
    rng : Generator
        Used only for thinning; its stream must not be the one that drew the audit.

    Returns
    -------
    Certificate
        `threshold` is None when nothing can be accepted. `reason` explains either way.

    Raises
    ------
    ConfigError
        If `max_error` or `confidence` is outside (0, 1).

    References
    ----------
    .. [1] Angelopoulos, Bates, Candes, Jordan & Lei (2021). Learn then Test. arXiv:2110.01052.
    .. [2] Candes, Ilyas & Zrnic (2025). Probably approximately correct labels. arXiv:2506.10908.
    """
    for name, value in (("max_error", max_error), ("confidence", confidence)):
        if not 0.0 < value < 1.0:
            raise ConfigError(f"{name} is {value}; it must lie between 0 and 1; correct it")
    audited = _equalise(candidates, rng)
    m = int(audited.sum())
    needed = n_audits_needed(max_error, confidence)
    if m < needed:
        reason = (
            f"only {m} audited answers so far; even without a single mistake it takes {needed} "
            f"to show an error of at most {max_error:.1%} with {confidence:.0%} confidence"
        )
        n_errors = int(candidates.is_error[audited].sum())
        return Certificate(None, None, m, n_errors, max_error, confidence, reason)
    taus = _thresholds(candidates.scores, m, max_error, confidence)
    tested = [_test(candidates, audited, tau, max_error, confidence) for tau in taus]
    failures = [i for i, certificate in enumerate(tested) if certificate.threshold is None]
    last_passed = (failures[0] if failures else len(tested)) - 1
    return tested[max(last_passed, 0)]


def decide(
    example_ids: Sequence[str], scores: Sequence[float], certificate: Certificate, *, round: int
) -> list[Decision]:
    """Accept the candidates at or above the certified threshold and hold the others, one decision each."""
    return [_decide_one(id_, float(p), certificate, round) for id_, p in zip(example_ids, scores, strict=True)]


def _decide_one(example_id: str, p: float, certificate: Certificate, round: int) -> Decision:
    tau = certificate.threshold
    if tau is None:
        outcome, reason = Outcome.HOLD, f"no LLM label is accepted yet: {certificate.reason}"
    elif p >= tau:
        outcome, reason = Outcome.ACCEPT, f"its score {p:.3f} reaches the threshold: {certificate.reason}"
    else:
        outcome, reason = Outcome.HOLD, f"its score {p:.3f} is below the threshold {tau:.3f} that the audit supports"
    return Decision(example_id, round, Stage.REVIEW, outcome, reason, score=p)


def _equalise(candidates: Candidates, rng: np.random.Generator) -> NDArray[np.bool_]:
    if not len(candidates) or np.ptp(candidates.probability) < 1e-12:
        return candidates.is_audited
    keep = candidates.probability.min() / candidates.probability
    return np.asarray(candidates.is_audited & (rng.random(len(candidates)) < keep), dtype=np.bool_)


def _thresholds(scores: NDArray[np.float64], m: int, max_error: float, confidence: float) -> list[float]:
    n = len(scores)
    steps = np.array(_sizes_to_test(m, max_error, confidence))
    first = steps[max(0, int(np.searchsorted(steps, m / 2.0, side="right")) - 1) :]
    # One standard deviation of the hypergeometric count on top, so that the set mostly holds what it needs.
    spare = np.sqrt(first * (1.0 - first / m) * (1.0 - m / n))
    ranks = np.minimum(np.ceil(n * (first + spare) / m), n).astype(np.intp)
    descending = np.sort(scores)[::-1]
    taus = descending[np.append(ranks, n) - 1]
    return [float(tau) for tau in np.unique(taus)[::-1]]


@lru_cache(maxsize=256)
def _sizes_to_test(m: int, max_error: float, confidence: float) -> tuple[int, ...]:
    """Return the numbers of audits, up to `m`, from which one error more can be afforded."""
    sizes = np.arange(1, m + 1)
    # Number of errors that a set with this many audits may hold and still pass, plus one; 0 means it never passes.
    affordable = binom.ppf(1.0 - confidence, sizes, max_error)
    return tuple(int(size) for size in sizes[np.diff(affordable, prepend=0.0) > 0])


def _test(
    candidates: Candidates, audited: NDArray[np.bool_], tau: float, max_error: float, confidence: float
) -> Certificate:
    above = candidates.scores >= tau
    n, n_errors = int((audited & above).sum()), int((audited & above & candidates.is_error).sum())
    upper = error_upper_bound(n_errors, n, confidence)
    found = (
        f"{n_errors} of {n} audited labels with a score of {tau:.3f} or more were wrong, so at most {upper:.1%} of the "
        f"{int(above.sum())} LLM labels there are ({confidence:.0%} confidence)"
    )
    if upper > max_error:
        return Certificate(None, upper, n, n_errors, max_error, confidence, f"{found}; {max_error:.1%} is allowed")
    return Certificate(tau, upper, n, n_errors, max_error, confidence, f"{found}; {max_error:.1%} is allowed")
