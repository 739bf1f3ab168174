"""Where a request comes from and what it is addressed to, also behind a proxy."""

import ipaddress
import re
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from llm_al.errors import ConfigError
from llm_al.web.settings import LOOPBACK_NAMES, WebSettings, clean_prefix, is_loopback

__all__ = ["Address", "MisledError", "read_address"]

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}))(:[0-9]{1,5})?")
_TRACES = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")


class MisledError(Exception):
    """A request that must not go on; `status` is the answer's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Address:
    """One request's way here.

    Parameters
    ----------
    client : str
        Address of the browser; "" where unknown.
    host : str
        What the request is addressed to, with its port if it has one.
    base, path : str
        The prefix in force, and the path without it.
    is_forwarded : bool
        Whether a header says that a proxy was in between.
    """

    client: str
    host: str
    scheme: str
    base: str
    path: str
    is_forwarded: bool = False

    @property
    def is_https(self) -> bool:
        """Whether the browser speaks https."""
        return self.scheme == "https"


def read_address(scope: Scope, headers: Headers, settings: WebSettings) -> Address:
    """Return where a request comes from; ``X-Forwarded-*`` counts only from an address in `settings.proxies`.

    Raises
    ------
    MisledError
        If its path or its headers are no good, or it is addressed to another server.
    """
    peer = str((scope.get("client") or ("",))[0])
    told: dict[str, str] = {}
    if peer in settings.proxies:
        names = {"for": "x-forwarded-for", "proto": "x-forwarded-proto", "host": "x-forwarded-host"}
        names["prefix"] = "x-forwarded-prefix"
        told = {key: headers[name] for key, name in names.items() if headers.get(name)}
    base = _prefix(told.get("prefix"), settings.base)
    return Address(
        client=_client(told.get("for"), peer, settings.proxies),
        host=_host(_last(told.get("host")) or headers.get("host", ""), settings),
        scheme=_scheme(told.get("proto"), scope, settings),
        base=base,
        path=_path(str(scope["path"]), base),
        is_forwarded=any(name in headers for name in _TRACES),
    )


def _last(values: str | None) -> str:
    return (values or "").rsplit(",", 1)[-1].strip()


def _client(forwarded: str | None, peer: str, proxies: tuple[str, ...]) -> str:
    """Return the last address that no trusted proxy vouches for as its own."""
    for address in reversed([part.strip() for part in (forwarded or "").split(",")]):
        try:
            plain = str(ipaddress.ip_address(address.strip("[]")))
        except ValueError:
            break
        if plain not in proxies:
            return plain
    return peer


def _scheme(proto: str | None, scope: Scope, settings: WebSettings) -> str:
    if settings.is_https:
        return "https"
    said = _last(proto).casefold()
    return said if said in ("http", "https") else str(scope.get("scheme", "http"))


def _prefix(told: str | None, base: str) -> str:
    try:
        return base if told is None else clean_prefix(told)
    except ConfigError:
        raise MisledError("the proxy's path prefix cannot be used; correct its X-Forwarded-Prefix", 400) from None


def _path(path: str, base: str) -> str:
    if not path.startswith("/") or len(path) > 2048 or not path.isprintable():
        raise MisledError("this path cannot be used", 400)
    # A proxy may take the prefix off or leave it on.
    if base and (path == base or path.startswith(f"{base}/")):
        return path[len(base) :] or "/"
    return path


def _host(given: str, settings: WebSettings) -> str:
    match = _HOST.fullmatch(given)
    if match is None:
        raise MisledError("the request names no host, or one that cannot be read", 400)
    name = match[1].strip("[]").rstrip(".").casefold()
    allowed = {*LOOPBACK_NAMES, settings.host.casefold(), *(host.casefold() for host in settings.allowed_hosts)}
    if name in allowed or (not is_loopback(settings.host) and _is_address(name)):
        return given
    raise MisledError("this server does not answer to that host name; start it with --allow-host to add one", 421)


def _is_address(name: str) -> bool:
    # A number cannot be pointed elsewhere, so it needs no list.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
