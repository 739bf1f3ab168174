"""Who was handed which question, until when it is theirs, and what became of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Integer,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from llm_al.errors import TicketGoneError
from llm_al.phrasing import Phrasing
from llm_al.store.annotations import IS_STANDING
from llm_al.store.assignments import AssignmentState, TicketState, phrasing_of
from llm_al.store.schema import annotations, annotators, assignments, examples, tickets

__all__ = ["Handed", "Offer", "TicketKind", "Tickets"]

N_OFFERS = 64
"""Free questions among which a person's next one is chosen."""
N_COUNTED = 100
"""Free questions are counted one by one up to so many."""
_PER_QUESTION = 8
"""Free questions that are looked at for each that is wanted in the order of the queue: one cluster counts as one."""


class TicketKind(StrEnum):
    """Why a person is asked."""

    LABEL = "label"
    GOLD = "gold"
    """The label is known: a check of the person."""
    RE_ASK = "re_ask"
    """They have answered it before: a check of their steadiness."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A question that may be handed to a person."""

    assignment: int
    ordinal: int
    example_id: str
    priority: float
    phrasing: Phrasing
    round: int
    n_answered: int


@dataclass(frozen=True, slots=True)
class Handed:
    """A question in one person's hands.

    Parameters
    ----------
    kind : TicketKind
    assignment : int or None
        None for a check.
    label : str or None
        What was answered, if it was.
    annotation : int or None
        Row of that answer; None for a check, whose answer is no label of the text.
    """

    id: int
    kind: TicketKind
    state: TicketState
    annotator: str
    ordinal: int
    example_id: str
    text: str
    assignment: int | None
    round: int
    reason: str
    is_blind: bool
    phrasing: Phrasing
    expires_s: float
    changed_s: float
    label: str | None
    annotation: int | None


Rank = Callable[[Sequence[Offer]], Sequence[Offer]]
"""Puts free questions into the order in which a person should get them."""

_HELD = TicketState.HELD.value
_ANSWERED = TicketState.ANSWERED.value
_SETTLED = (_ANSWERED, TicketState.SKIPPED.value)
_IS_WAITING = assignments.c.state == AssignmentState.WAITING.value
_other = tickets.alias("other")
_HANDED: Select[Any] = select(
    tickets,
    examples.c.id.label("example_id"),
    examples.c.text,
    assignments.c.round,
    assignments.c.reason,
    assignments.c.is_blind,
    assignments.c.form,
    assignments.c.candidates,
    assignments.c.coverage,
    assignments.c.cluster,
).select_from(tickets.join(examples).outerjoin(assignments, assignments.c.id == tickets.c.assignment))


def _handed(row: Row[Any]) -> Handed:
    is_check = row.assignment is None
    return Handed(
        id=row.id,
        kind=TicketKind(row.kind),
        state=TicketState(row.state),
        annotator=row.annotator,
        ordinal=row.ordinal,
        example_id=row.example_id,
        text=row.text,
        assignment=row.assignment,
        round=0 if is_check else row.round,
        reason="" if is_check else row.reason,
        is_blind=is_check or row.is_blind,
        phrasing=Phrasing() if is_check else phrasing_of(row),
        expires_s=row.expires_s,
        changed_s=row.changed_s,
        label=row.label,
        annotation=row.annotation,
    )


def _is_free() -> ColumnElement[bool]:
    """Whether a question may be handed to the person :who: enough people neither have it nor answered it."""
    who, now = bindparam("who", type_=Text), bindparam("now", type_=Double)
    is_held = and_(_other.c.state == _HELD, _other.c.expires_s > now)
    of_it = _other.c.assignment == assignments.c.id
    mine = select(_other.c.id).where(of_it, _other.c.annotator == who, or_(_other.c.state.in_(_SETTLED), is_held))
    taken = select(func.count()).where(of_it, or_(_other.c.state == _ANSWERED, is_held)).scalar_subquery()
    said = (
        select(annotations.c.id)
        .join(annotators)
        .where(annotations.c.ordinal == assignments.c.ordinal, annotators.c.name == who, IS_STANDING)
    )
    return and_(_IS_WAITING, ~exists(mine), taken < assignments.c.n_wanted, ~exists(said))


def _free() -> Select[Any]:
    is_answered = and_(_other.c.assignment == assignments.c.id, _other.c.state == _ANSWERED)
    n_answered = select(func.count()).where(is_answered).scalar_subquery()
    return (
        select(assignments, examples.c.id.label("example_id"), n_answered.label("n_answered"))
        .select_from(assignments.join(examples))
        .where(_is_free())
        .order_by(assignments.c.priority.desc(), assignments.c.id)
        .with_for_update(of=assignments, skip_locked=True)
    )


# Put together once: that takes longer than to run them.
_FREE = _free()
_FIRST_FREE = _FREE.limit(bindparam("n", type_=Integer))
_N_FREE = select(func.count()).select_from(
    select(assignments.c.id).where(_is_free()).limit(bindparam("n", type_=Integer)).subquery()
)
_N_WAITING = select(func.count()).select_from(assignments).where(_IS_WAITING)
_N_WAITING_WITHOUT = (
    select(func.count())
    .select_from(tickets.join(assignments, assignments.c.id == tickets.c.assignment))
    .where(_IS_WAITING, tickets.c.annotator == bindparam("who", type_=Text), tickets.c.state.in_(_SETTLED))
)


class Tickets:
    """The `tickets` table. Every method runs inside the caller's transaction.

    Nobody gets a question that enough others hold or have answered, that they have answered or skipped themselves,
    or whose text they have labelled before. A lease that ran out is free for others; its holder may still answer as
    long as nobody else took it.
    """

    def draw(
        self, connection: Connection, annotator: str, *, n: int, expires_s: float, now: float, rank: Rank | None = None
    ) -> list[Handed]:
        """Hand up to `n` free questions to a person; one of a cluster brings the others of it along, as one."""
        given = {"who": annotator, "now": now, "n": N_OFFERS if rank is not None else _PER_QUESTION * n}
        offers = self._offers(connection, _FIRST_FREE, given) if n > 0 else []
        chosen: dict[int, Offer] = {}
        n_drawn = 0
        for offer in rank(offers) if rank is not None else offers:
            if n_drawn == n:
                break
            if offer.assignment not in chosen:
                n_drawn += 1
                mates = self._mates(connection, annotator, offer, now) if offer.phrasing.cluster else [offer]
                chosen.update((mate.assignment, mate) for mate in mates)
        return [self._hand(connection, annotator, offer, expires_s, now) for offer in chosen.values()]

    def n_free(self, connection: Connection, annotator: str, now: float) -> int:
        """Return how many questions could be handed to a person now; from `N_COUNTED` on, others' share is left in."""
        given = {"who": annotator, "now": now, "n": N_COUNTED}
        n_found = int(connection.execute(_N_FREE, given).scalar_one())
        if n_found < N_COUNTED:
            return n_found
        n_settled = connection.execute(_N_WAITING_WITHOUT, {"who": annotator}).scalar_one()
        return max(connection.execute(_N_WAITING).scalar_one() - n_settled, n_found)

    def check(
        self, connection: Connection, annotator: str, ordinal: int, kind: TicketKind, *, expires_s: float, now: float
    ) -> Handed:
        """Hand a text to a person to check the person."""
        values: dict[str, Any] = {"ordinal": ordinal, "kind": kind.value, "annotator": annotator, "state": _HELD}
        values |= {"expires_s": expires_s, "given_s": now, "changed_s": now}
        made = connection.execute(insert(tickets).values(**values).returning(tickets.c.id)).scalar_one()
        return self.get(connection, made, annotator)

    def held(self, connection: Connection, annotator: str, now: float) -> list[Handed]:
        """Return what a person holds, oldest first."""
        is_held = and_(tickets.c.annotator == annotator, tickets.c.state == _HELD, tickets.c.expires_s > now)
        rows = connection.execute(_HANDED.where(is_held).order_by(tickets.c.given_s, tickets.c.id))
        return [_handed(row) for row in rows]

    def renew(
        self, connection: Connection, annotator: str, ids: Sequence[int], *, expires_s: float, now: float
    ) -> None:
        """Extend leases that have not run out."""
        is_mine = and_(tickets.c.annotator == annotator, tickets.c.state == _HELD, tickets.c.expires_s > now)
        connection.execute(update(tickets).where(is_mine, tickets.c.id.in_(ids)).values(expires_s=expires_s))

    def get(self, connection: Connection, ticket: int, annotator: str) -> Handed:
        """Return one ticket of a person.

        Raises
        ------
        TicketGoneError
            If there is none with that number, or it is somebody else's.
        """
        row = connection.execute(_HANDED.where(tickets.c.id == ticket, tickets.c.annotator == annotator)).one_or_none()
        if row is None:
            raise TicketGoneError(
                f"question {ticket} is not yours; answer one that you were given; load the page again"
            )
        return _handed(row)

    def answerable(self, connection: Connection, ticket: int, annotator: str, now: float) -> Handed:
        """Return a ticket that its person may answer, or answer anew.

        Raises
        ------
        TicketGoneError
            If it is not this person's, or enough others have the question since the lease ran out or the person
            skipped it.
        """
        handed = self.get(connection, ticket, annotator)
        is_held = handed.state is TicketState.HELD and handed.expires_s > now
        if is_held or handed.state is TicketState.ANSWERED or handed.assignment is None:
            return handed
        query = select(func.count()).where(
            tickets.c.assignment == handed.assignment,
            tickets.c.id != ticket,
            or_(tickets.c.state == _ANSWERED, and_(tickets.c.state == _HELD, tickets.c.expires_s > now)),
        )
        wanted = select(assignments.c.n_wanted).where(assignments.c.id == handed.assignment)
        if connection.execute(query).scalar_one() >= connection.execute(wanted).scalar_one():
            why = "your time for this text ran out" if handed.state is TicketState.HELD else "you let this text go"
            raise TicketGoneError(f"{why} and somebody else got it; go on with the next one")
        return handed

    def settle(
        self, connection: Connection, ticket: int, *, label: str, is_skip: bool, annotation: int | None, now: float
    ) -> None:
        """Write down what a person said."""
        state = TicketState.SKIPPED if is_skip else TicketState.ANSWERED
        self._change(connection, ticket, state=state.value, label=label, annotation=annotation, changed_s=now)

    def settle_other(self, connection: Connection, assignment: int, ordinal: int, *, annotator: str, now: float) -> int:
        """Return the ticket of an answer that did not come through a page; one is made if need be."""
        query = select(tickets.c.id).where(tickets.c.assignment == assignment, tickets.c.annotator == annotator)
        found = connection.execute(query).scalar_one_or_none()
        if found is not None:
            return int(found)
        values: dict[str, Any] = {
            "ordinal": ordinal,
            "assignment": assignment,
            "kind": TicketKind.LABEL.value,
            "annotator": annotator,
        }
        values |= {"state": _HELD, "expires_s": now, "given_s": now, "changed_s": now}
        return int(connection.execute(insert(tickets).values(**values).returning(tickets.c.id)).scalar_one())

    def is_closed(self, connection: Connection, assignment: int, max_skips: int) -> bool:
        """Whether a question needs no more people: enough have answered, or too many could not."""
        query = (
            select(tickets.c.state, func.count()).where(tickets.c.assignment == assignment).group_by(tickets.c.state)
        )
        counts: dict[str, int] = dict(connection.execute(query).all())
        n_answered, n_skipped = (counts.get(state, 0) for state in _SETTLED)
        wanted = connection.execute(select(assignments.c.n_wanted).where(assignments.c.id == assignment)).scalar_one()
        return bool(n_answered >= wanted or (n_skipped >= max_skips and n_answered + n_skipped >= wanted))

    def reopen(self, connection: Connection, ticket: int, *, expires_s: float, now: float) -> int | None:
        """Take an answer off a ticket and return its question, which waits again unless another of the text does."""
        state = _HELD if expires_s > now else TicketState.RETURNED.value
        self._change(connection, ticket, state=state, label=None, annotation=None, expires_s=expires_s, changed_s=now)
        row = connection.execute(select(tickets.c.assignment, tickets.c.ordinal).where(tickets.c.id == ticket)).one()
        if row.assignment is None:
            return None
        waits = select(assignments.c.id).where(
            assignments.c.ordinal == row.ordinal, assignments.c.state == AssignmentState.WAITING.value
        )
        if connection.execute(waits).first() is None:
            statement = update(assignments).where(assignments.c.id == row.assignment)
            connection.execute(statement.values(state=AssignmentState.WAITING.value))
        return int(row.assignment)

    def of_annotation(self, connection: Connection, annotation: int) -> int | None:
        """Return the ticket whose answer is a row of `annotations`; None for answers from before tickets."""
        return connection.execute(select(tickets.c.id).where(tickets.c.annotation == annotation)).scalar_one_or_none()

    def give_back(self, connection: Connection, annotator: str, now: float) -> int:
        """Free what a person holds and return how many."""
        is_mine = and_(tickets.c.annotator == annotator, tickets.c.state == _HELD)
        statement = update(tickets).where(is_mine)
        return connection.execute(statement.values(state=TicketState.RETURNED.value, changed_s=now)).rowcount

    def history(self, connection: Connection, annotator: str, n: int) -> list[Handed]:
        """Return what a person said last, newest first."""
        query = _HANDED.where(tickets.c.annotator == annotator, tickets.c.state.in_(_SETTLED))
        rows = connection.execute(query.order_by(tickets.c.changed_s.desc(), tickets.c.id.desc()).limit(n))
        return [_handed(row) for row in rows]

    def n_settled(self, connection: Connection, annotator: str, since_s: float = 0.0) -> int:
        """Return how many questions a person has answered or skipped since a moment."""
        query = select(func.count()).where(
            tickets.c.annotator == annotator, tickets.c.state.in_(_SETTLED), tickets.c.changed_s >= since_s
        )
        return connection.execute(query.select_from(tickets)).scalar_one()

    def n_given(self, connection: Connection, annotator: str) -> int:
        """Return how many questions a person was ever given."""
        query = select(func.count()).select_from(tickets).where(tickets.c.annotator == annotator)
        return connection.execute(query).scalar_one()

    def seen(self, connection: Connection, annotator: str) -> set[int]:
        """Return the ordinals of the texts that a person was ever given."""
        return set(connection.execute(select(tickets.c.ordinal).where(tickets.c.annotator == annotator)).scalars())

    def _offers(self, connection: Connection, query: Select[Any], given: Mapping[str, Any]) -> list[Offer]:
        return [
            Offer(
                assignment=row.id,
                ordinal=row.ordinal,
                example_id=row.example_id,
                priority=row.priority,
                phrasing=phrasing_of(row),
                round=row.round,
                n_answered=row.n_answered,
            )
            for row in connection.execute(query, given)
        ]

    def _mates(self, connection: Connection, annotator: str, offer: Offer, now: float) -> list[Offer]:
        same = and_(assignments.c.round == offer.round, assignments.c.cluster == offer.phrasing.cluster)
        return self._offers(connection, _FREE.where(same), {"who": annotator, "now": now})

    def _hand(self, connection: Connection, annotator: str, offer: Offer, expires_s: float, now: float) -> Handed:
        ticket = self.settle_other(connection, offer.assignment, offer.ordinal, annotator=annotator, now=now)
        self._change(connection, ticket, state=_HELD, expires_s=expires_s, given_s=now, changed_s=now)
        return self.get(connection, ticket, annotator)

    def _change(self, connection: Connection, ticket: int, **values: Any) -> None:
        connection.execute(update(tickets).where(tickets.c.id == ticket).values(**values))
