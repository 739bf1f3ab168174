"""Settings of a chat annotator that travel together."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from llm_al.annotators.engine.prices import Price, price_of
from llm_al.errors import ConfigError

__all__ = ["Endpoint", "Limits", "Pricing", "Sampling", "Waiting"]


def _is_web_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@dataclass(frozen=True)
class Endpoint:
    """Where the model is and who asks.

    Raises
    ------
    ConfigError
        If the URL is not http or https, the model has no name, or the key cannot stand in a header.
    """

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key, for messages."""

    def __post_init__(self) -> None:
        if "@" in self.base_url:
            raise ConfigError(
                "llm.base_url holds a user name or password; give the bare URL, the key comes from the environment"
            )
        if not _is_web_url(self.base_url):
            raise ConfigError(
                f"llm.base_url is {self.base_url!r}; it must start with http:// or https:// and name a host, "
                "for example http://localhost:8000/v1"
            )
        if not self.model.strip():
            raise ConfigError("llm.model is empty; name the model that the server offers")
        object.__setattr__(self, "base_url", self.base_url.rstrip("/"))
        key = (self.api_key or "").strip()
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(
                f"the API key in the environment variable {self.api_key_env} holds characters that no key has; "
                "copy it again"
            )
        object.__setattr__(self, "api_key", key or None)


@dataclass(frozen=True)
class Sampling:
    """Everything but the prompt that decides an answer; part of the cache key."""

    temperature: float = 0.0
    max_answer_tokens: int = 64
    logprobs: bool = True
    """Ask for log-probabilities; a server that has none is asked without."""
    max_text_characters: int = 24_000
    """Longer texts are cut in the middle, and the annotation says so."""


@dataclass(frozen=True)
class Limits:
    """How hard the server may be pressed."""

    concurrency: int = 16
    timeout_s: float = 60.0
    """For one try, from sending to the last byte."""
    max_tries: int = 5
    max_wait_s: float = 120.0
    """Longest single wait; a server that asks for more gives up the request."""
    requests_per_minute: float | None = None
    """None learns it from the server's headers; without such headers there is no limit."""
    tokens_per_minute: float | None = None
    """Tokens in and out; None as above."""
    hedge_after_s: float | None = None
    """Send a call a second time when its answer takes longer; both may be charged. None never does."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value is not None and not value > 0:
                raise ConfigError(f"llm.{name} is {value}; it must be above 0")


@dataclass(frozen=True)
class Pricing:
    """What a call costs and how much may be spent over the whole project."""

    price: Price | None = None
    """None takes the list price, or 0 on a local server."""
    cap_nanousd: int | None = None
    """None is no cap."""

    def known(self, endpoint: Endpoint) -> Price | None:
        """Return the price a token; None when nobody knows it."""
        return self.price or price_of(endpoint.model, endpoint.base_url)

    def resolve(self, endpoint: Endpoint) -> Price:
        """Return the price a token.

        Raises
        ------
        ConfigError
            If there is a cap and nobody knows the price.
        """
        price = self.known(endpoint)
        if price is None and self.cap_nanousd is not None:
            raise ConfigError(
                f"the price of model {endpoint.model!r} at {endpoint.base_url} is not known, so the cap "
                f"of ${self.cap_nanousd / 1e9:g} cannot be kept; set llm.price in project.yaml "
                "(input_usd_per_million, output_usd_per_million; for a further model `price` in its own entry under "
                "llm.panel or llm.cascade), or budget.llm_usd: null for no cap"
            )
        return price or Price(0.0, 0.0)


@dataclass(frozen=True)
class Waiting:
    """Time and chance, replaceable in tests."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random
    """Uniform in [0, 1)."""
