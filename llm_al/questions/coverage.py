"""How often the answer was among the labels that were offered first, and whether offering them swayed anybody."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import binomtest, norm

from llm_al.measures import Estimate
from llm_al.phrasing import Form
from llm_al.types import RESERVED_LABELS

__all__ = ["Coverage", "Offered", "anchoring", "measure_coverage"]


class Offered(Protocol):
    """An answer with the labels that were offered first; the store's answer times are of this kind."""

    @property
    def form(self) -> str:
        """How the question was put."""
        ...

    @property
    def options(self) -> tuple[str, ...]:
        """Labels that were offered first, or would have been."""
        ...

    @property
    def coverage(self) -> float | None:
        """Probability with which they were meant to hold the answer."""
        ...

    @property
    def label(self) -> str:
        """The answer."""
        ...


@dataclass(frozen=True)
class Coverage:
    """Nominal and empirical coverage of the sets that were shown.

    Parameters
    ----------
    nominal : float or None
        Mean over the questions; None without any.
    empirical : Estimate
        Share of answers that were among the options, with Wilson's interval.
    n : int
    """

    nominal: float | None
    empirical: Estimate
    n: int


def measure_coverage(answers: Iterable[Offered], *, form: Form = Form.CANDIDATES) -> Coverage:
    """Compare the share of answers that were offered with what was promised, for one form of questions.

    Parameters
    ----------
    answers : iterable of Offered
        Of any form; of one person or of all. Skipped questions and answers that no label fits are left out: no
        set could have held them.
    form : Form
        The promise of `CANDIDATES` is the nominal coverage, that of other forms the student's own probability.
    """
    kept = [a for a in answers if a.form == form and a.coverage is not None and _is_label(a)]
    if not kept:
        return Coverage(None, Estimate(None, reason=f"undefined because nobody has answered a {form} question"), 0)
    nominal = float(np.mean([a.coverage for a in kept]))
    return Coverage(nominal, _share(sum(a.label in a.options for a in kept), len(kept)), len(kept))


def anchoring(shown: Sequence[Offered], unseen: Sequence[Offered]) -> Estimate:
    """Estimate how often somebody whose answer was not offered gave one that was.

    Parameters
    ----------
    shown : sequence of Offered
        Answers to questions that offered their options first.
    unseen : sequence of Offered
        Answers to questions drawn at random from the same ones, for which options were made and not shown.

    Returns
    -------
    Estimate
        ``1 - misses of shown / misses of unseen``, each as a share of its answers, from 0 to 1, with the interval
        of a ratio of two shares [1]_. Unknown while the whole list has shown no miss.

    Notes
    -----
    A set that sways people hides its own misses: among shown sets alone, coverage looks better the worse it is.

    References
    ----------
    .. [1] Katz, Baptista, Azen & Pike (1978). Obtaining confidence intervals for the risk ratio in cohort studies.
           Biometrics 34(3), 469-474.
    """
    n_shown, n_unseen = (sum(map(_is_label, rows)) for rows in (shown, unseen))
    missed, missed_unseen = (sum(_is_label(a) and a.label not in a.options for a in rows) for rows in (shown, unseen))
    if not n_shown or not missed_unseen:
        return Estimate(None, reason="undefined because no full list has shown an answer outside its set yet")
    # Half a miss keeps the interval finite where sets have shown none.
    share, share_unseen = max(missed, 0.5) / n_shown, missed_unseen / n_unseen
    error = np.sqrt((1 - share) / (n_shown * share) + (1 - share_unseen) / (n_unseen * share_unseen))
    low, high = (1 - share / share_unseen * np.exp(sign * norm.ppf(0.975) * error) for sign in (1, -1))
    value = 1 - (missed / n_shown) / share_unseen
    value, low, high = (float(np.clip(number, 0.0, 1.0)) for number in (value, low, high))
    return Estimate(value, low, high)


def _is_label(answer: Offered) -> bool:
    return bool(answer.label) and answer.label not in RESERVED_LABELS


def _share(n_hits: int, n: int) -> Estimate:
    interval = binomtest(n_hits, n).proportion_ci(method="wilson")
    return Estimate(n_hits / n, float(interval.low), float(interval.high))
