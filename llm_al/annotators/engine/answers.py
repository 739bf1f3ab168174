"""What a server sent back, taken out of its envelope. Never raises."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_al.annotators.engine.requests import Request

__all__ = ["Answer", "Envelope", "is_json_object", "mark_price", "open_envelope", "strict_json"]

_FACTOR_KEY = "llm_al_price_factor"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The parts of a chat completion that matter; absent ones are empty or None.

    Parameters
    ----------
    content : str
        What the model wrote: the message, or the arguments of its tool call.
    refusal : str
        Why it would not answer.
    is_cut_off : bool
        Whether the answer hit the token limit.
    logprobs : object
        Raw `choices[0].logprobs.content`.
    problem : str
        Why there is no completion at all.
    """

    content: str = ""
    refusal: str = ""
    is_cut_off: bool = False
    logprobs: object = None
    n_tokens_in: int | None = None
    n_tokens_out: int | None = None
    n_tokens_cached: int = 0
    """Of those in, found in the provider's prompt cache."""
    price_factor: float = 1.0
    """Written into stored answers of batches by `mark_price`; means nothing in a fresh one."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A paid answer. Whether it makes sense is for the asker to judge."""

    request: Request
    envelope: Envelope
    cost_nanousd: int
    duration_s: float | None
    """None when it came from the cache."""

    @property
    def n_tokens(self) -> tuple[int, int]:
        """Tokens in and out; 0 where the server did not say."""
        return self.envelope.n_tokens_in or 0, self.envelope.n_tokens_out or 0


def _no_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is given twice")
    return found


def strict_json(content: str | bytes) -> Any:
    """Parse JSON in which no key is given twice.

    Raises
    ------
    ValueError
        Whatever is wrong with it.
    """
    try:
        return json.loads(content, object_pairs_hook=_no_repeated_keys)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def is_json_object(content: str) -> bool:
    """Return whether a text is one JSON object and nothing else."""
    try:
        return isinstance(strict_json(content), dict)
    except ValueError:
        return False


def _get(value: object, *path: str | int) -> Any:
    """Follow keys and positions into foreign JSON; None as soon as one is absent."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and len(value) > step:
            value = value[step]
        else:
            return None
    return value


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31
    return int(value) if is_count and isinstance(value, int) else None


def _factor(value: object) -> float:
    return value if isinstance(value, float) and 0.0 < value < 1.0 else 1.0


def mark_price(body: Mapping[str, Any], factor: float) -> str:
    """Return a response as it is stored, with what it cost beside the list price."""
    return json.dumps({**body, _FACTOR_KEY: factor} if factor < 1.0 else body)


def _content(message: object) -> str:
    calls = _get(message, "tool_calls")
    if isinstance(calls, list) and len(calls) == 1:
        arguments = _get(calls, 0, "function", "arguments")
        # Some servers send the arguments parsed.
        return arguments if isinstance(arguments, str) else json.dumps(arguments)
    content = _get(message, "content")
    return content if isinstance(content, str) else ""


def _n_tokens_out(data: object) -> int | None:
    """Return the tokens out; some servers count a model's reasoning in the total alone, and charge for it."""
    n_out = _count(_get(data, "usage", "completion_tokens"))
    n_in, total = _count(_get(data, "usage", "prompt_tokens")), _count(_get(data, "usage", "total_tokens"))
    return n_out if n_in is None or n_out is None or total is None else max(n_out, total - n_in)


def open_envelope(body: str | bytes) -> Envelope:
    """Read a chat completion as it came from the server or the cache; anything else becomes a `problem`."""
    try:
        data = strict_json(body)
    except ValueError:
        return Envelope(problem="the response is not JSON")
    message, refusal = _get(data, "choices", 0, "message"), _get(data, "choices", 0, "message", "refusal")
    return Envelope(
        content=_content(message),
        refusal=refusal if isinstance(refusal, str) else "",
        is_cut_off=_get(data, "choices", 0, "finish_reason") == "length",
        logprobs=_get(data, "choices", 0, "logprobs", "content"),
        n_tokens_in=_count(_get(data, "usage", "prompt_tokens")),
        n_tokens_out=_n_tokens_out(data),
        n_tokens_cached=_count(_get(data, "usage", "prompt_tokens_details", "cached_tokens")) or 0,
        price_factor=_factor(_get(data, _FACTOR_KEY)),
        problem="" if isinstance(message, dict) else "the response holds no message",
    )
