"""The Batch API of a server: files up, batches made and looked at, results streamed down."""

import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import httpx2

from llm_al.annotators.engine.failures import from_response, from_wire, unreachable, untrusted
from llm_al.annotators.engine.secrets import redacted
from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.annotators.engine.wire import Received, certificates, proxy_of
from llm_al.errors import ProviderError, RequestError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["BATCH_PATH", "BatchServer", "BatchState", "GoneError"]

T = TypeVar("T")

BATCH_PATH: Final = "/v1/chat/completions"
_TAG = "llm_al"
"""Name of the metadata field by which a batch is found again."""
_OVER = frozenset({"completed", "failed", "expired", "cancelled"})
_N_RETRIES = 2
"""At most, of what is free to repeat: uploads, looks and downloads."""
_PAGE = 100
_MISSING = frozenset({404, 405, 501})
_GONE = frozenset({404, 410})


class GoneError(RequestError):
    """The server no longer knows a batch or a file; any other refusal may pass."""


@dataclass(frozen=True)
class BatchState:
    """What the server says about a batch; `problem` is why it failed as a whole."""

    status: str
    output_file: str | None = None
    error_file: str | None = None
    problem: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.status in _OVER


class BatchServer:
    """One connection to the Batch API, inside one event loop. Errors are ours and never hold the key."""

    def __init__(self, endpoint: Endpoint, limits: Limits, transport: httpx2.AsyncBaseTransport | None) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._transport = transport
        self._opened: AsyncOpenAI | None = None

    async def close(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            await self._opened.close()

    async def upload(self, path: Path) -> str:
        """Upload a file of requests and return its id; costs nothing.

        Raises
        ------
        ProviderError
        """
        with path.open("rb") as file:
            made = await self._free(self._client.files.create(file=("requests.jsonl", file), purpose="batch"))
        return str(made.id)

    async def create(self, file_id: str, tag: str) -> str:
        """Make a batch and return its id. Sent once only, since a second one would be paid too.

        Raises
        ------
        OverloadedError
            If it may have been made all the same; `find` tells later. A rate limit is no such case.
        ProviderError
            If it was not.
        """
        client = self._client.with_options(max_retries=0)
        made = await self._free(
            client.batches.create(
                input_file_id=file_id,
                endpoint=BATCH_PATH,
                completion_window="24h",
                metadata={_TAG: tag},
                extra_headers={"Idempotency-Key": tag},
            )
        )
        return str(made.id)

    async def find(self, tag: str) -> str | None:
        """Return the id of the batch that was made under a tag; None when there is none."""
        after: str | None = None
        while True:
            listing = self._client.batches
            page = await self._free(listing.list(limit=_PAGE, after=after) if after else listing.list(limit=_PAGE))
            for batch in page.data:
                if (batch.metadata or {}).get(_TAG) == tag:
                    return str(batch.id)
            if not page.data or not getattr(page, "has_more", False):
                return None
            after = page.data[-1].id

    async def look(self, batch_id: str) -> BatchState:
        """Return how far a batch is."""
        batch = await self._free(self._client.batches.retrieve(batch_id))
        listed = getattr(batch.errors, "data", None) or []
        problem = redacted("; ".join(str(error.message) for error in listed[:3]), self._endpoint.api_key)
        return BatchState(str(batch.status), batch.output_file_id, batch.error_file_id, problem)

    async def lines(self, file_id: str) -> AsyncIterator[dict[str, Any]]:
        """Yield the JSON lines of a file, without the key wherever the server echoed it; others are passed over."""
        error: ProviderError | None = None
        rest = b""
        try:
            async with self._client.files.with_streaming_response.content(file_id) as response:
                # Not by the library's lines: it also splits at separators that JSON allows within a string.
                async for part in response.iter_bytes():
                    *whole, rest = (rest + part).split(b"\n")
                    for row in filter(None, map(self._row, whole)):
                        yield row
        except _foreign() as exc:
            error = self._ours(exc)
        if error is not None:
            raise error
        if last := self._row(rest):
            yield last

    def _row(self, line: bytes) -> dict[str, Any] | None:
        text = redacted(line.decode("utf-8", "replace"), self._endpoint.api_key)
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return row if isinstance(row, dict) else None

    @property
    def _client(self) -> "AsyncOpenAI":
        if self._opened is None:
            # Takes seconds to import, which live runs need not wait for.
            import openai

            self._opened = openai.AsyncOpenAI(
                api_key=self._endpoint.api_key or "none",
                base_url=self._endpoint.base_url,
                max_retries=min(_N_RETRIES, self._limits.max_tries - 1),
                http_client=openai.DefaultAsyncHttpxClient(
                    verify=certificates(),
                    transport=self._transport,
                    timeout=self._limits.timeout_s,
                    # A redirect would carry the key elsewhere.
                    follow_redirects=False,
                    trust_env=False,
                    proxy=proxy_of(self._endpoint.base_url) if self._transport is None else None,
                ),
            )
        return self._opened

    async def _free(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except _foreign() as exc:
            error = self._ours(exc)
        # Outside of the handler: a library's error, which may echo the key, is not chained.
        raise error

    def _ours(self, exc: Exception) -> ProviderError:
        import openai

        if isinstance(exc, openai.APIStatusError):
            return self._refusal(exc.response)
        if isinstance(exc, openai.APITimeoutError | httpx2.TimeoutException) and not _is_about_connecting(exc):
            return from_wire(TimeoutError(), self._endpoint, self._limits)
        return self._broken(exc.__cause__ or exc)

    def _refusal(self, response: Any) -> ProviderError:
        url = self._endpoint.base_url
        if response.status_code in _MISSING and response.request.method == "POST":
            return RequestError(f"{url} offers no Batch API (HTTP {response.status_code}); set llm.batch: false")
        headers = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code in _GONE:
            return GoneError(
                str(from_response(Received(response.status_code, headers, response.content), self._endpoint))
            )
        return from_response(Received(response.status_code, headers, response.content), self._endpoint)

    def _broken(self, cause: BaseException) -> ProviderError:
        if "CERTIFICATE_VERIFY_FAILED" in str(cause):
            return untrusted(self._endpoint, str(cause))
        if _is_about_connecting(cause):
            return unreachable(self._endpoint)
        return from_wire(RuntimeError(type(cause).__name__), self._endpoint, self._limits)


def _foreign() -> tuple[type[Exception], ...]:
    import openai

    return openai.APIError, httpx2.HTTPError


def _is_about_connecting(exc: BaseException) -> bool:
    return any(isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout) for error in (exc, exc.__cause__))
