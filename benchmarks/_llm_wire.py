"""As much HTTP/1.1 as a loopback server needs: keep-alive, bodies with a length, one request at a time."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

__all__ = ["Connection", "Head", "Response", "Serve"]

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}
_MAX_HEAD = 64 * 1024


@dataclass(frozen=True)
class Response:
    """What goes back; `body` None breaks the connection off."""

    status: int = 200
    body: bytes | None = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """Request line and headers, names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]

    @classmethod
    def parse(cls, head: bytes) -> "Head":
        """Read everything before the empty line; raises ValueError if it is not HTTP."""
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        fields = (line.partition(":") for line in lines)
        return cls(method, path.partition("?")[0], {name.lower(): value.strip() for name, _, value in fields})


class Connection(asyncio.Protocol):
    """One keep-alive connection; requests are served one after the other."""

    def __init__(self, serve: "Serve") -> None:
        self._serve = serve
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._is_busy = False

    @property
    def is_gone(self) -> bool:
        """Whether the client has hung up."""
        return self._transport is None or self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget it."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Collect bytes until a request is whole."""
        self._buffer += data
        self._next()

    def _next(self) -> None:
        if self._is_busy:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _MAX_HEAD:
                self._close()
            return
        try:
            head = Head.parse(bytes(self._buffer[:end]))
            n_body = int(head.headers.get("content-length", "0"))
        except ValueError:
            self._close()
            return
        if len(self._buffer) < end + 4 + n_body:
            return
        raw = bytes(self._buffer[end + 4 : end + 4 + n_body])
        del self._buffer[: end + 4 + n_body]
        self._is_busy = True
        self._serve(head, raw, self)

    def send(self, response: Response) -> None:
        """Write a response, or break off, and go on with what has come in the meantime."""
        if self._transport is None:
            return
        if response.body is None:
            self._transport.abort()
            return
        lines = [f"HTTP/1.1 {response.status} {_REASONS[response.status]}", "content-type: application/json"]
        lines += [f"content-length: {len(response.body)}"]
        lines += [f"{name}: {value}" for name, value in response.headers.items()]
        self._transport.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + response.body)
        self._is_busy = False
        self._next()

    def hold(self, seconds: float) -> None:
        """Say nothing until the client gives up, or until this long has passed."""
        asyncio.get_running_loop().call_later(seconds, self._close)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


Serve = Callable[[Head, bytes, Connection], None]
"""Answers a request, now or later, by `Connection.send` or `Connection.hold`."""
