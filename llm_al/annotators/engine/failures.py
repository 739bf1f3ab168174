"""What a failed call is called, and whether trying again can help."""

import email.utils
import json
import math
import time
from collections.abc import Mapping

from llm_al.annotators.engine.secrets import HIDDEN, redacted
from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.annotators.engine.wire import Received
from llm_al.errors import AuthenticationError, OverloadedError, ProviderError, ProviderUnreachableError, RequestError

__all__ = [
    "BadRequestError",
    "OutcomeUnknownError",
    "RateLimitError",
    "TextRefusedError",
    "from_response",
    "from_wire",
    "retry_after_s",
    "unreachable",
    "untrusted",
]

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


class RateLimitError(OverloadedError):
    """The account is over its limit: everyone waits."""


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


def _complaint(body: str) -> tuple[str, str]:
    """Return message and code of an error body, whatever its form."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return body, ""
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error), ""
    return str(error.get("message") or error.get("detail") or error), str(error.get("code") or "")


def _shown(text: str) -> str:
    """Quote the server, in one line of bearable length."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _is_about_text(status: int, message: str, code: str) -> bool:
    if status == 413 or code in _TEXT_CODES:
        return True
    return status in (400, 422) and any(phrase in message.casefold() for phrase in _TEXT_PHRASES)


def from_response(received: Received, endpoint: Endpoint) -> ProviderError:
    """Return the error that a response stands for which is not a success. The key is in no message."""
    body = redacted(received.body.decode("utf-8", "replace"), endpoint.api_key)
    status, (message, code) = received.status, _complaint(body)
    if endpoint.api_key:
        message = message.replace(endpoint.api_key, HIDDEN)
    detail = _shown(message)
    said = f"{endpoint.base_url} answered HTTP {status} for model {endpoint.model!r}: {detail}"
    if status in (401, 403):
        return AuthenticationError(
            f"{endpoint.base_url} refused the API key (HTTP {status}): {detail}; "
            f"put a valid key into the environment variable {endpoint.api_key_env}"
        )
    if code == "insufficient_quota":
        return RequestError(f"{said}; the account has no credit left, add some and run again")
    if status in _RETRYABLE or status >= 500:
        kind = RateLimitError if status == 429 else OverloadedError
        return kind(f"{said}; wait and run again", retry_after_s=retry_after_s(received.headers))
    if _is_about_text(status, message, code):
        return TextRefusedError(f"{said}; the text is left to people")
    if status == 404 or 300 <= status < 400:
        return RequestError(f"{said}; check llm.base_url and llm.model")
    advice = "the request cannot succeed as it is, check the llm section of project.yaml"
    if status in (400, 422):
        return BadRequestError(f"{said}; {advice}", complaint=message)
    return RequestError(f"{said}; {advice}")


def unreachable(endpoint: Endpoint) -> ProviderUnreachableError:
    """Return the error of a server that does not answer the phone."""
    return ProviderUnreachableError(
        f"no LLM server answers at {endpoint.base_url}; start it, or correct llm.base_url in project.yaml"
    )


def untrusted(endpoint: Endpoint, problem: str) -> ProviderUnreachableError:
    """Return the error of a server whose certificate nobody vouches for."""
    return ProviderUnreachableError(
        f"the certificate of {endpoint.base_url} cannot be verified ({problem}), so nothing was sent; let "
        "the environment variable SSL_CERT_FILE name a file with the certificate of the authority that signed it "
        "(verification cannot be switched off)"
    )


def from_wire(error: Exception, endpoint: Endpoint, limits: Limits) -> OutcomeUnknownError:
    """Return the error of a call whose answer never arrived whole."""
    if isinstance(error, TimeoutError):
        return OutcomeUnknownError(
            f"{endpoint.base_url} gave no answer within {limits.timeout_s:g} s; raise llm.timeout_s or run again later"
        )
    return OutcomeUnknownError(f"the connection to {endpoint.base_url} broke off ({error}); run again later")
