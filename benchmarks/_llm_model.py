"""What the loopback LLM answers: a code read off the prompt, counted in tokens by the length of the texts.

Everything follows from the request and a seed, so that a benchmark can tell each price to the nano-dollar.
"""

import functools
import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["FAULTS", "Answer", "Asked", "Faults", "answer", "completion", "label_of", "read"]

FAULTS = ("500", "429", "drop_before", "hang", "drop", "truncate", "off_enum")
"""The first four come before an answer is made, so that nothing is charged; the others after it."""
OFF_ENUM_CODE = "NOT-LISTED"

_CHOICE = re.compile(r'^([A-Z0-9]+) = ("(?:[^"\\]|\\.)*")', re.MULTILINE)
_FENCE = re.compile(r"<text ([0-9a-f]+)>\n(.*?)\n</text \1>", re.DOTALL)
_NONE = "none_of_these"
_TOKENS_A_MESSAGE = 4
_BYTES_A_TOKEN = 4
_DEFAULT_MAX_TOKENS = 64
_SURE = 0.9
"""Probability of the answered code in the log-probabilities."""


@dataclass(frozen=True)
class Asked:
    """A chat request: its body, the SHA-256 of its messages' JSON, and the tokens that it costs to read."""

    body: Mapping[str, Any]
    messages_hash: str
    n_tokens_in: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What was generated, and how many tokens it took."""

    content: str
    code: str
    n_tokens_out: int


@dataclass(frozen=True)
class Faults:
    """Shares of requests that go wrong, drawn from the seed, the messages and how often they came before."""

    shares: Mapping[str, float]
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.shares) - set(FAULTS))
        if unknown or sum(self.shares.values()) > 1.0:
            raise ValueError(f"faults are {dict(self.shares)}; shares of {', '.join(FAULTS)}, at most 1 in sum")

    def draw(self, messages_hash: str, n_before: int) -> str:
        """Return the fault of a request; an empty string is none."""
        if not self.shares:
            return ""
        digest = hashlib.sha256(f"{self.seed}:{messages_hash}:{n_before}".encode()).digest()
        left = int.from_bytes(digest[:8], "big") / 2.0**64
        for fault, share in self.shares.items():
            if left < share:
                return fault
            left -= share
        return ""


def label_of(text: str, names: Iterable[str]) -> str:
    """Return the label that every answer about `text` means: one of `names`, whatever their order."""
    real = sorted(name for name in names if name != _NONE)
    number = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4], "big")
    return real[number % len(real)]


def read(raw: bytes, *, bytes_a_token: int = _BYTES_A_TOKEN) -> Asked:
    """Read a request body.

    Raises
    ------
    ValueError
        If it is no JSON object with messages.
    """
    body = json.loads(raw)
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise ValueError("the body needs a non-empty list of messages")
    n_bytes = sum(len(str(message.get("content", "")).encode()) for message in messages)
    n_tokens_in = math.ceil(n_bytes / bytes_a_token) + _TOKENS_A_MESSAGE * len(messages)
    return Asked(body, hashlib.sha256(json.dumps(messages).encode()).hexdigest(), n_tokens_in)


def answer(asked: Asked, *, is_off_enum: bool = False, is_longest: bool = False) -> Answer:
    """Choose a code by the text alone, so that all prompts about one text mean the same label.

    Parameters
    ----------
    is_off_enum : bool
        Answer valid JSON with a code that is not on the list.
    is_longest : bool
        Count as many tokens as the request allows, as a model does that thinks before it speaks.
    """
    properties = _properties(asked.body)
    code = OFF_ENUM_CODE if is_off_enum else _choose(asked.body["messages"], properties)
    fields = {name: _value(schema, code) for name, schema in properties.items()} or {"code": code}
    content = json.dumps(fields)
    allowed = asked.body.get("max_tokens") or asked.body.get("max_completion_tokens") or _DEFAULT_MAX_TOKENS
    n_tokens_out = int(allowed) if is_longest else min(int(allowed), math.ceil(len(content) / _BYTES_A_TOKEN))
    return Answer(content, code, n_tokens_out)


def completion(asked: Asked, given: Answer) -> bytes:
    """Return the JSON of a chat completion; log-probabilities where they are asked for."""
    n_in, n_out = asked.n_tokens_in, given.n_tokens_out
    told = {
        "id": f"chatcmpl-{asked.messages_hash[:24]}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": asked.body.get("model", ""),
        "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out},
    }
    codes: tuple[str, ...] | None = None
    if asked.body.get("logprobs"):
        shown = min(int(asked.body.get("top_logprobs") or 0), 20)
        codes = tuple(_listed(_system(asked.body["messages"])).values())[:shown]
    return f'{json.dumps(told)[:-1]}, "choices": [{_choice(given.content, given.code, codes)}]}}'.encode()


@functools.lru_cache(maxsize=4096)
def _choice(content: str, code: str, codes: tuple[str, ...] | None) -> str:
    """Return the JSON of one choice: there are few different ones, and the log-probabilities make them long."""
    choice: dict[str, Any] = {
        "index": 0,
        "message": {"role": "assistant", "content": content, "refusal": None},
        "finish_reason": "stop",
    }
    if codes is not None:
        choice["logprobs"] = {"content": _logprobs(content, code, codes)}
    return json.dumps(choice)


def _properties(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields that a JSON schema asks for; none without a schema."""
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
    return schema.get("properties") or {}


def _value(schema: Mapping[str, Any], code: str) -> Any:
    allowed = schema.get("enum")
    if allowed:
        return code if code in allowed or code == OFF_ENUM_CODE else allowed[0]
    kind = schema.get("type")
    return {"number": 0.5, "integer": 1, "boolean": True}.get(kind, "it says so") if isinstance(kind, str) else None


def _system(messages: Sequence[Mapping[str, Any]]) -> str:
    return str(messages[0].get("content", ""))


@functools.lru_cache(maxsize=256)
def _listed(system: str) -> dict[str, str]:
    """Return label name -> code, as a prompt lists them."""
    return {json.loads(name): code for code, name in _CHOICE.findall(system)}


def _choose(messages: Sequence[Mapping[str, Any]], properties: Mapping[str, Any]) -> str:
    enums = tuple(tuple(schema["enum"]) for schema in properties.values() if schema.get("enum"))
    names = _codes_in(_system(messages), enums)
    return names[label_of(_text(messages), names)]


@functools.lru_cache(maxsize=256)
def _codes_in(system: str, enums: tuple[tuple[str, ...], ...]) -> dict[str, str]:
    """Return label name -> code for what may be answered; a question with an enum of its own has codes alone."""
    listed = _listed(system)
    names = {name: code for name, code in listed.items() if not enums or any(code in enum for enum in enums)}
    if any(name != _NONE for name in names):
        return dict(sorted(names.items()))
    return {code: code for code in sorted(enums[0] if enums else ("A",))}


def _text(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text in question: the last one between fences."""
    for message in reversed(messages):
        fenced = _FENCE.findall(str(message.get("content", "")))
        if fenced:
            return str(fenced[-1][1])
    return str(messages[-1].get("content", ""))


def _logprobs(content: str, code: str, codes: tuple[str, ...]) -> list[dict[str, Any]]:
    before, _, after = content.partition(json.dumps(code)[1:-1])
    others = [other for other in codes if other != code]
    rest = math.log((1.0 - _SURE) / max(len(others), 1))
    top = [{"token": code, "logprob": math.log(_SURE)}, *({"token": other, "logprob": rest} for other in others)]
    tokens: list[dict[str, Any]] = [{"token": code, "logprob": math.log(_SURE), "top_logprobs": top}]
    if before:
        tokens.insert(0, {"token": before, "logprob": 0.0, "top_logprobs": []})
    if after:
        tokens.append({"token": after, "logprob": 0.0, "top_logprobs": []})
    return tokens
