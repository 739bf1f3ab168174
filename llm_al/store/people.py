"""Who may come in: people, invitations, sessions and failed logins, as rows. `llm_al.people.roster` knows the rules."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, exists, func, insert, select, update

from llm_al.errors import AccessError
from llm_al.store.database import Database
from llm_al.store.dialects import one_at_a_time
from llm_al.store.schema import attempts, invites, people, sessions

__all__ = ["Invite", "People", "Person", "Session", "fold"]


def fold(name: str) -> str:
    """Return a name as it is compared: without case.

    Examples
    --------
    >>> fold("Ann") == fold("ANN")
    True
    """
    return name.casefold()


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account.

    Parameters
    ----------
    role : str
        "annotator", "reviewer" or "owner".
    password : str or None
        Its slow hash.
    token_digest : str or None
        Digest of the login token.
    expertise : tuple of str
        Labels that they know well.
    """

    name: str
    role: str
    password: str | None = None
    token_digest: str | None = None
    is_active: bool = True
    expertise: tuple[str, ...] = ()
    created_s: float = 0.0

    def __repr__(self) -> str:
        # Without the secrets, which would end in a log.
        return f"Person(name={self.name!r}, role={self.role!r}, is_active={self.is_active})"


@dataclass(frozen=True, slots=True)
class Invite:
    """A link that makes one account; `name` None leaves the choice to the guest."""

    digest: str
    role: str
    name: str | None
    created_by: str
    created_s: float
    expires_s: float
    used_by: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """One browser of one person, who is active."""

    digest: str
    person: str
    role: str
    csrf: str
    created_s: float
    expires_s: float


def _person(row: Row[Any]) -> Person:
    values = dict(row._mapping)
    return Person(**{**values, "expertise": tuple(json.loads(row.expertise))})


def _invite(row: Row[Any]) -> Invite:
    names = ("digest", "role", "name", "created_by", "created_s", "expires_s", "used_by")
    return Invite(**{name: getattr(row, name) for name in names})


class People:
    """The tables `people`, `invites`, `sessions` and `attempts`.

    Secrets come in as digests or slow hashes, never as they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def is_empty(self) -> bool:
        """Return whether nobody has an account."""
        with self._database.reading() as connection:
            return not connection.execute(select(exists(select(people.c.name)))).scalar()

    def everybody(self) -> list[Person]:
        """Return all people, also those who left, in the order of their coming."""
        with self._database.reading() as connection:
            return [
                _person(row) for row in connection.execute(select(people).order_by(people.c.created_s, people.c.name))
            ]

    def find(self, name: str) -> Person | None:
        """Return a person by name, however it is capitalised."""
        with self._database.reading() as connection:
            return self._find(connection, name)

    def find_token(self, digest: str) -> Person | None:
        """Return who logs in with a token."""
        with self._database.reading() as connection:
            row = connection.execute(select(people).where(people.c.token_digest == digest)).one_or_none()
        return None if row is None else _person(row)

    def _find(self, connection: Connection, name: str) -> Person | None:
        row = connection.execute(select(people).where(people.c.name == name)).one_or_none()
        if row is None:
            # Few people, and the databases fold letters differently.
            names = connection.execute(select(people.c.name)).scalars()
            same = next((known for known in names if fold(known) == fold(name)), None)
            return None if same is None else self._find(connection, same)
        return _person(row)

    def add(self, person: Person) -> None:
        """Append a person.

        Raises
        ------
        AccessError
            If somebody has that name, however capitalised.
        """
        with self._database.writing() as connection:
            self._add(connection, person)

    def _add(self, connection: Connection, person: Person) -> None:
        one_at_a_time(connection, people)
        if self._find(connection, person.name) is not None:
            raise AccessError(f"the name {person.name!r} is taken; choose another")
        values = {name: getattr(person, name) for name in Person.__slots__}
        connection.execute(insert(people).values({**values, "expertise": json.dumps(list(person.expertise))}))

    def change(self, name: str, *, is_session_kept: bool = False, **values: Any) -> None:
        """Set columns of a person, in one transaction with the end of their sessions unless those are kept.

        Raises
        ------
        AccessError
            If there is no such person, or no active owner would be left.
        """
        if "expertise" in values:
            values["expertise"] = json.dumps(list(values["expertise"]))
        with self._database.writing() as connection:
            one_at_a_time(connection, people)
            person = self._find(connection, name)
            if person is None:
                raise AccessError("there is nobody of that name; look at the list of people")
            connection.execute(update(people).where(people.c.name == person.name).values(values))
            is_owner = (people.c.role == "owner") & people.c.is_active
            if not connection.execute(select(exists(select(people.c.name).where(is_owner)))).scalar():
                raise AccessError("somebody has to stay owner; make another person owner first")
            if not is_session_kept:
                connection.execute(delete(sessions).where(sessions.c.person == person.name))

    def invite(self, invite: Invite) -> None:
        """Append an invitation."""
        names = [name for name in Invite.__slots__ if name != "used_by"]
        with self._database.writing() as connection:
            connection.execute(insert(invites).values({name: getattr(invite, name) for name in names}))

    def invitations(self) -> list[Invite]:
        """Return all invitations, newest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(invites).order_by(invites.c.created_s.desc(), invites.c.digest))
            return [_invite(row) for row in rows]

    def invitation(self, digest: str, *, now: float) -> Invite | None:
        """Return an invitation that can still be used."""
        is_open = invites.c.used_by.is_(None) & (invites.c.expires_s > now)
        with self._database.reading() as connection:
            row = connection.execute(select(invites).where(invites.c.digest == digest, is_open)).one_or_none()
        return None if row is None else _invite(row)

    def accept(self, digest: str, person: Person) -> bool:
        """Use an invitation and append its guest, together; False if somebody was faster or it has expired.

        Raises
        ------
        AccessError
            If the name is taken; the invitation can still be used.
        """
        is_open = invites.c.used_by.is_(None) & (invites.c.expires_s > person.created_s)
        with self._database.writing() as connection:
            statement = update(invites).where(invites.c.digest == digest, is_open)
            used = connection.execute(statement.values(used_by=person.name, used_s=person.created_s)).rowcount
            if used:
                self._add(connection, person)
        return bool(used)

    def withdraw(self, prefix: str) -> bool:
        """Delete the unused invitation whose digest begins with `prefix`; False if there is not exactly one."""
        is_it = invites.c.digest.startswith(prefix, autoescape=True) & invites.c.used_by.is_(None)
        with self._database.writing() as connection:
            found = list(connection.execute(select(invites.c.digest).where(is_it).limit(2)).scalars())
            if len(found) == 1:
                connection.execute(delete(invites).where(invites.c.digest == found[0]))
        return len(found) == 1

    def begin_session(self, session: Session, *, ended: str | None = None) -> None:
        """Append a session, in one transaction with the end of the browser's former one and of expired ones."""
        values = {name: getattr(session, name) for name in Session.__slots__ if name != "role"}
        with self._database.writing() as connection:
            is_over = (sessions.c.expires_s <= session.created_s) | (sessions.c.digest == (ended or ""))
            connection.execute(delete(sessions).where(is_over))
            connection.execute(insert(sessions).values(values))

    def session(self, digest: str, *, now: float) -> Session | None:
        """Return a session that has not expired, of a person who is active."""
        query = select(sessions, people.c.role).join(people)
        query = query.where(sessions.c.digest == digest, sessions.c.expires_s > now, people.c.is_active)
        with self._database.reading() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else Session(**row._mapping)

    def extend_session(self, digest: str, expires_s: float) -> None:
        """Let a session expire later."""
        with self._database.writing() as connection:
            connection.execute(update(sessions).where(sessions.c.digest == digest).values(expires_s=expires_s))

    def end_session(self, digest: str) -> str | None:
        """Delete a session and return whose it was."""
        with self._database.writing() as connection:
            person = connection.execute(
                select(sessions.c.person).where(sessions.c.digest == digest)
            ).scalar_one_or_none()
            connection.execute(delete(sessions).where(sessions.c.digest == digest))
        return person

    def attempt(self, delays: Mapping[str, Callable[[int], float]], *, now: float, window_s: float) -> float:
        """Note an attempt under every key, or, when it comes too soon, return the seconds to wait and note nothing.

        Counting and noting are one transaction, so that no attempt slips through beside another.

        Parameters
        ----------
        delays : mapping of str to callable
            For each key, seconds that have to pass after the last of n attempts.
        window_s : float
            Attempts older than this are forgotten.
        """
        with self._database.writing() as connection:
            one_at_a_time(connection, attempts)
            connection.execute(delete(attempts).where(attempts.c.at_s <= now - window_s))
            waits = [self._wait(connection, key, delay, now) for key, delay in delays.items()]
            if max(waits, default=0.0) > 0.0:
                return max(waits)
            connection.execute(insert(attempts), [{"key": key, "at_s": now} for key in delays])
        return 0.0

    def _wait(self, connection: Connection, key: str, delay: Callable[[int], float], now: float) -> float:
        query = select(func.count(), func.max(attempts.c.at_s)).where(attempts.c.key == key)
        n, last = connection.execute(query).one()
        return max(float(last) + delay(int(n)) - now, 0.0) if n else 0.0

    def forgive(self, key: str, *, at_s: float | None = None) -> None:
        """Forget the attempts of a key, or only the one of a moment."""
        is_it = attempts.c.key == key
        statement = delete(attempts).where(is_it if at_s is None else is_it & (attempts.c.at_s == at_s))
        with self._database.writing() as connection:
            connection.execute(statement)
