"""How fast a server may be asked: two token buckets, and a pause for everyone."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from llm_al.annotators.engine.settings import Limits

__all__ = ["Bucket", "Pacer", "Rates", "Said", "parse_reset_s"]

_SHARE = 0.985
"""Of the permitted rate; the rest covers clocks that differ."""
_BURST_S = 0.2
"""Seconds of the rate that may go at once before the server has told what it has left."""
_NOTHING = 1e-6
_LOOK_S = 5.0
"""A call waits so long for its turn before it looks whether more has been learnt."""
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3_600.0, 86_400.0
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_reset_s(text: str | None) -> float | None:
    """Read a duration as servers write it; None for anything else.

    Examples
    --------
    >>> parse_reset_s("1m30.5s")
    90.5
    >>> parse_reset_s("20ms")
    0.02
    """
    if not text:
        return None
    parts = _DURATION.findall(text)
    if parts and "".join(f"{number}{unit}" for number, unit in parts) == text:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else None


@dataclass(frozen=True)
class Said:
    """What the headers of one response say about one limit; None where they are silent."""

    limit: float | None = None
    remaining: float | None = None
    """Units that the server had left when it took the call."""
    reset_s: float | None = None
    """Until the whole limit is there again."""

    @classmethod
    def read(cls, headers: Mapping[str, str], name: str) -> "Said":
        """Read `x-ratelimit-*-requests` or `-tokens`."""
        return cls(
            _number(headers.get(f"x-ratelimit-limit-{name}")),
            _number(headers.get(f"x-ratelimit-remaining-{name}")),
            parse_reset_s(headers.get(f"x-ratelimit-reset-{name}")),
        )

    @property
    def period_s(self) -> float:
        """The time that the limit is for: a minute, or a day when refilling takes that long."""
        if self.limit is None or self.remaining is None or self.reset_s is None or self.remaining >= self.limit:
            return _MINUTE_S
        whole_s = self.reset_s * self.limit / (self.limit - self.remaining)
        return _DAY_S if whole_s > _HOUR_S else _MINUTE_S


@dataclass
class Bucket:
    """A continuously refilled allowance; without a rate it never says no.

    Parameters
    ----------
    rate : float
        Units a second; infinite is no limit.
    level : float
        What may go at once.
    """

    rate: float = math.inf
    level: float = math.inf
    updated_s: float = 0.0
    is_fixed: bool = False
    """Whether the user set the rate; headers then only lower the level."""

    @classmethod
    def per_minute(cls, limit: float | None) -> "Bucket":
        """Return a bucket with a given limit, or one that learns it."""
        if limit is None:
            return cls()
        rate = limit / 60.0 * _SHARE
        return cls(rate, max(rate * _BURST_S, 1.0), -math.inf, is_fixed=True)

    def wait_s(self, n: float, now_s: float) -> float:
        """Return how long until `n` units may go; 0 when they may now."""
        self._refill(now_s)
        # A call above the whole allowance goes when the bucket is full.
        missing = min(n, self._capacity) - self.level
        # Rounding may leave less than a clock can measure.
        return missing / self.rate if math.isfinite(self.rate) and missing > _NOTHING else 0.0

    def take(self, n: float) -> None:
        """Use `n` units; the level may go below zero."""
        self.level -= n

    def observe(self, said: "Said", *, n_under_way: float, sent_s: float, now_s: float) -> None:
        """Learn from a response.

        Parameters
        ----------
        said : Said
        n_under_way : float
            Units sent that `said.remaining` may not count yet.
        sent_s, now_s : float
            When the call was sent, and now; meanwhile the server's own allowance has grown.
        """
        limit, remaining = said.limit, said.remaining
        if limit is not None and limit > 0.0 and not self.is_fixed:
            rate = limit / said.period_s * _SHARE
            if not math.isfinite(self.rate):
                self.level, self.updated_s = max(rate * _BURST_S, 1.0), now_s
            self.rate = rate
        if remaining is None or not math.isfinite(self.rate):
            return
        self._refill(now_s)
        headroom = self.level if self.is_fixed else max(self.level, remaining - n_under_way)
        self.level = min(headroom, remaining + self.rate * max(now_s - sent_s, 0.0))

    @property
    def _capacity(self) -> float:
        return max(self.rate * _BURST_S, 1.0)

    def _refill(self, now_s: float) -> None:
        if not math.isfinite(self.rate):
            return
        elapsed = now_s - self.updated_s if math.isfinite(self.updated_s) else 0.0
        # What the server granted above our own burst stays, but does not grow.
        self.level = max(self.level, min(self.level + elapsed * self.rate, self._capacity))
        self.updated_s = now_s


@dataclass
class Rates:
    """What is known of a server's limits; lives as long as the annotator."""

    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    not_before_s: float = -math.inf

    @classmethod
    def of(cls, limits: Limits) -> "Rates":
        """Return the rates that the user set."""
        return cls(Bucket.per_minute(limits.requests_per_minute), Bucket.per_minute(limits.tokens_per_minute))


class Pacer:
    """Lets calls go one after the other as fast as the server allows.

    Parameters
    ----------
    rates : Rates
    clock : callable
    nap : callable
        Sleeps, but not through a stop.
    """

    def __init__(self, rates: Rates, clock: Callable[[], float], nap: Callable[[float], Awaitable[None]]) -> None:
        self._rates = rates
        self._clock = clock
        self._nap = nap
        self._turn = asyncio.Lock()
        self._n_requests = 0
        self._n_tokens = 0.0

    async def acquire(self, n_tokens: float) -> float:
        """Return when one call of `n_tokens` may be sent, with the time by `clock`."""
        async with self._turn:
            while (wait_s := self._wait_s(n_tokens)) > 0.0:
                await self._nap(wait_s)
            self._rates.requests.take(1)
            self._rates.tokens.take(n_tokens)
        self._n_requests += 1
        self._n_tokens += n_tokens
        return self._clock()

    def finish(self, n_tokens: float, sent_s: float, headers: Mapping[str, str]) -> None:
        """Note that a call has ended, and what the server said about its limits."""
        self._n_requests -= 1
        self._n_tokens -= n_tokens
        now, rates = self._clock(), self._rates
        for name, bucket, n in (
            ("requests", rates.requests, self._n_requests),
            ("tokens", rates.tokens, self._n_tokens),
        ):
            bucket.observe(Said.read(headers, name), n_under_way=n, sent_s=sent_s, now_s=now)

    def pause(self, seconds: float) -> None:
        """Send nothing for so long; a longer pause that holds already stays."""
        self._rates.not_before_s = max(self._rates.not_before_s, self._clock() + seconds)

    def _wait_s(self, n_tokens: float) -> float:
        now, rates = self._clock(), self._rates
        refill_s = max(rates.requests.wait_s(1, now), rates.tokens.wait_s(n_tokens, now))
        return max(rates.not_before_s - now, min(refill_s, _LOOK_S))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0.0 else None
