"""From answers to figures about people: who answers what, how fast, how rightly, and how far they agree."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from llm_al.consensus.agreement import Agreement, agreement_of
from llm_al.evaluation.selective import Checked, accuracy_estimate
from llm_al.measures import (
    AgreementFigures,
    CoverageFigures,
    Estimate,
    FormFigures,
    PairFigures,
    PeopleFigures,
    PersonFigures,
)
from llm_al.people.answer_book import AnswerBook, Asked, Probe, is_ruling
from llm_al.phrasing import Form
from llm_al.store.store import SqlStore
from llm_al.types import NONE_OF_THESE, SKIP

__all__ = ["people_figures", "read_people", "share_estimate"]

Votes = Mapping[str, Mapping[str, str]]
"""Example id -> person -> label, skips left out."""


def people_figures(answers: Sequence[Asked], probes: Sequence[Probe], *, gold: Mapping[str, str]) -> PeopleFigures:
    """Measure people by their standing answers.

    Parameters
    ----------
    answers : sequence of Asked
        In row order. Rulings are passed over: they are no answers to a question.
    probes : sequence of Probe
    gold : mapping of str to str
        Example id -> label that a reviewer settled.
    """
    asked = [answer for answer in answers if not is_ruling(answer.annotation)]
    votes = _votes(asked)
    judge = _Judge(asked, votes, gold)
    agreement, kappas = _agreement(asked, votes)
    said = {(a.annotation.source, a.annotation.example_id): str(a.annotation.label) for a in reversed(asked)}
    by_person: dict[str, list[Asked]] = {}
    for answer in asked:
        by_person.setdefault(answer.annotation.source, []).append(answer)
    persons = [
        _person(name, by_person.get(name, []), _Checks.of(name, probes, gold, said), judge)
        for name in sorted({*by_person, *(probe.annotator for probe in probes)})
    ]
    persons = [replace(person, agreement=kappas.get(person.name, person.agreement)) for person in persons]
    shown, hidden = judge.split(asked)
    return PeopleFigures(
        persons=tuple(sorted(persons, key=lambda person: (-person.n_answers, person.name))),
        agreement=agreement,
        forms=_forms(asked),
        coverage=_coverage(asked),
        acceptance=_acceptance(asked),
        accuracy_shown=shown,
        accuracy_hidden=hidden,
        n_answers=sum(person.n_answers for person in persons),
        n_skips=sum(person.n_skips for person in persons),
        minutes=_minutes(asked),
        median_s=_median(asked),
        n_rulings=len(gold),
    )


def read_people(store: SqlStore, book: AnswerBook) -> PeopleFigures | None:
    """Return the figures about people as they are now; None when nobody has answered."""
    answers, standing = book.read(), store.rulings.standing()
    if not answers:
        return None
    return replace(
        people_figures(answers, book.probes(), gold={id_: ruling.label for id_, ruling in standing.items()}),
        n_gold=sum(ruling.is_gold for ruling in standing.values()),
        n_flags=len({flag.example_id for flag in store.flags.open()}),
    )


def share_estimate(right: int, n: int, *, reason: str) -> Estimate:
    """Return a share with its exact (Clopper-Pearson) 95 % interval, or the reason where `n` is 0.

    Examples
    --------
    >>> share_estimate(3, 3, reason="").low > 0.29
    True
    """
    if not n:
        return Estimate(None, reason=reason)
    return accuracy_estimate(Checked.of(np.ones(n), np.arange(n) < right))


class _Judge:
    """Says which answers are right, as far as that is known: by the ruling, or by the clear majority of everybody else.

    Each answer is judged once.
    """

    def __init__(self, answers: Sequence[Asked], votes: Votes, gold: Mapping[str, str]) -> None:
        self._votes = votes
        self._gold = gold
        self._is_right = {answer.annotation.row_id: self._judge(answer) for answer in answers}

    def accuracy(self, answers: Iterable[Asked], *, reason: str) -> tuple[Estimate, int]:
        """Return the accuracy and of how many answers."""
        known = [right for answer in answers if (right := self._is_right[answer.annotation.row_id]) is not None]
        return share_estimate(sum(known), len(known), reason=reason), len(known)

    def split(self, answers: Sequence[Asked]) -> tuple[Estimate, Estimate]:
        """Return the accuracy with a suggestion in sight, and without."""
        why = "no {} answer to a text with a ruling or with answers of others"
        shown = [answer for answer in answers if answer.annotation.is_suggestion_shown]
        hidden = [answer for answer in answers if not answer.annotation.is_suggestion_shown]
        return (
            self.accuracy(shown, reason=why.format("assisted"))[0],
            self.accuracy(hidden, reason=why.format("unassisted"))[0],
        )

    def _judge(self, answer: Asked) -> bool | None:
        id_, who, label = answer.annotation.example_id, answer.annotation.source, answer.annotation.label
        if label == SKIP:
            return None
        truth = self._gold.get(id_) or self._majority(id_, who)
        return None if truth is None else label == truth

    def _majority(self, id_: str, who: str) -> str | None:
        others = [label for name, label in self._votes.get(id_, {}).items() if name != who]
        if len(set(others)) < 2:
            return others[0] if others else None
        first, second = Counter(others).most_common(2)
        return None if first[1] == second[1] else first[0]


@dataclass(frozen=True)
class _Checks:
    """Counts of one person's checks."""

    n_gold: int
    n_gold_right: int
    n_re_asked: int
    n_same: int

    @classmethod
    def of(
        cls, name: str, probes: Sequence[Probe], gold: Mapping[str, str], said: Mapping[tuple[str, str], str]
    ) -> "_Checks":
        mine = [probe for probe in probes if probe.annotator == name]
        known = [probe.label == gold[probe.example_id] for probe in mine if probe.is_gold and probe.example_id in gold]
        first = [(p.label, said.get((name, p.example_id))) for p in mine if not p.is_gold]
        again = [label == before for label, before in first if before is not None]
        return cls(len(known), sum(known), len(again), sum(again))


def _votes(answers: Iterable[Asked]) -> dict[str, dict[str, str]]:
    votes: dict[str, dict[str, str]] = {}
    for answer in answers:
        label = answer.annotation.label
        if label is not None and label != SKIP:
            votes.setdefault(answer.annotation.example_id, {})[answer.annotation.source] = label
    return votes


def _person(name: str, answers: Sequence[Asked], checks: _Checks, judge: _Judge) -> PersonFigures:
    labels = [answer.annotation.label for answer in answers]
    accuracy, n_compared = judge.accuracy(answers, reason="no text of theirs has a ruling or answers of others")
    shown, hidden = judge.split(answers)
    return PersonFigures(
        name=name,
        n_answers=len(labels) - labels.count(SKIP),
        n_skips=labels.count(SKIP),
        n_none=labels.count(NONE_OF_THESE),
        minutes=_minutes(answers),
        median_s=_median(answers),
        accuracy=accuracy,
        n_compared=n_compared,
        agreement=Estimate(None, reason="undefined because no two people answered the same example"),
        gold=share_estimate(checks.n_gold_right, checks.n_gold, reason="no question with a known label answered"),
        n_gold=checks.n_gold,
        n_gold_right=checks.n_gold_right,
        steadiness=share_estimate(checks.n_same, checks.n_re_asked, reason="nothing was asked twice"),
        n_re_asked=checks.n_re_asked,
        acceptance=_acceptance(answers),
        n_shown=sum(answer.proposed is not None for answer in answers),
        accuracy_shown=shown,
        accuracy_hidden=hidden,
        last_s=max((answer.created_s for answer in answers), default=0.0),
    )


def _seconds(answers: Iterable[Asked]) -> list[float]:
    return [seconds for answer in answers if (seconds := answer.annotation.duration_s) is not None]


def _minutes(answers: Iterable[Asked]) -> float:
    return sum(_seconds(answers)) / 60.0


def _median(answers: Iterable[Asked]) -> float | None:
    timed = _seconds(answer for answer in answers if answer.annotation.label != SKIP)
    return float(np.median(timed)) if timed else None


def _acceptance(answers: Iterable[Asked]) -> Estimate:
    same = [
        answer.annotation.label == answer.proposed
        for answer in answers
        if answer.proposed is not None and answer.annotation.label != SKIP
    ]
    return share_estimate(sum(same), len(same), reason="no answer with a suggestion in sight")


def _forms(answers: Iterable[Asked]) -> tuple[FormFigures, ...]:
    timed: dict[str, list[float]] = {}
    for answer in answers:
        seconds = answer.annotation.duration_s
        if seconds is not None and answer.annotation.label != SKIP:
            timed.setdefault(answer.annotation.form or Form.LIST.value, []).append(seconds)
    order = [form.value for form in Form]
    return tuple(
        FormFigures(form, len(timed[form]), float(np.median(timed[form])), float(np.quantile(timed[form], 0.9)))
        for form in sorted(timed, key=lambda form: (form not in order, order.index(form) if form in order else 0, form))
    )


def _coverage(answers: Iterable[Asked]) -> tuple[CoverageFigures, ...]:
    by_form: dict[str, list[tuple[str, Sequence[str], float]]] = {}
    for answer in answers:
        put, label = answer.phrasing, answer.annotation.label
        if put is None or not put.options or put.coverage is None or label is None or label == SKIP:
            continue
        by_form.setdefault(put.form.value, []).append((label, put.options, put.coverage))
    return tuple(_covered(form.value, by_form[form.value]) for form in Form if form.value in by_form)


def _covered(form: str, rows: Sequence[tuple[str, Sequence[str], float]]) -> CoverageFigures:
    inside = [label in options for label, options, _ in rows if label != NONE_OF_THESE]
    return CoverageFigures(
        form=form,
        n=len(inside),
        n_outside=len(rows) - len(inside),
        nominal=fmean(coverage for _, _, coverage in rows),
        empirical=share_estimate(sum(inside), len(inside), reason="every answer was that no label fits"),
        n_options=fmean(len(options) for _, options, _ in rows),
    )


def _agreement(answers: Sequence[Asked], votes: Votes) -> tuple[AgreementFigures, dict[str, Estimate]]:
    found = agreement_of([answer.annotation for answer in answers])
    shared = [set(given.values()) for given in votes.values() if len(given) > 1]
    figures = AgreementFigures(
        n_examples=found.n_examples,
        n_unanimous=sum(len(labels) == 1 for labels in shared),
        n_people=found.n_people,
        krippendorff=_plain(found.krippendorff),
        fleiss=_plain(found.fleiss),
        cohen=_plain(found.cohen),
        labels=tuple(sorted(((name, _plain(value)) for name, value in found.labels.items()), key=_weakest_first)),
        pairs=tuple(PairFigures(p.first, p.second, p.n_examples, p.share, _plain(p.kappa)) for p in found.pairs),
    )
    return figures, {person.name: _plain(person.kappa) for person in found.people}


def _plain(value: Agreement) -> Estimate:
    return Estimate(value.value, reason=value.reason)


def _weakest_first(row: tuple[str, Estimate]) -> tuple[bool, float, str]:
    return row[1].value is None, row[1].value or 0.0, row[0]
