"""How many tokens a request takes, without paying for it: from paid calls, the server's own counter, or characters."""

import asyncio
import importlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import numpy as np
from numpy.typing import NDArray

from llm_al.annotators.engine.prices import is_local
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.annotators.engine.wire import BrokenOffError, NotSentError, Wire, open_wire
from llm_al.annotators.engine.workers import run_blocking
from llm_al.money import PastCall

__all__ = ["TokenRule", "by_characters", "by_history", "by_server", "by_tiktoken", "count_tokens"]

N_COUNTED = 64
"""Requests of a prompt that are counted; the others follow from their size."""
MIN_HISTORY = 20
"""Fewer paid calls say too little."""
_TIMEOUT_S = 10.0
_TOKENS_A_MESSAGE = 8
"""Most that a chat template adds around a message, where the counter does not see the template."""
_FALLBACK_ENCODING = "o200k_base"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TokenRule:
    """Tokens from bytes by least squares, with what the counter itself may be wrong by.

    Parameters
    ----------
    name : str
        What was counted, for people.
    n_bytes, n_tokens : tuple of float
        Sizes and counts of the requests that were counted; none for the rule by characters.
    slack_low, slack_high : float
        Factors on the counts.
    extra_high : float
        Tokens a request that the counter may have missed.
    """

    name: str
    n_bytes: tuple[float, ...] = ()
    n_tokens: tuple[float, ...] = ()
    slack_low: float = 1.0
    slack_high: float = 1.0
    extra_high: float = 0.0

    @property
    def spread(self) -> float:
        """Standard deviation of a count around its line."""
        if len(self.n_bytes) < 3:
            return 0.0
        return float(np.std(np.array(self.n_tokens) - _line(np.array([self.n_bytes]), np.array([self.n_tokens]))[2][0]))

    def lines(self, n_draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Return intercepts and slopes of bootstrap samples, shape (n_draws,) each."""
        sizes, counts = np.array(self.n_bytes), np.array(self.n_tokens)
        rows = rng.integers(0, len(sizes), (n_draws, len(sizes)))
        intercepts, slopes, _ = _line(sizes[rows], counts[rows])
        return intercepts, slopes


def _line(sizes: Floats, counts: Floats) -> tuple[Floats, Floats, Floats]:
    """Fit counts by a line in sizes, row by row; a plain ratio where sizes do not vary or the slope is senseless."""
    mean_x, mean_y = sizes.mean(axis=1), counts.mean(axis=1)
    centred = sizes - mean_x[:, None]
    variance = (centred**2).mean(axis=1)
    slope = (centred * counts).mean(axis=1) / np.maximum(variance, 1e-9)
    intercept = mean_y - slope * mean_x
    ratio = mean_y / np.maximum(mean_x, 1.0)
    is_senseless = (variance < 1.0) | (slope <= 0.0) | (slope > 1.0)
    slope, intercept = np.where(is_senseless, ratio, slope), np.where(is_senseless, 0.0, intercept)
    return intercept, slope, intercept[:, None] + slope[:, None] * sizes


def count_tokens(request: Request) -> tuple[float, float, float]:
    """Approximate the input tokens of a request from its characters: low, middle, high.

    ASCII text takes about four characters a token (three to five); other scripts take about one token
    a character (0.3 to 1.5).
    """
    contents = [message["content"] for message in request.messages]
    n_ascii = sum(len(content.encode("ascii", "ignore")) for content in contents)
    n_other = sum(map(len, contents)) - n_ascii
    n_extra = 4 * len(contents)
    low, middle, high = n_ascii / 5 + 0.3 * n_other, n_ascii / 4 + 0.8 * n_other, n_ascii / 3 + 1.5 * n_other
    return low + n_extra, middle + n_extra, high + n_extra


def by_characters() -> TokenRule:
    """Return the rule that is always there; see `count_tokens`."""
    return TokenRule("characters (three to five a token)")


def by_history(calls: Sequence[PastCall], n_messages: int) -> TokenRule | None:
    """Return the rule from paid calls of the same prompt and model; None when there are too few."""
    same = [call for call in calls if call.n_messages == n_messages and call.n_tokens_in]
    if len(same) < MIN_HISTORY:
        return None
    sizes, counts = tuple(float(c.n_bytes) for c in same), tuple(float(c.n_tokens_in) for c in same)
    return TokenRule(f"{len(same)} paid calls of the same prompt and model", sizes, counts)


def by_server(
    requests: Sequence[Request],
    endpoint: Endpoint,
    *,
    transport: httpx2.AsyncBaseTransport | None,
    is_wanted: bool | None,
) -> TokenRule | None:
    """Return the rule from the server's own `/tokenize`, which is free; None where there is none.

    Parameters
    ----------
    is_wanted : bool or None
        None asks local servers only.
    """
    if not requests or is_wanted is False or (is_wanted is None and not is_local(endpoint.base_url)):
        return None
    root = replace(endpoint, base_url=endpoint.base_url.removesuffix("/v1"))
    chosen = _spread(requests)
    counted = run_blocking(lambda: _count_all(chosen, root, transport))
    if counted is None:
        return None
    counts, has_template = counted
    return _rule("the server's /tokenize", chosen, counts, has_template=has_template)


def by_tiktoken(requests: Sequence[Request], model: str) -> TokenRule | None:
    """Return the rule from tiktoken, if it is installed and has its encoding on disk; nothing is downloaded."""
    encode = _tiktoken(model) if requests else None
    if encode is None:
        return None
    chosen = _spread(requests)
    counts = [sum(encode(message["content"]) + 4 for message in request.messages) for request in chosen]
    is_theirs = model.rsplit("/", 1)[-1].startswith(("gpt", "o1", "o3", "o4", "chatgpt"))
    rule = _rule("tiktoken", chosen, counts, has_template=False)
    return rule if is_theirs else replace(rule, name="tiktoken, made for other models", slack_low=0.8, slack_high=1.4)


def _rule(name: str, requests: Sequence[Request], counts: Sequence[int], *, has_template: bool) -> TokenRule:
    n_messages = max(len(request.messages) for request in requests)
    sizes = tuple(float(request.n_bytes) for request in requests)
    extra = 0.0 if has_template else float(_TOKENS_A_MESSAGE * n_messages)
    return TokenRule(name, sizes, tuple(map(float, counts)), extra_high=extra)


def _spread(requests: Sequence[Request]) -> list[Request]:
    step = max(len(requests) / N_COUNTED, 1.0)
    return [requests[int(position * step)] for position in range(min(len(requests), N_COUNTED))]


async def _count_all(
    requests: Sequence[Request], root: Endpoint, transport: httpx2.AsyncBaseTransport | None
) -> tuple[list[int], bool] | None:
    """Return the counts and whether they include the chat template; None when the server does not count."""
    wire = open_wire(root, Limits(4, _TIMEOUT_S, 1), transport)
    try:
        for form in (_as_chat, _as_text):
            first = await _count(wire, form(requests[0], root.model))
            if first is None:
                continue
            rest = await asyncio.gather(*(_count(wire, form(request, root.model)) for request in requests[1:]))
            counts = [first, *(count for count in rest if count is not None)]
            return (counts, form is _as_chat) if len(counts) == len(requests) else None
    finally:
        await wire.close()
    return None


def _as_chat(request: Request, model: str) -> dict[str, Any]:
    return {"model": model, "messages": list(request.messages)}


def _as_text(request: Request, _model: str) -> dict[str, Any]:
    return {"content": "\n".join(message["content"] for message in request.messages)}


async def _count(wire: Wire, body: dict[str, Any]) -> int | None:
    try:
        received = await wire.send("POST", "/tokenize", json.dumps(body).encode(), {})
        said = json.loads(received.body) if received.status == 200 else None
    except (NotSentError, BrokenOffError, TimeoutError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    tokens = said.get("tokens")
    count = said.get("count", len(tokens) if isinstance(tokens, list) else 0)
    return count if isinstance(count, int) and count > 0 else None


_no_download = threading.Lock()


def _tiktoken(model: str) -> Callable[[str], int] | None:
    """Return a counter; None unless the package and its encoding are on this machine."""
    try:
        package, loader = importlib.import_module("tiktoken"), importlib.import_module("tiktoken.load")
    except ImportError:
        return None

    def refuse(_url: str) -> bytes:
        raise OSError("not downloaded")

    with _no_download:
        # Its only way to the network; what lies in its cache is read without it.
        read, loader.read_file = loader.read_file, refuse  # type: ignore[attr-defined]
        try:
            encoding = _encoding(package, model)
        except (OSError, ValueError, KeyError):
            return None
        finally:
            loader.read_file = read  # type: ignore[attr-defined]
    return lambda text: len(encoding.encode(text, disallowed_special=()))


def _encoding(package: Any, model: str) -> Any:
    try:
        return package.encoding_for_model(model.rsplit("/", 1)[-1])
    except KeyError:
        return package.get_encoding(_FALLBACK_ENCODING)
