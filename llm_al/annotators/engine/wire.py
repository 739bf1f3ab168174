"""Bytes to the server and back, and nothing else."""

import asyncio
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import httpx2

from llm_al.annotators.engine.prices import is_local
from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.errors import ConfigError

__all__ = [
    "BrokenOffError",
    "NotSentError",
    "NotTrustedError",
    "Received",
    "Wire",
    "certificates",
    "open_wire",
    "proxy_of",
]

_MAX_BYTES = 32 * 2**20
"""A longer response is no completion."""
_CONNECT_S, _CONNECT_SHARE = 30.0, 0.5
"""Longest time until a connection stands, and most of the time for one try that it may take."""
_IDLE_S = 4.0
"""Some servers close idle connections after five seconds; ours are dropped before."""


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


def proxy_of(base_url: str) -> str | None:
    """Return the proxy that the environment names for a server; None for servers of this machine or network.

    Raises
    ------
    ConfigError
        If it is no HTTP proxy.
    """
    parts = urlsplit(base_url)
    if is_local(base_url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy is not None and not proxy.startswith(("http://", "https://")):
        raise ConfigError(
            f"the proxy for {base_url} in the environment is of the kind {proxy.split(':')[0]!r}; allowed are http and "
            "https; set HTTPS_PROXY to one of these, or name the server in NO_PROXY"
        )
    return proxy


def _headers(endpoint: Endpoint) -> dict[str, str]:
    return {"Authorization": f"Bearer {endpoint.api_key or 'none'}", "Content-Type": "application/json"}


class _Network:
    """aiohttp: a fifth of the processor time of the openai client, which matters at hundreds of calls a second."""

    def __init__(self, endpoint: Endpoint, limits: Limits) -> None:
        self._base_url = endpoint.base_url
        # Asked once: the library would read the environment and ~/.netrc again for every request, and
        # send what it finds there in place of the key.
        self._proxy = proxy_of(endpoint.base_url)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=limits.concurrency * 2, keepalive_timeout=_IDLE_S, ssl=certificates()),
            # Told apart, since a request that was never sent costs nothing.
            timeout=aiohttp.ClientTimeout(
                total=limits.timeout_s, sock_connect=min(_CONNECT_S, _CONNECT_SHARE * limits.timeout_s)
            ),
            headers=_headers(endpoint),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Received:
        url = self._base_url + path
        try:
            # A redirect would carry the key elsewhere.
            async with self._session.request(
                method, url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
            ) as response:
                content = await _read(response.content)
                return Received(response.status, {k.lower(): v for k, v in response.headers.items()}, content)
        except aiohttp.ConnectionTimeoutError as exc:
            raise NotSentError(type(exc).__name__) from exc
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
