"""The rules of coming in: accounts, invitations, logins and sessions."""

import ipaddress
import re
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from llm_al.errors import AccessError, TooOftenError
from llm_al.people.passwords import Passwords, digest, new_token
from llm_al.store.people import Invite, People, Person, Session, fold

__all__ = ["ROLES", "Entry", "Roster", "RosterRules", "clean_name"]

ROLES = ("annotator", "reviewer", "owner")
_NAME = re.compile(r"[^\W_](?:[\w .@+'-]{0,62}[\w.@+'-])?")
_WRONG = "name and password, or the token, do not fit; try again, or ask the owner for a new invitation"


def clean_name(name: str) -> str:
    """Return a person's name in its normal form.

    Raises
    ------
    AccessError
        If it is empty, longer than 64 characters, or has others than letters, digits, spaces and ``. _ @ + ' -``.

    Examples
    --------
    >>> clean_name("  Zoë "), clean_name("ann@example.org")
    ('Zoë', 'ann@example.org')
    """
    plain = unicodedata.normalize("NFKC", name).strip()
    if not _NAME.fullmatch(plain):
        raise AccessError(
            "this name cannot be used; take 1 to 64 letters, digits, spaces or . _ @ + ' -, "
            "beginning with a letter or digit"
        )
    return plain


def _neighbourhood(address: str) -> str:
    """Return the address, or for IPv6 the network of 64 bits, which one customer has all of."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if found.version == 4 else str(ipaddress.ip_network((int(found), 64), strict=False))


def _role(role: str) -> str:
    if role not in ROLES:
        raise AccessError(f"unknown role {role[:40]!r}; choose from: {', '.join(ROLES)}")
    return role


@dataclass(frozen=True)
class RosterRules:
    """How long things last, in seconds, and how many failures are free.

    Parameters
    ----------
    idle_s, session_s : float
        A session ends after so long without a request, and after so long in any case.
    n_free_name, n_free_address : int
        Failed logins without a wait, for a name and for an address; each further one doubles the wait.
    longest_wait_s, window_s : float
        The longest wait; how long a failure is remembered.
    """

    idle_s: float = 12 * 3600.0
    session_s: float = 7 * 86400.0
    n_free_name: int = 5
    n_free_address: int = 30
    longest_wait_s: float = 900.0
    window_s: float = 3600.0

    def delay(self, n_failed: int, n_free: int) -> float:
        """Return the seconds to wait after the last of `n_failed` failures.

        Examples
        --------
        >>> rules = RosterRules()
        >>> [rules.delay(n, 5) for n in (4, 5, 6, 7, 50)]
        [0.0, 2.0, 4.0, 8.0, 900.0]
        """
        excess = n_failed - n_free
        return 0.0 if excess < 0 else min(2.0 ** min(excess + 1, 30), self.longest_wait_s)


@dataclass(frozen=True)
class Entry:
    """A login: the secret of the new session, shown to nobody but the browser, and whose it is."""

    secret: str
    session: Session

    def __repr__(self) -> str:
        return f"Entry(person={self.session.person!r})"


class Roster:
    """Who may come in, over the rows of a store.

    Parameters
    ----------
    people : People
    passwords : Passwords, optional
    rules : RosterRules, optional
    clock : callable, optional
        Seconds since the epoch.
    """

    def __init__(
        self,
        people: People,
        *,
        passwords: Passwords | None = None,
        rules: RosterRules | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._people = people
        self._passwords = passwords
        self._rules = rules or RosterRules()
        self._clock = clock
        self._is_empty = True

    @property
    def _secrets(self) -> Passwords:
        # Made at the first login: it takes a slow hash.
        if self._passwords is None:
            self._passwords = Passwords()
        return self._passwords

    def is_empty(self) -> bool:
        """Return whether nobody has an account."""
        # Nobody is ever deleted, so that this is asked until the first has come.
        self._is_empty = self._is_empty and self._people.is_empty()
        return self._is_empty

    def has_owner(self) -> bool:
        """Return whether an active person is owner."""
        return any(person.role == "owner" and person.is_active for person in self.people())

    def people(self) -> list[Person]:
        """Return everybody, also those who left."""
        return self._people.everybody()

    def add(self, name: str, role: str, *, password: str | None = None) -> str | None:
        """Append a person; without a password they get a token to log in with, which is returned and kept nowhere.

        Raises
        ------
        AccessError
            If name, role or password cannot be used, or the name is taken.
        """
        self._begin_with_an_owner(role)
        name, token = clean_name(name), None if password is not None else new_token()
        kept = None if password is None else self._secrets.hash(password, name=name)
        kept_token = None if token is None else digest(token)
        self._people.add(Person(name, _role(role), kept, kept_token, created_s=self._clock()))
        return token

    def _begin_with_an_owner(self, role: str) -> None:
        # Otherwise the first guest would close the door behind everybody who could open it.
        if role != "owner" and not self.has_owner():
            raise AccessError("the first account has to be an owner's; make one for yourself, then invite others")

    def change(
        self,
        name: str,
        *,
        role: str | None = None,
        is_active: bool | None = None,
        expertise: Sequence[str] | None = None,
    ) -> None:
        """Change what is given; a new role, or leaving, ends the person's sessions.

        Raises
        ------
        AccessError
            If there is no such person, the role is unknown, or nobody would stay owner.
        """
        values: dict[str, object] = {} if role is None else {"role": _role(role)}
        values |= {} if is_active is None else {"is_active": is_active}
        is_session_kept = not values
        values |= {} if expertise is None else {"expertise": tuple(expertise)}
        if values:
            self._people.change(name, is_session_kept=is_session_kept, **values)

    def set_password(self, name: str, password: str) -> None:
        """Give a person a new password; their sessions end, and their token with them."""
        kept = self._secrets.hash(password, name=name)
        self._people.change(name, password=kept, token_digest=None)

    def renew_token(self, name: str, *, is_session_kept: bool = False) -> str:
        """Return a new login token of a person; the old one ends, and their sessions unless they are kept."""
        token = new_token()
        self._people.change(name, is_session_kept=is_session_kept, token_digest=digest(token))
        return token

    def invite(self, role: str, *, by: str, name: str | None = None, hours: float = 72.0) -> str:
        """Return the token of an invitation; it makes one account and is kept as a digest only.

        Raises
        ------
        AccessError
            If the role or the name cannot be used, the name is taken, or `hours` is not within 0 to 8760.
        """
        self._begin_with_an_owner(role)
        if not 0.0 < hours <= 8760.0:
            raise AccessError(f"an invitation cannot last {hours:g} hours; give a number above 0, up to 8760")
        name = None if name is None else clean_name(name)
        if name is not None and self._people.find(name) is not None:
            raise AccessError(f"the name {name!r} is taken; choose another")
        token, now = new_token(), self._clock()
        self._people.invite(Invite(digest(token), _role(role), name, by, now, now + 3600.0 * hours))
        return token

    def invitations(self) -> list[Invite]:
        """Return all invitations, newest first."""
        return self._people.invitations()

    def invitation(self, token: str) -> Invite | None:
        """Return the invitation of a token, as long as it can be used."""
        return self._people.invitation(digest(token), now=self._clock())

    def withdraw(self, invite_id: str) -> bool:
        """Take an unused invitation back, by the beginning of its digest; False if there is none."""
        return len(invite_id) >= 8 and self._people.withdraw(invite_id)

    def accept(self, token: str, *, name: str, password: str, former: str | None = None) -> Entry:
        """Make the account that an invitation is for, and log its person in.

        Raises
        ------
        AccessError
            If the invitation was used or has expired, or name or password cannot be used.
        """
        invite = self.invitation(token)
        if invite is None:
            raise AccessError("this invitation was used or has expired; ask the owner for a new one")
        chosen = clean_name(invite.name or name)
        kept = self._secrets.hash(password, name=chosen)
        person = Person(chosen, invite.role, kept, created_s=self._clock())
        if not self._people.accept(invite.digest, person):
            raise AccessError("this invitation was used or has expired; ask the owner for a new one")
        return self._begin(person, former)

    def login(self, name: str, password: str, *, address: str = "", former: str | None = None) -> Entry:
        """Log in with a name and a password.

        Parameters
        ----------
        address : str
            Of the browser; failures are counted for it as well.
        former : str, optional
            Secret of the session that the browser had; it ends.

        Raises
        ------
        TooOftenError
            If too many logins with this name, known or not, or from this address failed.
        AccessError
            If they do not fit.
        """
        name = unicodedata.normalize("NFKC", name).strip()
        at_s = self._attempt(address, name)
        person = self._people.find(name)
        kept = person.password if person is not None and person.is_active else None
        if not self._secrets.is_right(password, kept) or person is None or kept is None:
            raise AccessError(_WRONG)
        self._forgive(address, at_s, name)
        if self._secrets.is_outdated(kept):
            fresh = self._secrets.hash(password, name="")
            self._people.change(person.name, is_session_kept=True, password=fresh)
        return self._begin(person, former)

    def login_with_token(self, token: str, *, address: str = "", former: str | None = None) -> Entry:
        """Log in with a token; see `login`."""
        at_s = self._attempt(address)
        # Looked up by digest: how long it takes tells nothing about the token.
        person = self._people.find_token(digest(token.strip()))
        if person is None or not person.is_active:
            raise AccessError(_WRONG)
        self._forgive(address, at_s)
        return self._begin(person, former)

    def _keys(self, address: str, name: str | None) -> dict[str, int]:
        # Digests: somebody will type a password where the name belongs.
        keys = {f"address:{digest(_neighbourhood(address))[:32]}": self._rules.n_free_address}
        if name is not None:
            keys[f"name:{digest(fold(name))[:32]}"] = self._rules.n_free_name
        return keys

    def _attempt(self, address: str, name: str | None = None) -> float:
        now, rules = self._clock(), self._rules
        delays = {
            key: lambda n, n_free=n_free: rules.delay(n, n_free) for key, n_free in self._keys(address, name).items()
        }
        wait_s = self._people.attempt(delays, now=now, window_s=rules.window_s)
        if wait_s > 0.0:
            raise TooOftenError(f"too many logins failed; try again in {max(round(wait_s), 1)} seconds", wait_s=wait_s)
        return now

    def _forgive(self, address: str, at_s: float, name: str | None = None) -> None:
        for key in self._keys(address, name):
            # An address keeps its other failures: a known password must not buy more guesses at others.
            self._people.forgive(key, at_s=at_s if key.startswith("address:") else None)

    def _begin(self, person: Person, former: str | None) -> Entry:
        secret, now = new_token(), self._clock()
        expires_s = now + min(self._rules.idle_s, self._rules.session_s)
        session = Session(digest(secret), person.name, person.role, new_token(), now, expires_s)
        self._people.begin_session(session, ended=None if former is None else digest(former))
        return Entry(secret, session)

    def session(self, secret: str) -> Session | None:
        """Return the session of a browser, and put its end off; None if it is over."""
        now, rules = self._clock(), self._rules
        session = self._people.session(digest(secret), now=now)
        if session is None:
            return None
        expires_s = min(now + rules.idle_s, session.created_s + rules.session_s)
        # Written now and then only: a request that reads should not have to write.
        if expires_s - session.expires_s > rules.idle_s / 24:
            self._people.extend_session(session.digest, expires_s)
            session = replace(session, expires_s=expires_s)
        return session

    def logout(self, secret: str) -> str | None:
        """End a session; return whose it was."""
        return self._people.end_session(digest(secret))
