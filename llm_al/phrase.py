"""How the questions of a round are put: from what people have answered to one form for each text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.measures import AnswerTime
from llm_al.phrasing import Form, Phrasing
from llm_al.places import Question
from llm_al.questions.choice import Choice, Chooser, Habits, Texts
from llm_al.questions.conformal import Asked, Record, replay
from llm_al.questions.coverage import anchoring
from llm_al.questions.posterior import fit_sharpness, sharpened
from llm_al.questions.times import Pace, Timed, fit_pace
from llm_al.situation import Moment, Situation
from llm_al.types import SKIP, Positions, Proba

__all__ = ["NOTE", "Phrase", "phrasings_of", "timed"]

NOTE = "phrasing"
"""Key of the round's note."""
_COVERAGES = (0.9, 0.95, 0.975, 0.99)
_LEAST_SEEN = 1e-4
_LEAST_REPLAYED = 50
"""Answers from which on coverages are compared; before, the nominal one is taken."""
_WORTHWHILE = 0.95
"""Larger sets have to be cheaper by this factor: nobody likes a long list for a hundredth of a second."""
_PRIOR_MISSES = 10.0
"""Misses on full lists that the prior of anchoring is worth."""


@dataclass(frozen=True)
class Phrase:
    """Decides how each text of a round is put to people.

    Parameters
    ----------
    forms : tuple of Form
        What may be used beside the whole list.
    coverage : float
        Least nominal coverage of candidate sets. Higher ones are taken where they have cost less time so far.
    list_share : float
        Share of the questions, drawn at random, that get the whole list whatever it costs. Their sets are made and kept
        but not shown, so that coverage and sway can be measured on answers that nothing has swayed.

    Notes
    -----
    The whole list is also for blind checks, for second opinions (the student has learned from the first one, and its
    proposal would be an echo), without a student, and as long as there are too few answers for the coverage.
    """

    forms: tuple[Form, ...] = tuple(Form)
    coverage: float = 0.95
    list_share: float = 0.1

    def decide(
        self, situation: Situation, number: int, questions: Iterable[Question], rng: np.random.Generator
    ) -> dict[str, Any]:
        """Return the note of a round, before any of its questions is asked; see `phrasings_of`."""
        now = situation.now(number)
        ids = [id_ for question in questions if not question.is_blind for id_ in question.example_ids]
        ids = [id_ for id_ in dict.fromkeys(ids) if not now.answers.is_asked[situation.corpus.position_of[id_]]]
        if now.view.proba is None or not ids:
            return {"seen": {}, "put": {}}
        rows = np.array([situation.corpus.position_of[id_] for id_ in ids], dtype=np.intp)
        proba, names = np.asarray(now.view.proba[rows], dtype=np.float64), situation.corpus.scheme.names
        note: dict[str, Any] = {"seen": {id_: _sparse(row, names) for id_, row in zip(ids, proba, strict=True)}}
        times = situation.store.answer_times()
        pace = fit_pace(timed(times), prior=Pace.prior(len(names)))
        past = _past(situation, now)
        record = self._record(past, pace)
        if not record.threshold.is_known or set(self.forms) <= {Form.LIST}:
            return {**note, "put": {}}
        texts = _texts(situation, rows, sharpened(proba, fit_sharpness(past)), record.threshold.sets(proba))
        is_list = rng.random(len(ids)) < self.list_share
        choices = Chooser(pace, self.forms, Habits(anchoring=_sway(times))).choose(texts, ~is_list)
        put = _Put(texts, names, record.threshold.coverage, number)
        phrasings = [put.phrasing(row, choice, is_list=bool(is_list[row])) for row, choice in enumerate(choices)]
        note["put"] = {id_: asdict(one) for id_, one in zip(ids, phrasings, strict=True)}
        note["threshold"] = asdict(record.threshold)
        return note

    def _record(self, past: Sequence[Asked], pace: Pace) -> Record:
        """Return the sets of the coverage that has cost least so far, of those that are allowed."""
        nominal = replay(past, self.coverage)
        others = [replay(past, coverage) for coverage in _COVERAGES if coverage > self.coverage]
        able = [r for r in others if r.threshold.is_known and len(r.is_hit) >= _LEAST_REPLAYED]
        best = min([nominal, *able], key=lambda record: record.mean_seconds(pace.option_s, pace.list_s))
        saved = best.mean_seconds(pace.option_s, pace.list_s) / nominal.mean_seconds(pace.option_s, pace.list_s)
        return best if saved <= _WORTHWHILE else nominal


@dataclass(frozen=True)
class _Put:
    """Turns choices into phrasings."""

    texts: Texts
    names: Sequence[str]
    coverage: float
    number: int

    def phrasing(self, row: int, choice: Choice, *, is_list: bool) -> Phrasing:
        if is_list:
            order = np.argsort(-self.texts.proba[row], kind="stable")
            plausible = order[self.texts.plausible[row, order]] if self.texts.plausible is not None else order[:0]
            return Phrasing(Form.LIST, self._named(plausible.tolist()), self.coverage)
        if choice.form is Form.LIST:
            return Phrasing()
        offered = float(self.texts.proba[row, list(choice.options)].sum())
        coverage = self.coverage if choice.form is Form.CANDIDATES else round(min(offered, 1.0), 4)
        cluster = f"{self.number}-{choice.cluster}" if choice.cluster >= 0 else ""
        return Phrasing(choice.form, self._named(choice.options), coverage, cluster)

    def _named(self, labels: Sequence[int]) -> tuple[str, ...]:
        return tuple(self.names[label] for label in labels)


def _texts(situation: Situation, rows: Positions, proba: Proba, plausible: NDArray[np.bool_]) -> Texts:
    n_words = np.array([len(text.split()) for text in situation.corpus.texts_at(rows)], dtype=np.int64)
    return Texts(proba, n_words, situation.corpus.embeddings[rows], plausible)


def phrasings_of(note: Mapping[str, Any]) -> dict[str, Phrasing]:
    """Return how the texts of a round's note are put; a text that is not in it gets the whole list."""
    return {
        id_: Phrasing(Form(kept["form"]), tuple(kept["options"]), kept["coverage"], kept["cluster"])
        for id_, kept in note["put"].items()
    }


def timed(times: Iterable[AnswerTime]) -> list[Timed]:
    """Return the answers whose seconds and form are known; skips are left out."""
    return [_timed(one) for one in times if one.form in set(Form) and one.label != SKIP and (one.seconds or 0.0) > 0.0]


def _timed(one: AnswerTime) -> Timed:
    options = () if one.form == Form.LIST else one.options
    is_offered = one.label in options
    looked = options.index(one.label) + 1 if is_offered else len(options)
    return Timed(one.seconds or 0.0, Form(one.form), one.n_words, looked, not is_offered, one.source)


def _sway(times: Iterable[AnswerTime]) -> float:
    """Return how often people are swayed by an offer, drawn to the prior while few lists have shown a miss."""
    offered = [one for one in times if one.options and one.coverage is not None]
    shown = [one for one in offered if one.form == Form.CANDIDATES]
    unseen = [one for one in offered if one.form == Form.LIST]
    n_missed = sum(one.label not in one.options for one in unseen)
    found, prior = anchoring(shown, unseen).value, Habits().anchoring
    if found is None:
        return prior
    return min((found * n_missed + prior * _PRIOR_MISSES) / (n_missed + _PRIOR_MISSES), 0.99)


def _sparse(row: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    # Names, because a label list may be edited between rounds; the rest would fill the store with zeros.
    return {name: round(float(p), 6) for name, p in zip(names, row, strict=True) if p >= _LEAST_SEEN}


def _past(situation: Situation, now: Moment) -> list[Asked]:
    """Return what was asked in earlier rounds and answered with a label, with what the student then thought."""
    notes = [situation.store.read_note(number, NOTE) for number in range(1, now.number)]
    return [_asked(note["seen"], situation, now) for note in notes if note]


def _asked(seen: Mapping[str, Mapping[str, float]], situation: Situation, now: Moment) -> Asked:
    scheme, position_of = situation.corpus.scheme, situation.corpus.position_of
    column = {name: index for index, name in enumerate(scheme.names)}
    rows, labels = [], []
    for id_, known in seen.items():
        label = int(now.answers.human[position_of[id_]]) if id_ in position_of else -1
        row = np.zeros(len(scheme))
        row[[column[name] for name in known if name in column]] = [p for name, p in known.items() if name in column]
        if label >= 0 and row.any():
            rows.append(row)
            labels.append(label)
    proba: Proba = np.array(rows, dtype=np.float64).reshape(len(rows), len(scheme))
    return Asked(proba, np.array(labels, dtype=np.int64))
