"""What the dashboard shows: how far the work is, how fast, how well people agree, what it cost."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from llm_al.measures import Estimate, PeopleFigures, PersonFigures
from llm_al.people.answering import person_name

__all__ = ["CurvePoint", "Dashboard", "Headway", "Money", "Pace"]

_KEPT_BACK = Estimate(None, reason="for reviewers only")


@dataclass(frozen=True)
class Headway:
    """How much is done.

    Parameters
    ----------
    n_texts : int
        Pool texts that a person has answered in any way.
    n_counted : int
        What counts against `budget`, which None leaves open: each person once a text.
    n_waiting, n_wanted, n_held : int
        Questions that wait, answers that they still want, and questions in somebody's hands.
    state : str
        ``learning`` (a round is being run), ``asking``, ``waiting`` (a run is needed), ``finished`` or ``new``.
    step : str
        That the round under way has reached; empty without one.
    """

    n_pool: int
    n_texts: int
    n_answers: int
    n_counted: int
    budget: int | None
    n_waiting: int
    n_wanted: int
    n_held: int
    n_rounds: int
    step: str
    stop_reason: str
    state: str


@dataclass(frozen=True)
class Pace:
    """How fast answers come.

    Parameters
    ----------
    per_minute : float
        Over the last ten minutes, or since the first answer if that is less.
    minutes_left, minutes_to_budget : float or None
        At this pace, until nothing waits, and until the budget is used up; None with the `reason`.
    recent : tuple of int
        Answers in each of the last sixty minutes, the newest last.
    n_at_work : int
        People who answered in the last ten minutes.
    """

    per_minute: float
    minutes_left: float | None
    minutes_to_budget: float | None
    reason: str
    recent: tuple[int, ...]
    n_at_work: int


@dataclass(frozen=True)
class Money:
    """What it cost so far."""

    llm_usd: float
    llm_cap_usd: float | None
    human_minutes: float


@dataclass(frozen=True)
class CurvePoint:
    """One finished round."""

    number: int
    n_human: int
    n_llm_accepted: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    macro_f1: float | None
    kappa: float | None
    cost_usd: float
    stop_reason: str


@dataclass(frozen=True)
class Dashboard:
    """Everything that the dashboard shows.

    Parameters
    ----------
    as_of_s : float
        When the figures of `people` were taken, in seconds since the epoch; the rest is of the moment.
    note : str
        Why `people` is missing or older than it could be; empty otherwise.
    """

    project: str
    progress: Headway
    speed: Pace
    people: PeopleFigures | None
    cost: Money
    curve: tuple[CurvePoint, ...]
    as_of_s: float
    note: str = ""

    def for_person(self, name: str, role: str) -> "Dashboard":
        """Return what somebody may see: annotators see themselves, without what would tell of checks or of others.

        Parameters
        ----------
        name : str
            Of the account, as in ``ann``.
        role : str
            ``annotator``, ``reviewer`` or ``owner``; the latter two see everything.
        """
        if role in ("reviewer", "owner") or self.people is None:
            return self
        return replace(self, people=_own(self.people, person_name(name)))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON: numbers that are none become None."""
        plain: dict[str, Any] = _plain(self)
        return plain


def _own(people: PeopleFigures, name: str) -> PeopleFigures:
    """Return counts and times of one person, and figures about all in which nobody can be made out."""
    agreement = replace(people.agreement, labels=(), pairs=())
    mine = tuple(person for person in people.persons if person.name == name)
    persons = tuple(_without_judgement(person) for person in mine)
    return replace(people, persons=persons, agreement=agreement, accuracy_shown=_KEPT_BACK, accuracy_hidden=_KEPT_BACK)


def _without_judgement(person: PersonFigures) -> PersonFigures:
    """Leave out what would tell a person, after an answer, that it was a check or what others said."""
    return replace(
        person,
        accuracy=_KEPT_BACK,
        n_compared=0,
        agreement=_KEPT_BACK,
        gold=_KEPT_BACK,
        n_gold=0,
        n_gold_right=0,
        steadiness=_KEPT_BACK,
        n_re_asked=0,
        accuracy_shown=_KEPT_BACK,
        accuracy_hidden=_KEPT_BACK,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
