"""List prices of common models, so that a cap works without further settings.

As of 2025-09-01, in US dollars a million tokens (input, output), without batch or prompt-cache
discounts. Providers change prices: set `llm.price` in project.yaml where it matters.
"""

import ipaddress
import math
from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_al.errors import ConfigError

__all__ = ["BATCH_PRICE_FACTOR", "PRICES_AS_OF", "PRICES_USD_PER_MILLION", "Price", "is_local", "price_of"]

PRICES_AS_OF = "2025-09-01"
BATCH_PRICE_FACTOR = 0.5
"""What a batch costs beside the same calls at once, as of the same day, at the providers of this list."""
PRICES_USD_PER_MILLION: dict[str, tuple[float, float]] = {
    "claude-3-5-haiku": (0.80, 4.00),
    "claude-sonnet-4": (3.00, 15.00),
    "deepseek-chat": (0.56, 1.68),
    "gemini-2.0-flash": (0.10, 0.40),
    "gemini-2.5-flash": (0.30, 2.50),
    "gemini-2.5-flash-lite": (0.10, 0.40),
    "gemini-2.5-pro": (1.25, 10.00),
    "gpt-4.1": (2.00, 8.00),
    "gpt-4.1-mini": (0.40, 1.60),
    "gpt-4.1-nano": (0.10, 0.40),
    "gpt-4o": (2.50, 10.00),
    "gpt-4o-mini": (0.15, 0.60),
    "gpt-5": (1.25, 10.00),
    "gpt-5-mini": (0.25, 2.00),
    "gpt-5-nano": (0.05, 0.40),
    "o3": (2.00, 8.00),
    "o4-mini": (1.10, 4.40),
}
_NANO_PER_MILLIONTH = 1000.0
"""One dollar a million tokens is 1,000 nano-dollars a token."""


@dataclass(frozen=True)
class Price:
    """Nano-dollars a token.

    Parameters
    ----------
    input, output : float
    cached_input : float, optional
        For tokens that the provider found in its prompt cache; not above `input`. None charges them in full.
    """

    input: float
    output: float
    cached_input: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("input", self.input), ("output", self.output), ("cached input", self.cached_input or 0.0)):
            if not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f"{name} price is {value}; a price is at least 0 nano-dollars a token; correct it")
        if self.cached_input is not None and self.cached_input > self.input:
            raise ConfigError(
                f"the cached input price of {self.cached_input:g} nano-dollars a token is above the input price of "
                f"{self.input:g}; a prompt cache never costs more, correct llm.price"
            )

    @classmethod
    def from_usd_per_million(
        cls, input_usd: float, output_usd: float, cached_input_usd: float | None = None
    ) -> "Price":
        """Convert from the unit of price lists.

        Examples
        --------
        >>> Price.from_usd_per_million(0.15, 0.60)
        Price(input=150.0, output=600.0, cached_input=None)
        """
        cached = None if cached_input_usd is None else cached_input_usd * _NANO_PER_MILLIONTH
        return cls(input_usd * _NANO_PER_MILLIONTH, output_usd * _NANO_PER_MILLIONTH, cached)

    def cost_nanousd(self, n_tokens_in: int, n_tokens_out: int, *, n_cached: int = 0, factor: float = 1.0) -> int:
        """Return whole nano-dollars, rounded up.

        Parameters
        ----------
        n_cached : int
            How many of the tokens in came from the provider's prompt cache.
        factor : float
            Of the price, for batches.
        """
        saved = 0.0 if self.cached_input is None else min(n_cached, n_tokens_in) * (self.input - self.cached_input)
        return math.ceil((n_tokens_in * self.input - saved + n_tokens_out * self.output) * factor)


def is_local(base_url: str) -> bool:
    """Return whether the server runs on this machine or in the private network."""
    host = urlsplit(base_url).hostname or ""
    if host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        return True
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return False


def _listed(model: str) -> Price | None:
    """Find a list price; a provider before the slash and a date behind the name do not matter."""
    name = model.rsplit("/", 1)[-1].casefold()
    for known, usd in PRICES_USD_PER_MILLION.items():
        rest = name.removeprefix(known)
        is_dated = rest.startswith("-") and rest[1:].replace("-", "").isdigit()
        if name.startswith(known) and (not rest or rest == "-latest" or is_dated):
            return Price.from_usd_per_million(*usd)
    return None


def price_of(model: str, base_url: str) -> Price | None:
    """Return the list price of a model, 0 for an unlisted model on a local server, else None.

    A listed model on a local address keeps its list price: a proxy may stand there.
    """
    listed = _listed(model)
    return Price(0.0, 0.0) if listed is None and is_local(base_url) else listed
