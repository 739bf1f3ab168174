"""What a run would cost, without a single call."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.annotators.chat.requests import Request

__all__ = ["Estimate", "count_tokens", "sample"]

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
