"""Which form of a question tells most in a second of somebody's time."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.phrasing import Form
from llm_al.questions.clusters import Bulk, BulkRule, find_bulks
from llm_al.questions.times import Pace
from llm_al.types import Embeddings, Proba

__all__ = ["Choice", "Chooser", "Habits", "Texts", "information"]


@dataclass(frozen=True)
class Habits:
    """How far an answer can be trusted.

    Parameters
    ----------
    error : float
        Probability that somebody gives another label than they should, in any form.
    anchoring : float
        Probability that somebody whose label is not offered takes the first one that is. The default is a guess; the
        share of full lists is there to measure it (see `coverage.anchoring`).
    """

    error: float = 0.05
    anchoring: float = 0.1

    def __post_init__(self) -> None:
        if not (0.0 <= self.error < 1.0 and 0.0 <= self.anchoring < 1.0):
            raise ConfigError(
                f"people err with probability {self.error} and are swayed with {self.anchoring}; "
                "give numbers from 0 to below 1"
            )


@dataclass(frozen=True)
class Choice:
    """A form for one text.

    Parameters
    ----------
    form : Form
    options : tuple of int
        Class indices that are offered first, likeliest first.
    bits : float
        Information that the answer is expected to give.
    seconds : float
        What it is expected to take, the way to the whole list included where the options miss.
    cluster : int
        Number of the group that is answered together; -1 for none.
    """

    form: Form
    options: tuple[int, ...]
    bits: float
    seconds: float
    cluster: int = -1

    @property
    def rate(self) -> float:
        """Bits per second."""
        return self.bits / self.seconds


@dataclass(frozen=True)
class Texts:
    """Texts that people are asked about in a round.

    Parameters
    ----------
    proba : ndarray of shape (m, c)
        What the student believes, calibrated on the texts that are asked about; rows sum to 1.
    n_words : ndarray of shape (m,), int64
    embeddings : ndarray of shape (m, d)
        Unit-length rows.
    plausible : ndarray of shape (m, c), bool, or None
        Candidate sets; None as long as there are too few answers for them.
    """

    proba: Proba
    n_words: NDArray[np.int64]
    embeddings: Embeddings
    plausible: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.proba)


def information(proba: NDArray[np.float64], options: Sequence[int], habits: Habits) -> float:
    """Return the mutual information in bits between the right label of a text and the answer.

    Parameters
    ----------
    proba : ndarray of shape (c,)
        Probability of each label to be right.
    options : sequence of int
        Labels that are offered first, likeliest first; empty for the whole list.
    habits : Habits
        An error falls on every other label alike.

    Returns
    -------
    float
        At most the entropy of `proba`: reached when nobody errs and nobody is swayed.

    Examples
    --------
    >>> information(np.array([0.5, 0.5]), (), Habits(0.0, 0.0))
    1.0
    """
    c = len(proba)
    if c < 2:
        return 0.0
    elsewhere = habits.error / (c - 1)
    sway = np.zeros(c)
    if len(options):
        sway[:] = habits.anchoring
        sway[list(options)] = 0.0
    meant = proba * (1.0 - sway)
    if len(options):
        meant[options[0]] += (proba * sway).sum()
    said = (1.0 - habits.error) * meant + elsewhere * (1.0 - meant)
    # Of one label: the answer is right, or the first option, or one of the others by mistake.
    kept = (1.0 - sway) * (1.0 - habits.error) + sway * elsewhere
    taken = sway * (1.0 - habits.error) + (1.0 - sway) * elsewhere
    noise = _surprise(kept) + _surprise(taken) + (c - 2) * _surprise(np.full(c, elsewhere))
    return max(float(_surprise(said).sum() - proba @ noise), 0.0)


def _surprise(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return -p log2 p of each number, 0 for 0."""
    logs = np.log2(share, out=np.zeros_like(share), where=share > 0.0)
    return np.asarray(-share * logs, dtype=np.float64)


@dataclass(frozen=True)
class Chooser:
    """Chooses forms by expected bits per second.

    Parameters
    ----------
    pace : Pace
    forms : tuple of Form
        What may be used. `LIST` always may.
    habits : Habits
    bulk : BulkRule

    Notes
    -----
    Every form ends with a label: "no" and "neither" lead on to the list. So forms differ in what they cost, and in what
    an answer is worth where an offer sways people.
    """

    pace: Pace
    forms: tuple[Form, ...] = tuple(Form)
    habits: Habits = field(default_factory=Habits)
    bulk: BulkRule = field(default_factory=BulkRule)

    def choose(self, texts: Texts, is_open: NDArray[np.bool_] | None = None) -> list[Choice]:
        """Return one choice a text, in their order.

        Parameters
        ----------
        texts : Texts
        is_open : ndarray of shape (m,), bool, optional
            Texts that may be put in another form than the whole list; None means all.
        """
        opened = np.ones(len(texts), dtype=np.bool_) if is_open is None else is_open
        choices = [self._single(texts, row, is_open=bool(opened[row])) for row in range(len(texts))]
        if Form.BULK in self.forms:
            bulks = find_bulks(texts.embeddings, texts.proba, opened, rule=self.bulk)
            for number, bulk in enumerate(bulks):
                self._put_together(texts, choices, bulk, number)
        return choices

    def put(self, texts: Texts, row: int, form: Form, options: tuple[int, ...]) -> Choice:
        """Return what a text costs and tells in a given form."""
        proba = texts.proba[row]
        offered = proba[list(options)]
        miss = 1.0 - float(offered.sum()) if len(options) else 1.0
        # Options are looked at until the right one is met, all of them when it is not there.
        looked = float(offered @ np.arange(1, len(options) + 1)) + max(miss, 0.0) * len(options)
        seconds = self.pace.seconds(form, n_words=float(texts.n_words[row]), n_options=looked, n_lists=max(miss, 0.0))
        return Choice(form, options, information(proba, options, self.habits), seconds)

    def _single(self, texts: Texts, row: int, *, is_open: bool) -> Choice:
        whole = self.put(texts, row, Form.LIST, ())
        if not is_open:
            return whole
        order = np.argsort(-texts.proba[row], kind="stable")
        offers = {Form.VERIFY: order[:1], Form.PAIR: order[:2]}
        if texts.plausible is not None and not texts.plausible[row].all():
            offers[Form.CANDIDATES] = order[texts.plausible[row, order]]
        tried = [
            self.put(texts, row, form, tuple(int(label) for label in labels))
            for form, labels in offers.items()
            if form in self.forms and len(labels)
        ]
        # The first of equals: the list sways nobody.
        return max([whole, *tried], key=lambda choice: choice.rate)

    def _put_together(self, texts: Texts, choices: list[Choice], bulk: Bulk, number: int) -> None:
        """Turn the questions of a group into one, if that tells more in a second."""
        together = [self.put(texts, row, Form.BULK, (bulk.label,)) for row in bulk.rows]
        if _rate(together) <= _rate([choices[row] for row in bulk.rows]):
            return
        for row, choice in zip(bulk.rows, together, strict=True):
            choices[row] = Choice(choice.form, choice.options, choice.bits, choice.seconds, number)


def _rate(choices: Sequence[Choice]) -> float:
    return sum(choice.bits for choice in choices) / sum(choice.seconds for choice in choices)
