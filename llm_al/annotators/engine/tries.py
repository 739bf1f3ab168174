"""Which calls are tried again, and when."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from llm_al.annotators.engine.failures import RateLimitError
from llm_al.annotators.engine.pacing import Pacer, Rates
from llm_al.annotators.engine.settings import Limits, Waiting
from llm_al.annotators.engine.workers import Stop, StoppedError
from llm_al.errors import OverloadedError, ProviderError, ProviderUnreachableError

__all__ = ["Breaker", "Tries", "backoff_s"]

T = TypeVar("T")

_BASE_S = 0.5
_TRIP_AFTER = 10
"""Failures in a row, over all workers, before the server is left alone for a while."""


def backoff_s(attempt: int, *, max_wait_s: float, jitter: float) -> float:
    """Return exponential back-off with full jitter [1]_.

    Parameters
    ----------
    attempt : int
        1 after the first failure.
    jitter : float
        Uniform draw in [0, 1).

    References
    ----------
    .. [1] Brooker (2015). Exponential backoff and jitter. AWS Architecture Blog.

    Examples
    --------
    >>> backoff_s(3, max_wait_s=120.0, jitter=0.5)
    2.0
    """
    return jitter * min(max_wait_s, _BASE_S * 2.0**attempt)


class Breaker:
    """Leaves a server alone that fails again and again, then asks it once before all workers go on [1]_.

    References
    ----------
    .. [1] Nygard (2007). Release It! Chapter 5, Circuit breaker.
    """

    def __init__(self, clock: Callable[[], float], nap: Callable[[float], Awaitable[None]], max_wait_s: float) -> None:
        self._clock = clock
        self._nap = nap
        self._max_wait_s = max_wait_s
        self._n_failures = 0
        self._closed_until_s = -math.inf
        self._probe: asyncio.Event | None = None

    @property
    def is_open(self) -> bool:
        """Whether the server counts as down."""
        return self._n_failures >= _TRIP_AFTER

    async def enter(self) -> None:
        """Wait while the server is left alone; of those who waited, one goes first."""
        while self.is_open:
            if self._probe is not None:
                await self._probe.wait()
            elif (wait_s := self._closed_until_s - self._clock()) > 0.0:
                await self._nap(wait_s)
            else:
                self._probe = asyncio.Event()
                return

    def succeed(self) -> None:
        """Note an answer, of whatever kind: the server is there."""
        self._n_failures = 0

    def fail(self) -> None:
        """Note a failure of the server."""
        if self.is_open and self._clock() < self._closed_until_s:
            # It was sent before the server was left alone, and says nothing new.
            return
        self._n_failures += 1
        if self.is_open:
            doublings = (self._n_failures - _TRIP_AFTER) // _TRIP_AFTER
            self._closed_until_s = self._clock() + min(2.0**doublings, self._max_wait_s)

    def leave(self) -> None:
        """Let those look again who waited for this call."""
        if self._probe is not None:
            self._probe.set()
            self._probe = None


class Tries:
    """Sends a call again as long as that can help; one for all workers of a run."""

    def __init__(self, limits: Limits, waiting: Waiting, stop: Stop, rates: Rates) -> None:
        self._limits = limits
        self._waiting = waiting
        self._stop = stop
        self.pacer = Pacer(rates, waiting.clock, self._nap)
        self.breaker = Breaker(waiting.clock, self._nap, limits.max_wait_s)

    async def call(self, send: Callable[[], Awaitable[T]], again: Callable[[ProviderError], Awaitable[None]]) -> T:
        """Return what `send` returns; `again` is awaited before each further try, with what went wrong.

        Raises
        ------
        ProviderError
            The last failure, once tries are used up, waiting is senseless or the run is stopping.
        StoppedError
            If the run stops before the first try.
        """
        attempt = 0
        while True:
            attempt += 1
            await self.breaker.enter()
            try:
                answer = await send()
            except (OverloadedError, ProviderUnreachableError) as exc:
                error: ProviderError = exc
            except ProviderError:
                self.breaker.succeed()
                raise
            else:
                self.breaker.succeed()
                return answer
            finally:
                self.breaker.leave()
            await self._wait_after(error, attempt)
            await again(error)

    def check_stop(self) -> None:
        """Raise `StoppedError` if the run is ending: what is not sent yet stays unsent."""
        if self._stop.is_requested:
            raise StoppedError

    async def _wait_after(self, error: ProviderError, attempt: int) -> None:
        asked = error.retry_after_s if isinstance(error, OverloadedError) else None
        is_limit = isinstance(error, RateLimitError)
        self.breaker.succeed() if is_limit else self.breaker.fail()
        is_too_long = asked is not None and asked > self._limits.max_wait_s
        if attempt >= self._limits.max_tries or is_too_long or self._stop.is_requested:
            raise error
        backoff = backoff_s(attempt, max_wait_s=self._limits.max_wait_s, jitter=self._waiting.jitter())
        if asked is not None or is_limit:
            # The server means the account, not the request: everyone waits.
            self.pacer.pause(asked or backoff)
            return
        try:
            await self._nap(backoff)
        except StoppedError:
            raise error from None

    async def _nap(self, seconds: float) -> None:
        """Sleep, but not through a stop."""
        if self._stop.is_requested:
            raise StoppedError
        nap = asyncio.ensure_future(self._waiting.sleep(seconds))
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({nap, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (nap, stopped):
            task.cancel()
        await asyncio.gather(nap, stopped, return_exceptions=True)
        if self._stop.is_requested:
            raise StoppedError
