"""The gate that every request passes first: host, origin, size and prefix, and the headers of the answer.

A page may load nothing from elsewhere, run nothing that is not a file of ours, and be framed by nobody [1]_. A request
must be addressed to a name of this server, so that a foreign name pointed at this machine (DNS rebinding) finds
nothing, and one that changes something must come from a page of ours.

References
----------
.. [1] West & Sartori (2024). Content Security Policy Level 3. W3C Working Draft.
"""

import asyncio
import logging
import secrets
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_al.web.answers import refusal
from llm_al.web.forwarding import Address, MisledError, read_address
from llm_al.web.settings import WebSettings

__all__ = ["Gate"]

_log = logging.getLogger("llm_al.web")

_CSP = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    # Under "no-referrer" browsers send "Origin: null" with our own forms, which looks like a foreign site's.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_STRICT_TRANSPORT = "max-age=31536000"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_S = 30.0


class Gate:
    """Wrap the application; see the module.

    The path prefix in force is left in ``scope["state"]["base"]``, the caller in ``scope["state"]["address"]``.
    """

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        exchange = _Exchange(self._settings, receive, send)
        try:
            await self._pass(scope, exchange)
        except Exception:
            await _admit_failure(scope, exchange)

    async def _pass(self, scope: Scope, exchange: "_Exchange") -> None:
        headers = Headers(scope=scope)
        try:
            address = read_address(scope, headers, self._settings)
            exchange.is_https = address.is_https
            self._check(scope, headers, address)
        except MisledError as exc:
            await refusal(exc.status, str(exc))(scope, exchange.receive, exchange.send)
            return
        scope.setdefault("state", {}).update(base=address.base, address=address)
        await self._app({**scope, "path": address.path, "root_path": ""}, exchange.receive, exchange.send)

    def _check(self, scope: Scope, headers: Headers, address: Address) -> None:
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or len(length) > 19:
            raise MisledError("the length of the body is no number", 400)
        if int(length) > self._settings.max_body_bytes:
            raise MisledError(_too_large(self._settings.max_body_bytes), 413)
        # Reading the API counts: being given a question takes it from others.
        if scope["method"] in _READING and not address.path.startswith("/api/"):
            return
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            raise MisledError("this request comes from another site; use the pages of this server", 403)
        origin = headers.get("origin")
        if origin is not None and origin.casefold() != f"{address.scheme}://{address.host}".casefold():
            raise MisledError("this request comes from another site; use the pages of this server", 403)


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit:,} bytes; send less at once"


async def _admit_failure(scope: Scope, exchange: "_Exchange") -> None:
    reference = secrets.token_hex(4)
    _log.exception("request %s failed: %s %s", reference, scope["method"], ascii(scope["path"])[:200])
    if not exchange.is_started:
        sentence = f"something went wrong on this server; its log says more under {reference}"
        await refusal(500, sentence)(scope, exchange.receive, exchange.send)


@dataclass
class _Exchange:
    """Counts the body on its way in and adds headers on the way out."""

    settings: WebSettings
    inner_receive: Receive
    inner_send: Send
    is_https: bool = False
    is_started: bool = False
    n_bytes: int = 0
    is_read: bool = False

    async def receive(self) -> Message:
        """Return the next part of the body; too much of it, or none for too long, is an error."""
        if self.is_read:
            return await self.inner_receive()
        try:
            async with asyncio.timeout(_BODY_S):
                message = await self.inner_receive()
        except TimeoutError:
            raise HTTPException(408, "the body of the request did not arrive; send it again") from None
        self.n_bytes += len(message.get("body", b""))
        self.is_read = not message.get("more_body", False)
        if self.n_bytes > self.settings.max_body_bytes:
            raise HTTPException(413, _too_large(self.settings.max_body_bytes))
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.is_started = True
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
            if self.is_https:
                headers["Strict-Transport-Security"] = _STRICT_TRANSPORT
        await self.inner_send(message)
