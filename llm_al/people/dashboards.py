"""Reads the dashboard from the store, for a page that asks every few seconds; nothing here embeds or trains."""

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, distinct, func, select

from llm_al.measures import PeopleFigures, RoundRecord
from llm_al.people.answer_book import AnswerBook, Asked, is_ruling
from llm_al.people.background import Background
from llm_al.people.dashboard import CurvePoint, Dashboard, Headway, Money, Pace
from llm_al.people.figures import read_people
from llm_al.people.suggestions import Suggestions
from llm_al.store.assignments import AssignmentState, TicketState
from llm_al.store.lock import is_held
from llm_al.store.schema import annotations, assignments, flags, rulings, tickets
from llm_al.store.store import SqlStore
from llm_al.store.tickets import TicketKind
from llm_al.types import NANO_PER_USD, SKIP, Split

__all__ = ["Dashboards", "Limits"]

_RECENT_MINUTES = 60
_PACE_MINUTES = 10
_PATIENCE_S = 0.04
_FIRST_S = 5.0


@dataclass(frozen=True)
class Limits:
    """What the project may use: answered texts, and dollars for LLMs; None is no limit."""

    human_labels: int | None = None
    llm_usd: float | None = None


@dataclass(frozen=True)
class _Facts:
    """What takes long to read.

    Parameters
    ----------
    people : PeopleFigures or None
        None when nobody has answered.
    at_s : ndarray of shape (k,)
        When the answers of the last hour came, in row order.
    who : tuple of str, length k
    n_texts, n_counted : int
        Answered texts, and pairs of a text and a person who answered it.
    """

    people: PeopleFigures | None = None
    at_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    who: tuple[str, ...] = ()
    n_texts: int = 0
    n_counted: int = 0


@dataclass
class Dashboards:
    """Makes dashboards; figures about people are made in a thread, and anew when there are new answers.

    Parameters
    ----------
    folder : Path
        Of the project: a lock in it tells that a round is being run.
    suggestions : callable
        From the number of a finished round to what machines proposed after it.
    clock : callable
        Seconds since the epoch.
    """

    project: str
    folder: Path
    store: SqlStore
    limits: Limits
    suggestions: Callable[[int], Suggestions]
    clock: Callable[[], float] = time.time
    _records: tuple[int, list[RoundRecord]] = field(default_factory=lambda: (0, []), init=False, repr=False)

    def now(self) -> Dashboard:
        """Return the dashboard of this moment.

        Figures about people may be some seconds old where there are many answers; `Dashboard.as_of_s` tells.
        """
        made = self._facts.look(_PATIENCE_S, first_s=_FIRST_S)
        facts = made.value if made is not None else _Facts()
        progress = self._headway(facts)
        return Dashboard(
            project=self.project,
            progress=progress,
            speed=self._pace(facts, progress),
            people=facts.people,
            cost=Money(
                self.store.spent_nanousd() / NANO_PER_USD,
                self.limits.llm_usd,
                0.0 if facts.people is None else facts.people.minutes,
            ),
            curve=tuple(_point(record) for record in self._rounds()),
            as_of_s=made.as_of_s if made is not None else 0.0,
            note=self._facts.failure or ("" if made is not None else "figures about people are being made"),
        )

    @cached_property
    def _facts(self) -> Background[_Facts]:
        return Background(self._read, self._key)

    @cached_property
    def _book(self) -> AnswerBook:
        return AnswerBook(self.store, self.suggestions)

    def _key(self) -> Hashable:
        is_probe = and_(tickets.c.kind != TicketKind.LABEL.value, tickets.c.state == TicketState.ANSWERED.value)
        queries = (
            select(func.max(annotations.c.id)),
            select(func.max(rulings.c.id)),
            select(func.max(flags.c.id), func.max(flags.c.settled_s)),
            select(func.max(tickets.c.changed_s)).where(is_probe),
        )
        with self.store.database.reading() as connection:
            return tuple(tuple(connection.execute(query).one()) for query in queries)

    def _read(self) -> _Facts:
        figures, answers = read_people(self.store, self._book), self._book.kept()
        recent = self._recent(answers)
        return _Facts(
            figures,
            np.array([answer.created_s for answer in recent]),
            tuple(answer.annotation.source for answer in recent),
            len({answer.ordinal for answer in answers}),
            len({(answer.ordinal, answer.annotation.source) for answer in answers}),
        )

    def _recent(self, answers: Sequence[Asked]) -> list[Asked]:
        since = self.clock() - 60.0 * _RECENT_MINUTES
        return [
            answer
            for answer in answers
            # Imported and simulated answers have neither a form nor a time: nobody worked for them here.
            if answer.created_s > since
            and (answer.annotation.form or answer.annotation.duration_s is not None)
            and answer.annotation.label != SKIP
            and not is_ruling(answer.annotation)
        ]

    def _headway(self, facts: _Facts) -> Headway:
        state, records = self.store.current_round(), self._rounds()
        n_waiting, n_wanted, n_held = self._queue()
        stop_reason = records[-1].stop_reason if records and state is None else ""
        return Headway(
            n_pool=self.store.n_examples(Split.POOL),
            n_texts=facts.n_texts,
            n_answers=facts.people.n_answers if facts.people is not None else 0,
            n_counted=facts.n_counted,
            budget=self.limits.human_labels,
            n_waiting=n_waiting,
            n_wanted=n_wanted,
            n_held=n_held,
            n_rounds=len(records),
            step=state.step if state is not None else "",
            stop_reason=stop_reason,
            state=self._state(n_waiting, stop_reason, is_begun=bool(records) or state is not None),
        )

    def _state(self, n_waiting: int, stop_reason: str, *, is_begun: bool) -> str:
        if is_held(self.folder):
            return "learning"
        if n_waiting:
            return "asking"
        if stop_reason:
            return "finished"
        return "waiting" if is_begun else "new"

    def _queue(self) -> tuple[int, int, int]:
        """Return how many questions wait, how many answers they want, and how many somebody holds."""
        is_waiting = assignments.c.state == AssignmentState.WAITING.value
        answered = and_(is_waiting, tickets.c.state == TicketState.ANSWERED.value)
        held = and_(tickets.c.state == TicketState.HELD.value, tickets.c.expires_s > self.clock())
        joined = select(func.count()).select_from(assignments.join(tickets, tickets.c.assignment == assignments.c.id))
        with self.store.database.reading() as connection:
            n, wanted = connection.execute(
                select(func.count(), func.coalesce(func.sum(assignments.c.n_wanted), 0)).where(is_waiting)
            ).one()
            n_answered = connection.execute(joined.where(answered)).scalar_one()
            n_held = connection.execute(select(func.count(distinct(tickets.c.id))).where(held)).scalar_one()
        return int(n), max(int(wanted) - int(n_answered), 0), int(n_held)

    def _pace(self, facts: _Facts, progress: Headway) -> Pace:
        ages = np.maximum((self.clock() - facts.at_s) / 60.0, 0.0)
        is_now = ages < _PACE_MINUTES
        window = min(float(ages.max(initial=0.0)), float(_PACE_MINUTES))
        per_minute = float(is_now.sum()) / max(window, 1.0)
        counts = np.bincount(ages[ages < _RECENT_MINUTES].astype(np.intp), minlength=_RECENT_MINUTES)
        missing = None if progress.budget is None else max(progress.budget - progress.n_counted, 0)
        return Pace(
            per_minute=per_minute,
            minutes_left=progress.n_wanted / per_minute if per_minute else None,
            minutes_to_budget=missing / per_minute if per_minute and missing is not None else None,
            reason="" if per_minute else f"nobody has answered in the last {_PACE_MINUTES} minutes",
            recent=tuple(int(n) for n in counts[::-1]),
            n_at_work=len({facts.who[int(row)] for row in np.flatnonzero(is_now)}),
        )

    def _rounds(self) -> list[RoundRecord]:
        """Return the records of finished rounds, which are long, and read when there is a new one only."""
        number = self.store.n_rounds_finished()
        if self._records[0] != number:
            self._records = (number, self.store.round_records())
        return self._records[1]


def _point(record: RoundRecord) -> CurvePoint:
    metrics = record.metrics
    return CurvePoint(
        number=record.number,
        n_human=record.n_human,
        n_llm_accepted=record.n_llm_accepted,
        accuracy=metrics.accuracy if metrics else None,
        accuracy_low=metrics.accuracy_low if metrics else None,
        accuracy_high=metrics.accuracy_high if metrics else None,
        macro_f1=metrics.macro_f1 if metrics else None,
        kappa=record.kappa,
        cost_usd=record.cost_nanousd / NANO_PER_USD,
        stop_reason=record.stop_reason,
    )
