"""Ways to put the questions of a round, from the whole list for all to the best form for each text."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from _reader import Reader
from numpy.typing import NDArray

from llm_al.phrasing import Form
from llm_al.questions.choice import Choice, Chooser, Habits, Texts
from llm_al.questions.clusters import find_bulks
from llm_al.questions.conformal import Asked, replay
from llm_al.questions.posterior import fit_sharpness, sharpened
from llm_al.questions.times import Pace, Timed, fit_pace

COVERAGES = (0.9, 0.95, 0.975)


@dataclass(frozen=True)
class Round:
    """Texts of a round, as they were when it began."""

    texts: Texts
    meant: NDArray[np.int64]
    gold: NDArray[np.int64]
    coins: NDArray[np.float64]
    """Two uniform numbers and a normal one a text: swayed or not, whole list or not, noise of the time."""


@dataclass(frozen=True)
class Policy:
    """How questions are put.

    Parameters
    ----------
    forms : tuple of Form
        One: every text in it. Several: the best in bits per second.
    coverage : float
    step : float or None
        Of the correction of the coverage; 0 is split conformal prediction without one.
    list_share : float
        Share of texts that get the whole list whatever it costs.
    """

    name: str
    forms: tuple[Form, ...] = (Form.LIST,)
    coverage: float = 0.95
    step: float | None = None
    list_share: float = 0.0

    def put(self, asked: Round, past: Sequence[Asked], times: Sequence[Timed]) -> list[Choice]:
        """Return a choice for each text; the whole list as long as there is no threshold where one is needed."""
        n_classes = asked.texts.proba.shape[1]
        record = replay(past, self.coverage, **({} if self.step is None else {"step": self.step}))
        known = record.threshold.is_known
        sets = record.threshold.sets(asked.texts.proba) if known else None
        texts = replace(asked.texts, proba=sharpened(asked.texts.proba, fit_sharpness(past)), plausible=sets)
        prior = Pace.prior(n_classes)
        # A single form is put whatever it takes.
        chooser = Chooser(fit_pace(times, prior=prior) if len(self.forms) > 1 else prior, self.forms, Habits())
        is_open = asked.coins[:, 1] >= self.list_share
        if len(self.forms) > 1:
            return chooser.choose(texts, is_open & known)
        form = self.forms[0] if known else Form.LIST
        offers = self._offers(texts, form)
        return [
            chooser.put(texts, row, form if offer and is_open[row] else Form.LIST, offer if is_open[row] else ())
            for row, offer in enumerate(offers)
        ]

    def _offers(self, texts: Texts, form: Form) -> list[tuple[int, ...]]:
        order = np.argsort(-texts.proba, axis=1, kind="stable")
        offers: list[tuple[int, ...]] = [()] * len(texts)
        if form is Form.BULK:
            for bulk in find_bulks(texts.embeddings, texts.proba):
                for row in bulk.rows:
                    offers[row] = (bulk.label,)
        elif form is Form.CANDIDATES and texts.plausible is not None:
            offers = [tuple(labels[texts.plausible[row, labels]].tolist()) for row, labels in enumerate(order)]
        elif form in (Form.VERIFY, Form.PAIR):
            offers = [tuple(labels[: 1 if form is Form.VERIFY else 2].tolist()) for labels in order]
        return offers


LIST = Policy("list")
AUTOMATIC = Policy("automatic", tuple(Form), list_share=0.1)
CANDIDATES = [Policy(f"candidates {c}", (Form.CANDIDATES,), c) for c in COVERAGES]
UNCORRECTED = [replace(p, name=f"{p.name}, not corrected", step=0.0) for p in CANDIDATES]
FIXED = [Policy(form.value, (form,)) for form in (Form.VERIFY, Form.PAIR, Form.BULK)]
POLICIES = [LIST, *CANDIDATES, *UNCORRECTED, *FIXED, AUTOMATIC]


@dataclass(frozen=True)
class Answered:
    """What a policy got for the texts of a round."""

    choices: Sequence[Choice]
    labels: NDArray[np.int64]
    seconds: NDArray[np.float64]
    times: Sequence[Timed]


def ask(policy: Policy, asked: Round, past: Sequence[Asked], times: Sequence[Timed], reader: Reader) -> Answered:
    """Put the texts of a round to a reader."""
    choices = policy.put(asked, past, times)
    words = asked.texts.n_words.tolist()
    labels = [reader.says(c, int(m), float(x[0])) for c, m, x in zip(choices, asked.meant, asked.coins, strict=True)]
    told = list(zip(choices, labels, words, strict=True))
    seconds = np.array([reader.seconds(*one) for one in told])
    measured = [reader.timed(*one, float(x[2])) for one, x in zip(told, asked.coins, strict=True)]
    return Answered(choices, np.array(labels, dtype=np.int64), seconds, measured)
