"""What a model answered: a label of the scheme, or the reason why there is none. Never raises."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_al.annotators.chat.logprobs import CodeMass, code_mass
from llm_al.types import NONE_OF_THESE

__all__ = ["Completion", "Reply", "Usage", "parse_answer", "parse_completion"]

_FENCED = re.compile(r"\A\s*```(?:json)?\s*\n(.*?)\n\s*```\s*\Z", re.DOTALL)
_SHOWN = 80


@dataclass(frozen=True)
class Reply:
    """One parsed answer; exactly one of `label` and `failure` says something."""

    label: str | None
    code: str | None = None
    failure: str = ""


@dataclass(frozen=True)
class Usage:
    """Tokens that the server counted; None where it did not say."""

    n_tokens_in: int | None = None
    n_tokens_out: int | None = None


@dataclass(frozen=True)
class Completion:
    """A whole response: the answer, how sure the model was, and what it used.

    Parameters
    ----------
    reply : Reply
    content : str
        The answer as the model wrote it, for a second question.
    usage : Usage
    confidence : float or None
        Probability of the answered code among all codes; None when the server gave no logprobs.
    proba : dict or None
        Label name -> probability among the real labels, "none of these" left out; sums to 1.
    invalid_mass : float or None
        Probability that lay outside the codes.
    """

    reply: Reply
    content: str = ""
    usage: Usage = Usage()
    confidence: float | None = None
    proba: Mapping[str, float] | None = None
    invalid_mass: float | None = None


def _no_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key is given twice")
    return dict(pairs)


def _load(content: str | bytes) -> Any:
    """Parse JSON; raises ValueError whatever is wrong with it."""
    try:
        return json.loads(content, object_pairs_hook=_no_repeated_keys)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _shorten(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."


def parse_answer(content: object, names_by_code: Mapping[str, str]) -> Reply:
    """Read the answer text: a JSON object with a code, else an abstention with its reason.

    The code is matched exactly, then without case, then as a label name without case; nothing fuzzier.
    One Markdown fence around the object is allowed.

    Examples
    --------
    >>> parse_answer('{"code": "B"}', {"A": "spam", "B": "ham"}).label
    'ham'
    >>> parse_answer('{"code": "Z"}', {"A": "spam", "B": "ham"}).failure
    "the answer 'Z' is not one of: A, B"
    """
    if isinstance(content, bytes):
        content = content.decode("utf-8", "replace")
    if not isinstance(content, str) or not content.strip():
        return Reply(None, failure="the answer is empty")
    fenced = _FENCED.match(content)
    try:
        answer = _load(fenced[1] if fenced else content)
    except ValueError:
        return Reply(None, failure=f"the answer is not a JSON object: {_shorten(content)}")
    code = answer.get("code") if isinstance(answer, dict) else None
    if not isinstance(code, str):
        return Reply(None, failure=f'the answer has no "code" string: {_shorten(content)}')
    return _match(code, names_by_code)


def _match(code: str, names_by_code: Mapping[str, str]) -> Reply:
    if code in names_by_code:
        return Reply(names_by_code[code], code)
    wanted = code.strip().casefold()
    for known, name in names_by_code.items():
        if known.casefold() == wanted:
            return Reply(name, known)
    for name in names_by_code.values():
        if name.strip().casefold() == wanted:
            return Reply(name)
    return Reply(None, failure=f"the answer {_shorten(code)} is not one of: {', '.join(names_by_code)}")


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


def _reply(body: object, names_by_code: Mapping[str, str]) -> Reply:
    refusal = _get(body, "choices", 0, "message", "refusal")
    if isinstance(refusal, str) and refusal:
        return Reply(None, failure=f"the model refused: {_shorten(refusal)}")
    reply = parse_answer(_get(body, "choices", 0, "message", "content"), names_by_code)
    if reply.failure and _get(body, "choices", 0, "finish_reason") == "length":
        return Reply(None, failure=f"the answer was cut off; raise max_answer_tokens: {reply.failure}")
    return reply


def parse_completion(body: str | bytes, names_by_code: Mapping[str, str]) -> Completion:
    """Read a chat completion as it came from the server or the cache.

    Parameters
    ----------
    body : str or bytes
        Anything at all; what is not a completion becomes a failure.
    names_by_code : mapping of str to str
        Code -> label name, "none of these" included.
    """
    try:
        data = _load(body)
    except ValueError:
        return Completion(Reply(None, failure="the response is not JSON"))
    reply = _reply(data, names_by_code)
    content = _get(data, "choices", 0, "message", "content")
    usage = Usage(_count(_get(data, "usage", "prompt_tokens")), _count(_get(data, "usage", "completion_tokens")))
    completion = Completion(reply, content if isinstance(content, str) else "", usage)
    if reply.code is None:
        return completion
    mass = code_mass(_get(data, "choices", 0, "logprobs", "content"), list(names_by_code))
    return completion if mass is None else _with_probabilities(completion, mass, names_by_code)


def _with_probabilities(completion: Completion, mass: CodeMass, names_by_code: Mapping[str, str]) -> Completion:
    code = completion.reply.code or ""
    answered = mass.by_code[code]
    if not mass.has_alternatives or answered <= 0.0:
        confidence = answered if answered > 0.0 else None
        return Completion(completion.reply, completion.content, completion.usage, confidence)
    by_name = {names_by_code[c]: m for c, m in mass.by_code.items() if names_by_code[c] != NONE_OF_THESE}
    total = sum(by_name.values())
    proba = {name: m / total for name, m in by_name.items()} if total > 0.0 else None
    return Completion(
        reply=completion.reply,
        content=completion.content,
        usage=completion.usage,
        confidence=min(answered / sum(mass.by_code.values()), 1.0),
        proba=proba,
        invalid_mass=mass.invalid,
    )
