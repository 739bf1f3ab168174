"""Which failures are tried again, when, and what the others are called."""

import asyncio
import email.utils
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import httpx2
import openai

from llm_al.annotators.chat.settings import Endpoint, Limits, Waiting
from llm_al.annotators.chat.workers import Stop
from llm_al.errors import (
    AuthenticationError,
    OverloadedError,
    ProviderError,
    ProviderUnreachableError,
    RequestError,
)

__all__ = [
    "BadRequestError",
    "OutcomeUnknownError",
    "Retrier",
    "TextRefusedError",
    "backoff_s",
    "retry_after_s",
    "translate",
]

T = TypeVar("T")

_BASE_S = 0.5
_RETRYABLE = frozenset({408, 409, 425, 429})
_TEXT_CODES = frozenset(
    {"content_filter", "content_policy_violation", "context_length_exceeded", "string_above_max_length"}
)
_TEXT_PHRASES = ("context length", "context window", "context size", "maximum context", "prompt is too long")
_SHOWN = 200


class BadRequestError(RequestError):
    """The server rejects something in the request; `complaint` is all that it said."""

    def __init__(self, message: str, *, complaint: str) -> None:
        super().__init__(message)
        self.complaint = complaint


class OutcomeUnknownError(OverloadedError):
    """The request was sent, but no whole answer came back; the server may have charged for it."""


class TextRefusedError(RequestError):
    """The server refused this text (too long, filtered); others may pass."""


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Read `Retry-After` (seconds or an HTTP date) or `retry-after-ms`; None if absent or senseless.

    Examples
    --------
    >>> retry_after_s({"retry-after": "1.5"})
    1.5
    """
    milliseconds = headers.get("retry-after-ms")
    value = headers.get("retry-after")
    try:
        seconds = float(milliseconds) / 1000.0 if milliseconds else float(value or "nan")
    except ValueError:
        moment = email.utils.parsedate_tz(value)
        seconds = email.utils.mktime_tz(moment) - time.time() if moment else math.nan
    return max(seconds, 0.0) if math.isfinite(seconds) else None


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


def _detail(error: openai.APIError, endpoint: Endpoint) -> str:
    """Quote the server, without the key that it may echo."""
    text = " ".join(error.message.split())
    if endpoint.api_key:
        text = text.replace(endpoint.api_key, "***")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_about_text(error: openai.APIStatusError) -> bool:
    if error.status_code == 413 or error.code in _TEXT_CODES:
        return True
    return error.status_code in (400, 422) and any(phrase in error.message.casefold() for phrase in _TEXT_PHRASES)


def _from_status(error: openai.APIStatusError, endpoint: Endpoint) -> ProviderError:
    status, detail = error.status_code, _detail(error, endpoint)
    said = f"{endpoint.base_url} answered HTTP {status} for model {endpoint.model!r}: {detail}"
    if status in (401, 403):
        return AuthenticationError(
            f"{endpoint.base_url} refused the API key (HTTP {status}): {detail}; "
            f"put a valid key into the environment variable {endpoint.api_key_env}"
        )
    if error.code == "insufficient_quota":
        return RequestError(f"{said}; the account has no credit left, add some and run again")
    if status in _RETRYABLE or status >= 500:
        return OverloadedError(f"{said}; wait and run again", retry_after_s=retry_after_s(error.response.headers))
    if _is_about_text(error):
        return TextRefusedError(f"{said}; the text is left to people")
    if status == 404:
        return RequestError(f"{said}; check llm.base_url and llm.model")
    advice = "the request cannot succeed as it is, check the llm section of project.yaml"
    if status in (400, 422):
        return BadRequestError(f"{said}; {advice}", complaint=error.message)
    return RequestError(f"{said}; {advice}")


def _is_unreachable(error: openai.APIConnectionError) -> bool:
    return isinstance(error.__cause__, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol)


def translate(error: Exception, endpoint: Endpoint, limits: Limits) -> ProviderError:
    """Turn a client library's error into ours. The key is in no message."""
    if isinstance(error, openai.APIStatusError):
        return _from_status(error, endpoint)
    if isinstance(error, openai.APIConnectionError) and _is_unreachable(error):
        return ProviderUnreachableError(
            f"no LLM server answers at {endpoint.base_url}; start it, or correct llm.base_url in project.yaml"
        )
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return OutcomeUnknownError(
            f"{endpoint.base_url} gave no answer within {limits.timeout_s:g} s; raise llm.timeout_s or run again later"
        )
    return OutcomeUnknownError(
        f"the connection to {endpoint.base_url} broke off ({type(error).__name__}); run again later"
    )


class Retrier:
    """Tries a call again as long as that can help; one for all workers of a run."""

    def __init__(self, limits: Limits, waiting: Waiting, stop: Stop) -> None:
        self._limits = limits
        self._waiting = waiting
        self._stop = stop
        self._not_before = -math.inf

    async def call(self, send: Callable[[], Awaitable[T]]) -> T:
        """Return what `send` returns.

        Raises
        ------
        ProviderError
            The last failure, once tries are used up, waiting is senseless or the run is stopping.
        """
        attempt = 0
        while True:
            attempt += 1
            await self._wait_for_turn()
            try:
                return await send()
            except (OverloadedError, ProviderUnreachableError) as exc:
                error = exc
            asked = error.retry_after_s if isinstance(error, OverloadedError) else None
            is_too_long = asked is not None and asked > self._limits.max_wait_s
            if attempt >= self._limits.max_tries or is_too_long or self._stop.is_requested:
                raise error
            if asked is not None:
                # The server means the account, not the request: everyone waits.
                self._not_before = max(self._not_before, self._waiting.clock() + asked)
            else:
                jitter = self._waiting.jitter()
                await self._pause(backoff_s(attempt, max_wait_s=self._limits.max_wait_s, jitter=jitter))

    async def _wait_for_turn(self) -> None:
        remaining = self._not_before - self._waiting.clock()
        if remaining > 0:
            await self._pause(remaining)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but not through a stop."""
        nap = asyncio.ensure_future(self._waiting.sleep(seconds))
        stopped = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({nap, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (nap, stopped):
            task.cancel()
        await asyncio.gather(nap, stopped, return_exceptions=True)
