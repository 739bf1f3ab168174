"""Who is asking, and whether they may: dependencies of the routes."""

import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from llm_al.people.roster import Entry
from llm_al.web.forwarding import Address
from llm_al.web.site import Site, site_of

__all__ = [
    "COOKIE",
    "Anybody",
    "Owner",
    "Reviewer",
    "Visitor",
    "address_of",
    "base_of",
    "drop_cookie",
    "find_visitor",
    "is_same",
    "needs_login",
    "needs_owner",
    "needs_reviewer",
    "set_cookie",
]

COOKIE = "llm_al_session"
_RANKS = {"annotator": 0, "reviewer": 1, "owner": 2}
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Visitor:
    """Somebody who may see a page.

    Parameters
    ----------
    csrf : str
        What their pages have to send with whatever changes something.
    has_account : bool
        False where nobody has an account and everybody at this machine is the owner.
    """

    name: str
    role: str
    csrf: str
    has_account: bool

    def may(self, role: str) -> bool:
        """Return whether they have at least a role."""
        return _RANKS.get(self.role, -1) >= _RANKS[role]


def base_of(request: Request) -> str:
    """Return the path prefix in force."""
    return str(request.scope["state"]["base"])


def address_of(request: Request) -> Address:
    """Return where a request came from."""
    address: Address = request.scope["state"]["address"]
    return address


def is_same(given: str | None, expected: str) -> bool:
    """Compare secrets in constant time."""
    return hmac.compare_digest((given or "").encode("utf-8", errors="replace"), expected.encode())


def set_cookie(response: Response, request: Request, entry: Entry) -> None:
    """Give the browser its session."""
    is_https = address_of(request).is_https
    response.set_cookie(
        COOKIE, entry.secret, path=base_of(request) or "/", secure=is_https, httponly=True, samesite="lax"
    )


def drop_cookie(response: Response, request: Request) -> None:
    """Take the session from the browser."""
    is_https = address_of(request).is_https
    response.delete_cookie(COOKIE, path=base_of(request) or "/", secure=is_https, httponly=True, samesite="lax")


def find_visitor(request: Request) -> Visitor | None:
    """Return who is asking; None for a stranger.

    Raises
    ------
    HTTPException
        403 if nobody has an account and the request came through a proxy: it may be from anywhere.
    """
    site = site_of(request)
    if is_open_house(site):
        if address_of(request).is_forwarded:
            raise HTTPException(403, "this server has no accounts and answers to this machine only; add an owner first")
        name = site.settings.annotator
        return Visitor(name, "owner", site.sign("open house", name), has_account=False)
    secret = request.cookies.get(COOKIE)
    session = site.roster.session(secret) if secret else None
    return None if session is None else Visitor(session.person, session.role, session.csrf, has_account=True)


def is_open_house(site: Site) -> bool:
    """Return whether everybody at this machine is the owner: it is loopback only, and nobody has an account."""
    return not site.settings.needs_accounts and site.roster.is_empty()


def _required(request: Request) -> Visitor:
    visitor = find_visitor(request)
    if visitor is None:
        raise HTTPException(401, "log in first")
    if request.method not in _READING and not is_same(request.headers.get("x-csrf-token"), visitor.csrf):
        raise HTTPException(403, "this page is out of date; load it again")
    return visitor


def _at_least(visitor: Visitor, role: str) -> Visitor:
    if not visitor.may(role):
        raise HTTPException(403, f"this is for people with the role {role}; ask an owner")
    return visitor


async def _reviewer(visitor: Annotated[Visitor, Depends(_required)]) -> Visitor:
    return _at_least(visitor, "reviewer")


async def _owner(visitor: Annotated[Visitor, Depends(_required)]) -> Visitor:
    return _at_least(visitor, "owner")


Anybody = Annotated[Visitor, Depends(_required)]
"""Somebody who is logged in."""
Reviewer = Annotated[Visitor, Depends(_reviewer)]
Owner = Annotated[Visitor, Depends(_owner)]
needs_login, needs_reviewer, needs_owner = Depends(_required), Depends(_reviewer), Depends(_owner)
"""The same for routes that do not ask who it is."""
