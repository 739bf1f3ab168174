"""How long an answer takes: reading the text, looking through labels, deciding."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from llm_al.errors import DataError
from llm_al.phrasing import Form

__all__ = ["PRIOR", "Pace", "Timed", "fit_pace"]

_LONGEST_FACTOR = 10.0
"""An answer that took longer than this many times what is usual counts as a break, and only as long as this."""
_PRIOR_SPREAD = 0.7
"""Standard deviation of the logarithm of a part around its prior: the prior is right within a factor of two."""
_SPREAD = 0.5
"""Standard deviation of the logarithm of an answer's seconds; people are about as uneven as this."""
_MOST_ANSWERS = 2000
"""The latest ones; more would tell little and cost time."""
_N_SHARED = 3
_PERSON_SPREAD = 0.5
"""Standard deviation of the logarithm of a person's pace around everybody's."""


@dataclass(frozen=True)
class Pace:
    """Seconds of the parts of an answer.

    Parameters
    ----------
    word_s : float
        Reading one word of a text.
    option_s : float
        Looking at one of the labels that are offered first.
    list_s : float
        Finding a label in the whole list, once it is open.
    decision_s : mapping of Form to float
        All the rest of an answer in that form, the key press included; for `BULK`, of each text.

    Notes
    -----
    The time to search a list is taken as one number: the length of a project's list does not change, so that its
    law, linear for those who scan [2]_ and logarithmic for those who know the list [3]_, cannot be told from it.

    The defaults are a prior for the time before anything is measured. A word takes 60 / 238 s, the mean rate of
    silent reading [1]_. An option takes .25 s, the lower end of what choosing by meaning takes [2]_; looking for a
    known word is faster, .08 s [3]_. A decision takes 1.6 s: a mental preparation and a key, as in [4]_; each text of a
    bulk question half of that, since one key answers several.

    References
    ----------
    .. [1] Brysbaert (2019). How many words do we read per minute? A review and meta-analysis of reading rate. Journal
           of Memory and Language 109, 104047.
    .. [2] Lee & MacGregor (1985). Minimizing user search time in menu retrieval systems. Human Factors 27(2), 157-162.
    .. [3] Cockburn, Gutwin & Greenberg (2007). A predictive model of menu performance. CHI 2007, 627-636.
    .. [4] Card, Moran & Newell (1980). The keystroke-level model for user performance time with interactive systems.
           Communications of the ACM 23(7), 396-410.
    """

    word_s: float = 60.0 / 238.0
    option_s: float = 0.25
    list_s: float = 2.5
    decision_s: Mapping[Form, float] = field(default_factory=lambda: {**dict.fromkeys(Form, 1.6), Form.BULK: 0.8})
    n_measured: int = 0
    """Answers that it was fitted on."""

    @classmethod
    def prior(cls, n_classes: int) -> "Pace":
        """Return what is assumed of a list of n labels: half of it is looked through."""
        start = cls()
        return replace(start, list_s=start.option_s * (n_classes + 1) / 2)

    def seconds(self, form: Form, *, n_words: float, n_options: float, n_lists: float) -> float:
        """Return the seconds of an answer; counts may be expectations."""
        return self.word_s * n_words + self.option_s * n_options + self.list_s * n_lists + self.decision_s[form]


PRIOR = Pace()


@dataclass(frozen=True, slots=True)
class Timed:
    """One measured answer.

    Parameters
    ----------
    seconds : float
        Positive.
    form : Form
    n_words : int
        Of the text.
    n_options : float
        Offered labels that were looked at: up to the answer, or all when it was not among them.
    is_list_opened : bool
        Whether the answer was looked for in the whole list.
    person : str

    Raises
    ------
    DataError
        If `seconds` is not a positive number, or a count is negative.
    """

    seconds: float
    form: Form
    n_words: int
    n_options: float = 0.0
    is_list_opened: bool = False
    person: str = ""

    def __post_init__(self) -> None:
        if not 0.0 < self.seconds < np.inf or self.n_words < 0 or self.n_options < 0:
            raise DataError(
                f"an answer took {self.seconds} s for {self.n_words} words and {self.n_options} options; "
                "seconds must be positive and finite, counts not negative; leave it out"
            )


def fit_pace(answers: Sequence[Timed], *, prior: Pace = PRIOR) -> Pace:
    """Fit seconds to measured answers.

    Parameters
    ----------
    answers : sequence of Timed
        Any number; with few of them the result stays near `prior`.
    prior : Pace

    Returns
    -------
    Pace
        Coefficients of the typical (median) answer, all positive. A form without answers moves with the others.

    Notes
    -----
    Logarithms of seconds are fitted, since answers vary by a factor and not by a number of seconds, with a
    loss that grows ever more slowly with the residual (Cauchy), so that somebody's coffee break or slip of a key
    moves nothing. What is ten times slower than the median is cut to that first. Each person has a
    pace of their own around everybody's: a slow person who gets one form more often does not make it a slow form.

    Examples
    --------
    >>> quick = [Timed(0.1 * n + 8.0, Form.LIST, n, is_list_opened=True) for n in range(5, 105)]
    >>> round(fit_pace(quick).word_s, 2)  # the prior, .25, still has a little weight
    0.11
    """
    if not answers:
        return prior
    answers = answers[-_MOST_ANSWERS:]
    people = sorted({answer.person for answer in answers})
    who = np.array([people.index(answer.person) for answer in answers])
    design, log_seconds = _design(answers), np.log(_clipped(answers))
    expected = np.log(np.array([prior.word_s, prior.option_s, prior.list_s, *(prior.decision_s[f] for f in Form)]))
    start = np.concatenate([expected, np.zeros(len(people))])

    def residuals(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        parts, own = parameters[: len(expected)], parameters[len(expected) :]
        gap = (log_seconds - np.log(design @ np.exp(parts)) - own[who]) / _SPREAD
        cauchy = np.sign(gap) * np.sqrt(np.log1p(gap**2))
        return np.concatenate([cauchy, _pull(parts - expected), own / _PERSON_SPREAD])

    fitted = np.exp(least_squares(residuals, start).x[: len(expected)])
    word_s, option_s, list_s, *decisions = fitted.tolist()
    return Pace(word_s, option_s, list_s, dict(zip(Form, decisions, strict=True)), len(answers))


def _pull(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hold reading, options, list and the mean decision to the prior, and each form's decision to their mean."""
    together = moves[_N_SHARED:].mean()
    held = np.concatenate([moves[:_N_SHARED], [together], moves[_N_SHARED:] - together])
    return np.asarray(held / _PRIOR_SPREAD, dtype=np.float64)


def _design(answers: Sequence[Timed]) -> NDArray[np.float64]:
    rows = [[a.n_words, a.n_options, a.is_list_opened, *(a.form is form for form in Form)] for a in answers]
    return np.array(rows).astype(np.float64)


def _clipped(answers: Sequence[Timed]) -> NDArray[np.float64]:
    seconds = np.array([answer.seconds for answer in answers], dtype=np.float64)
    return np.asarray(np.minimum(seconds, _LONGEST_FACTOR * np.median(seconds)), dtype=np.float64)
