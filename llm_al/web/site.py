"""What the handlers of one process share: the project, who may come in, templates, and bounds on slow work."""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from anyio import CapacityLimiter, WouldBlock, to_thread
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request

import llm_al
from llm_al.errors import TooOftenError
from llm_al.people.roster import Roster
from llm_al.project import Project
from llm_al.web.assets import Assets
from llm_al.web.settings import WebSettings

__all__ = ["Site", "SlowWork", "site_of"]

T = TypeVar("T")


class SlowWork:
    """Runs slow calls in threads of their own, few at a time, so that the label page never waits for one.

    Parameters
    ----------
    n_at_once : int
        Calls that run together.
    n_waiting : int
        Calls that may wait; more are refused.
    """

    def __init__(self, n_at_once: int, n_waiting: int) -> None:
        self._threads = CapacityLimiter(n_at_once)
        self._places = CapacityLimiter(n_at_once + n_waiting)

    async def run(self, call: Callable[[], T]) -> T:
        """Return what ``call()`` returns.

        Raises
        ------
        TooOftenError
            If too many wait already.
        """
        place = object()
        try:
            self._places.acquire_on_behalf_of_nowait(place)
        except WouldBlock:
            raise TooOftenError("too much is going on at once; try again in a few seconds", wait_s=5.0) from None
        try:
            return await to_thread.run_sync(call, limiter=self._threads)
        finally:
            self._places.release_on_behalf_of(place)


@dataclass(frozen=True)
class Site:
    """Everything but the request."""

    project: Project
    roster: Roster
    settings: WebSettings
    assets: Assets

    @cached_property
    def logins(self) -> SlowWork:
        """Where passwords are checked: 64 MiB and half a core each."""
        return SlowWork(2, 32)

    @cached_property
    def exports(self) -> SlowWork:
        """Where files are written: the whole pool each."""
        return SlowWork(1, 4)

    @cached_property
    def pages(self) -> Environment:
        """The templates; everything in them is escaped."""
        environment = Environment(
            loader=PackageLoader("llm_al.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.globals.update(version=llm_al.__version__, assets_version=self.assets.version)
        return environment

    def sign(self, purpose: str, secret: str) -> str:
        """Return a token that only this project's server can make."""
        message = f"{purpose}\0{secret}".encode()
        return hmac.new(self.settings.key.encode(), message, hashlib.sha256).hexdigest()


def site_of(request: Request) -> Site:
    """Return the site that a request came to."""
    site: Site = request.app.state.site
    return site
