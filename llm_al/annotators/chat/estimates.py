"""What a run would cost, without a single call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.requests import Request
from llm_al.money import Ledger

__all__ = ["Estimate", "count_tokens", "estimate", "sample"]

N_SAMPLED = 500
"""Examples rendered for an estimate; all of them when there are fewer."""
N_TOKENS_OUT = 8
"""A typical `{"code": "A"}`."""


@dataclass(frozen=True)
class Estimate:
    """Calls, tokens and money of a run, scaled up from a sample of rendered prompts.

    Tokens are approximated from characters (see `count_tokens`). Costs are None when the price is
    unknown. The low end supposes short answers and cheap tokenisation, the high end the longest
    answers allowed; second questions after off-list answers are in neither.
    """

    n_calls: int
    """Calls to pay, cached ones left out."""
    n_cached: int
    n_tokens_in: int
    n_tokens_out: int
    cost_low_nanousd: int | None
    cost_high_nanousd: int | None


def count_tokens(request: Request) -> tuple[float, float, float]:
    """Approximate the input tokens of a request: low, middle, high.

    ASCII text takes about four characters a token (three to five); other scripts take about one token
    a character (0.3 to 1.5). No tokeniser is loaded: each server has its own.
    """
    contents = [message["content"] for message in request.messages]
    n_ascii = sum(len(content.encode("ascii", "ignore")) for content in contents)
    n_other = sum(map(len, contents)) - n_ascii
    n_extra = 4 * len(contents)
    low, middle, high = n_ascii / 5 + 0.3 * n_other, n_ascii / 4 + 0.8 * n_other, n_ascii / 3 + 1.5 * n_other
    return low + n_extra, middle + n_extra, high + n_extra


def sample(n: int) -> Sequence[int]:
    """Return at most `N_SAMPLED` positions, evenly spread over n.

    Examples
    --------
    >>> list(sample(3))
    [0, 1, 2]
    """
    if n <= N_SAMPLED:
        return range(n)
    return [position * n // N_SAMPLED for position in range(N_SAMPLED)]


def estimate(
    requests_of: Callable[[int], Sequence[Request]], n_examples: int, *, ledger: Ledger, price: Price | None
) -> Estimate:
    """Return calls, tokens and money of all requests about all examples.

    Parameters
    ----------
    requests_of : callable
        Returns what is asked about the example at a position; called for a sample of them.
    """
    low = middle = high = 0.0
    n_asked, n_all, max_out, positions = 0, 0, 5, sample(n_examples)
    for position in positions:
        for request in requests_of(position):
            n_all += 1
            if ledger.cached(request.hash) is not None:
                continue
            n_asked += 1
            max_out = max(max_out, request.sampling.max_answer_tokens)
            counts = count_tokens(request)
            low, middle, high = low + counts[0], middle + counts[1], high + counts[2]
    scale = n_examples / len(positions) if positions else 0.0
    n_calls = round(n_asked * scale)
    return Estimate(
        n_calls=n_calls,
        n_cached=round(n_all * scale) - n_calls,
        n_tokens_in=round(middle * scale),
        n_tokens_out=N_TOKENS_OUT * n_calls,
        cost_low_nanousd=price.cost_nanousd(round(low * scale), 5 * n_calls) if price else None,
        cost_high_nanousd=price.cost_nanousd(round(high * scale), max_out * n_calls) if price else None,
    )
