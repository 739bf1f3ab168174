"""Bytes to the server and back, and nothing else."""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import aiohttp
import httpx2

from llm_al.annotators.engine.prices import is_local
from llm_al.annotators.engine.settings import Endpoint, Limits

__all__ = ["BrokenOffError", "NotSentError", "NotTrustedError", "Received", "Wire", "certificates", "open_wire"]

_MAX_BYTES = 32 * 2**20
"""A longer response is no completion."""
_IDLE_S = 15.0
"""Servers close idle connections after some time; ours are dropped before."""


@dataclass(frozen=True, slots=True)
class Received:
    """A whole response; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NotSentError(Exception):
    """No connection: the server has not seen the request."""


class NotTrustedError(NotSentError):
    """The server's certificate cannot be verified; the message says why."""


class BrokenOffError(Exception):
    """The request was sent, and no whole response came back."""


class Wire(Protocol):
    """One way to a server; raises `NotSentError` or `BrokenOffError`, and `TimeoutError` after `timeout_s`."""

    async def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Received:
        """Send one request and return the whole response."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


def open_wire(endpoint: Endpoint, limits: Limits, transport: httpx2.AsyncBaseTransport | None) -> Wire:
    """Return the way to `endpoint`, or through `transport` where one is given. Inside a running event loop."""
    return _Network(endpoint, limits) if transport is None else _Transport(endpoint, limits, transport)


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key or 'none'}", "Content-Type": "application/json"}


class _Network:
    """aiohttp: a fifth of the processor time of the openai client, which matters at hundreds of calls a second."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._base_url = endpoint.base_url
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.concurrency * 2, keepalive_timeout=_IDLE_S, ssl=certificates()),
            timeout=aiohttp.ClientTimeout(total=limits.timeout_s),
            headers=_headers(endpoint),
            # A proxy from the environment cannot reach this machine's own ports.
            trust_env=not is_local(endpoint.base_url),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Received:
        url = self._base_url + path
        try:
            # A redirect would carry the key elsewhere.
            async with self._session.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as response:
                content = await _read(response.content)
                return Received(response.status, {k.lower(): v for k, v in response.headers.items()}, content)
        except TimeoutError:
            raise
        except aiohttp.ClientConnectorCertificateError as exc:
            raise NotTrustedError(str(getattr(exc.certificate_error, "verify_message", exc))) from exc
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as exc:
            raise NotSentError(type(exc).__name__) from exc
        except aiohttp.ClientError as exc:
            raise BrokenOffError(type(exc).__name__) from exc

    async def close(self) -> None:
        await self._session.close()


async def _read(stream: aiohttp.StreamReader) -> bytes:
    parts, n_bytes = [], 0
    async for part in stream.iter_any():
        parts.append(part)
        n_bytes += len(part)
        if n_bytes > _MAX_BYTES:
            raise BrokenOffError(f"a response of more than {_MAX_BYTES} bytes")
    return b"".join(parts)


def certificates() -> ssl.SSLContext:
    """Return the same trust store that the openai client uses; verification is never switched off."""
    return httpx2.create_ssl_context()


class _Transport:
    """An httpx2 transport in place of the network, for tests and unusual set-ups."""

    def __init__(self, endpoint: Endpoint, limits: Limits, transport: httpx2.AsyncBaseTransport) -> None:
        self._base_url = endpoint.base_url
        self._timeout_s = limits.timeout_s
        self._client = httpx2.AsyncClient(transport=transport, headers=_headers(endpoint), timeout=limits.timeout_s)

    async def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Received:
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.request(
                    method, self._base_url + path, content=body, headers=dict(headers)
                )
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.UnsupportedProtocol) as exc:
            raise NotSentError(type(exc).__name__) from exc
        except httpx2.TimeoutException as exc:
            raise TimeoutError from exc
        except httpx2.HTTPError as exc:
            raise BrokenOffError(type(exc).__name__) from exc
        return Received(response.status_code, {k.lower(): v for k, v in response.headers.items()}, response.content)

    async def close(self) -> None:
        await self._client.aclose()
