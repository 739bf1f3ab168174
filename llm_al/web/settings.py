"""How the server was started: what every worker process has to know."""

import ipaddress
import json
import re
from dataclasses import asdict, dataclass
from typing import Any

from llm_al.errors import ConfigError

__all__ = ["LOOPBACK_NAMES", "WebSettings", "clean_prefix", "is_loopback"]

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_PREFIX = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._~-]{0,63}){1,8}")
_OURS = frozenset({"api", "static", "login", "logout", "invite", "exports", "review", "dashboard", "guidelines"})
_OURS |= {"people"}


def is_loopback(host: str) -> bool:
    """Return whether a host name or address stands for this machine alone.

    Examples
    --------
    >>> is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("example.org")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.casefold() == "localhost"


def clean_prefix(prefix: str) -> str:
    """Return a path prefix without its last slash: "" or "/labels".

    Raises
    ------
    ConfigError
        If it is no plain path, or its first part is one of our own paths.

    Examples
    --------
    >>> clean_prefix("/labels/"), clean_prefix("/")
    ('/labels', '')
    """
    cut = prefix.rstrip("/")
    if cut and (not _PREFIX.fullmatch(cut) or cut.split("/")[1] in _OURS):
        raise ConfigError(
            f"the path prefix {prefix[:80]!r} cannot be used; give one like /labels "
            f"(letters, digits, '-', '.', '_'), not beginning with one of: {', '.join(sorted(_OURS))}"
        )
    return cut


@dataclass(frozen=True)
class WebSettings:
    """What the pages need to know beside the project.

    Parameters
    ----------
    annotator : str
        Who everybody is, as long as nobody has an account.
    key : str
        Signs form tokens of visitors without a session; the same in every worker and after a restart.
    base : str
        Path prefix under which a proxy shows the pages, "" or "/labels".
    host : str
        Address that the server listens on.
    allowed_hosts : tuple of str
        Host names that requests may be addressed to, beside those of this machine.
    proxies : tuple of str
        Addresses whose ``X-Forwarded-*`` headers are believed.
    is_https : bool
        Whether people reach the pages through https, whatever this server itself speaks.
    max_body_bytes, n_threads : int
        Largest request body; requests worked on at once in a process.
    """

    annotator: str = "me"
    key: str = ""
    base: str = ""
    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()
    is_https: bool = False
    max_body_bytes: int = 1 << 20
    n_threads: int = 8

    def __post_init__(self) -> None:
        object.__setattr__(self, "base", clean_prefix(self.base))

    @property
    def needs_accounts(self) -> bool:
        """Whether anybody but the people at this machine could come in."""
        outside = [name for name in self.allowed_hosts if not is_loopback(name)]
        return bool(not is_loopback(self.host) or outside or self.proxies)

    def to_json(self) -> str:
        """Return the settings as text for another process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "WebSettings":
        """Return what `to_json` wrote."""
        given: dict[str, Any] = json.loads(text)
        values: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        return cls(**values)
