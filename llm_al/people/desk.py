"""The desk at which people answer: what one person is asked next, and what becomes of the answer.

Everything that a page or another program needs to put questions to several people at once. Each answer is on disk
before its method returns.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from llm_al.config import HumanSettings
from llm_al.errors import DeskError, LabelError
from llm_al.people.answering import person_name
from llm_al.people.checks import Checks
from llm_al.people.crowd import Crowd, likely_labels
from llm_al.people.desk_types import Member, Past, Reply, Standing, Ticket
from llm_al.people.suggestions import Suggested, Suggestions
from llm_al.phrasing import Form
from llm_al.store.assignments import TicketState
from llm_al.store.lock import is_held
from llm_al.store.store import SqlStore
from llm_al.store.tickets import Handed, Offer, Rank
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, LabelScheme

__all__ = ["Desk", "Member", "Past", "Reply", "Standing", "Ticket"]

_MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class Desk:
    """Reached as `project.desk`.

    Parameters
    ----------
    suggestions : callable
        Returns what machines propose after the last finished round.
    clock : callable
        Seconds since the epoch.
    """

    folder: Path
    store: SqlStore
    scheme: LabelScheme
    settings: HumanSettings
    suggestions: Callable[[], Suggestions]
    crowd: Crowd
    checks: Checks
    clock: Callable[[], float] = time.time
    _last: dict[str, Suggestions] = field(default_factory=dict, init=False, repr=False, compare=False)

    def draw(self, person: str, *, n: int = 2, have: Sequence[int] = ()) -> list[Ticket]:
        """Give a person questions until they have `n`; return those that are not among `have`, which are kept for them.

        Raises
        ------
        DeskError
            If `n` is not 1 to 50, or `have` holds more than 200 numbers.
        """
        return self.proceed(person, (), n=n, have=have)

    def proceed(self, person: str, replies: Iterable[Reply], *, n: int = 2, have: Sequence[int] = ()) -> list[Ticket]:
        """Take answers and give the next questions, in one transaction; see `answer` and `draw`."""
        if not 1 <= n <= 50 or len(have) > 200:
            raise DeskError(f"{n} questions with {len(have)} in hand; ask for 1 to 50, with at most 200 in hand")
        name, now, given = person_name(person), self.clock(), tuple(replies)
        rank, max_skips = self.crowd.rank(name, self._likely), self._max_skips(given)
        with self.store.database.writing() as connection:
            for reply in given:
                self._take(connection, name, reply, now, max_skips)
            handed = self._give(
                connection, name, (n, [id_ for id_ in have if id_ not in {r.ticket for r in given}]), now, rank
            )
        return self._shown(handed)

    def answer(self, person: str, reply: Reply) -> None:
        """Take one answer; a question that was answered before gets the new answer in place of the old.

        An old answer is retracted and a new one appended. The same answer again changes nothing, so that a lost
        reply of a server can be asked for again.

        Raises
        ------
        TicketGoneError
            If the question is not this person's, or went to somebody else when its time ran out.
        LabelError
            If the label is unknown.
        """
        self.answer_all(person, [reply])

    def answer_all(self, person: str, replies: Sequence[Reply]) -> None:
        """Take several answers, all or none; see `answer`."""
        max_skips = self._max_skips(replies)
        with self.store.database.writing() as connection:
            for reply in replies:
                self._take(connection, person_name(person), reply, self.clock(), max_skips)

    def take_back(self, person: str, ticket: int) -> Ticket:
        """Undo an answer and return its question, which is the person's again.

        Raises
        ------
        TicketGoneError
            If it is not this person's question, or they skipped it and somebody else has it by now.
        """
        name, now = person_name(person), self.clock()
        with self.store.database.writing() as connection:
            handed = self.store.tickets.answerable(connection, ticket, name, now)
            if handed.annotation is not None:
                self.store.write_retraction(connection, handed.annotation, expires_s=self._until(now), now=now)
            elif handed.state is not TicketState.HELD:
                self.store.tickets.reopen(connection, ticket, expires_s=self._until(now), now=now)
            handed = self.store.tickets.get(connection, ticket, name)
        (again,) = self._shown([handed])
        return again

    def flag(self, person: str, ticket: int, note: str) -> None:
        """Ask for a text to be looked at."""
        with self.store.database.reading() as connection:
            handed = self.store.tickets.get(connection, ticket, person_name(person))
        self.store.flags.add(handed.example_id, person=person_name(person), note=note)

    def history(self, person: str, *, n: int = 50) -> list[Past]:
        """Return a person's own last answers, newest first."""
        with self.store.database.reading() as connection:
            past = self.store.tickets.history(connection, person_name(person), n)
        rows = [handed.annotation for handed in past if handed.annotation is not None]
        notes = self.store.notes_of(rows)
        return [Past(h.id, h.text, h.label or SKIP, notes.get(h.annotation or 0, ""), h.changed_s) for h in past]

    def standing(self, person: str) -> Standing:
        """Return how far things are for a person."""
        name, now = person_name(person), self.clock()
        midnight = datetime.fromtimestamp(now).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
        with self.store.database.reading() as connection:
            desk = self.store.tickets
            waiting = desk.n_free(connection, name, now) + len(desk.held(connection, name, now))
            mine, today = desk.n_settled(connection, name), desk.n_settled(connection, name, midnight)
        return Standing(waiting, mine, today, "ok" if waiting else self._state())

    def give_back(self, person: str) -> None:
        """Free what a person holds, as when they leave."""
        with self.store.database.writing() as connection:
            self.store.tickets.give_back(connection, person_name(person), self.clock())

    def _state(self) -> str:
        if is_held(self.folder):
            return "learning"
        records = self.store.round_records()
        is_over = bool(records) and self.store.current_round() is None and bool(records[-1].stop_reason)
        return "finished" if is_over else "empty"

    def _until(self, now: float) -> float:
        return now + 60.0 * self.settings.lease_minutes

    def _max_skips(self, replies: Sequence[Reply]) -> int:
        """Return after how many skips nobody else is asked: no more than there are people."""
        is_skipped = any(reply.label == SKIP for reply in replies)
        return min(self.settings.max_skips, self.crowd.n_recent()) if is_skipped else self.settings.max_skips

    def _take(self, connection: Connection, name: str, reply: Reply, now: float, max_skips: int) -> None:
        self._check_label(reply.label)
        handed = self.store.tickets.answerable(connection, reply.ticket, name, now)
        if handed.assignment is None:
            is_skip = reply.label == SKIP
            self.store.tickets.settle(
                connection, handed.id, label=reply.label, is_skip=is_skip, annotation=None, now=now
            )
            return
        annotation = self._annotation(name, handed, reply)
        if handed.annotation is not None:
            old = self.store.annotation(connection, handed.annotation)
            if (old.label, old.reason) == (annotation.label, annotation.reason):
                return
            # Who saw a proposal once has seen it.
            was_shown = old.is_suggestion_shown or annotation.is_suggestion_shown
            annotation = replace(annotation, is_suggestion_shown=was_shown)
            self.store.write_retraction(connection, handed.annotation, expires_s=self._until(now), now=now)
        self.store.write_answer(connection, annotation, ticket=handed, max_skips=max_skips, now=now)

    def _check_label(self, label: str) -> None:
        if label == SKIP or (label == NONE_OF_THESE and self.scheme.is_open):
            return
        if label == NONE_OF_THESE:
            raise LabelError("every text of this project fits one of the labels; choose one, or skip the text")
        self.scheme.index(label)

    def _annotation(self, name: str, handed: Handed, reply: Reply) -> Annotation:
        is_hidden = handed.is_blind or self.settings.suggestions == "hidden"
        forms = (Form.LIST.value, self._form(handed).value)
        return Annotation(
            handed.example_id,
            reply.label,
            name,
            kind=AnnotatorKind.HUMAN,
            round=handed.round,
            duration_s=None if reply.seconds is None else min(max(reply.seconds, 0.0), _MAX_SECONDS),
            is_suggestion_shown=reply.is_suggestion_shown and not is_hidden,
            form=reply.form if reply.form in forms else Form.LIST.value,
            reason=reply.note,
        )

    def _give(
        self, connection: Connection, name: str, wanted: tuple[int, Sequence[int]], now: float, rank: Rank | None
    ) -> list[Handed]:
        """Return what a person gets who wants to have so many questions and says which they have."""
        (n, have), until, desk = wanted, self._until(now), self.store.tickets
        if have:
            desk.renew(connection, name, have, expires_s=until, now=now)
        held = desk.held(connection, name, now)
        missing = n - len(_items(held))
        new: list[Handed] = []
        while missing > 0 and (check := self.checks.draw(connection, name, expires_s=until, now=now)) is not None:
            new.append(check)
            missing -= 1
        new += desk.draw(connection, name, n=missing, expires_s=until, now=now, rank=rank)
        return [handed for handed in [*held, *new] if handed.id not in set(have)]

    def _likely(self, offer: Offer) -> dict[str, float]:
        if offer.phrasing.options:
            return dict.fromkeys(offer.phrasing.options, 1.0 / len(offer.phrasing.options))
        return likely_labels(self._proposals().proba(offer.ordinal), self.scheme)

    def _proposals(self) -> Suggestions:
        """Return what machines propose; read anew once a round, and at most once a transaction."""
        records = self.store.n_rounds_finished()
        if "now" not in self._last or self._last["now"].number != records:
            self._last["now"] = self.suggestions()
        return self._last["now"]

    def _form(self, handed: Handed) -> Form:
        is_plain = handed.is_blind or self.settings.suggestions == "hidden"
        return Form.LIST if is_plain else handed.phrasing.form

    def _shown(self, handed: Sequence[Handed]) -> list[Ticket]:
        open_ = [h for h in handed if _may_propose(h)] if self.settings.suggestions == "shown" else []
        proposed = self._proposals().of({h.example_id: h.ordinal for h in open_}) if open_ else {}
        return [self._ticket(item, proposed.get(item[0].example_id, ())) for item in _items(handed)]

    def _ticket(self, item: Sequence[Handed], proposed: tuple[Suggested, ...]) -> Ticket:
        first, form = item[0], self._form(item[0])
        is_bulk = form is Form.BULK and len(item) > 1
        # A bulk question whose other texts are gone is a question about one label.
        form = Form.VERIFY if form is Form.BULK and not is_bulk else form
        return Ticket(
            id=first.id,
            example_id=first.example_id,
            text=first.text,
            form=form.value,
            options=first.phrasing.options if form is not Form.LIST else (),
            suggestions=proposed,
            is_blind=first.is_blind,
            reason="" if first.is_blind else first.reason,
            members=tuple(Member(h.id, h.text) for h in item) if is_bulk else (),
            expires_s=first.expires_s,
        )


def _may_propose(handed: Handed) -> bool:
    """Say whether machines may propose something: not in blind questions, nor in lists that measure unshown sets."""
    return not handed.is_blind and not (handed.phrasing.form is Form.LIST and handed.phrasing.options)


def _items(handed: Sequence[Handed]) -> list[list[Handed]]:
    """Put the texts of one bulk question together; every other question stands alone."""
    items: dict[tuple[int, str], list[Handed]] = {}
    for one in handed:
        cluster = one.phrasing.cluster
        items.setdefault((one.round, cluster) if cluster else (-one.id, ""), []).append(one)
    return list(items.values())
