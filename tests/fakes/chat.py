"""A model that reads its prompt: it finds the labels and the fenced text as a real one would.

`FakeChat` maps a request body to a response, so it serves behind a loopback server, a respx route or an
`httpx2.MockTransport` alike.
"""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx2
import respx

NONE_OF_THESE = "none_of_these"
_CHOICE = re.compile(r'^([A-Z0-9]+) = ("(?:[^"\\]|\\.)*")(?:: (.*))?$', re.MULTILINE)
_FENCE = re.compile(r"<(text|example) ([0-9a-f]+)>\n(.*?)\n</\1 \2>(?:\n(?:Label|Group): ([A-Z0-9]+))?", re.DOTALL)
_PROPOSED = re.compile(r'^Proposed label: [A-Z0-9]+ = ("(?:[^"\\]|\\.)*")$', re.MULTILINE)


@dataclass(frozen=True)
class Seen:
    """What a model sees: the fenced text, everything around it, and the labels with their codes."""

    text: str
    outside: str
    codes: Mapping[str, str]
    """Label name -> code."""
    descriptions: Mapping[str, str]
    n_questions: int
    """2 when it is asked again."""
    demonstrations: tuple[tuple[str, str], ...] = ()
    """Text and code."""
    proposed: str | None = None
    """Label that is to be verified."""
    pair: tuple[str, ...] = ()
    """Labels to pick from."""
    keys: tuple[str, ...] = ("code",)
    """What the answer has to hold, in this order."""


def _keys(system: str) -> tuple[str, ...]:
    if '{"answer": "yes"}' in system:
        return ("answer",)
    return tuple(
        key
        for key, form in (("rationale", '{"rationale": '), ("code", '"code": '), ("sureness", '"sureness": "WORDS"'))
        if form in system
    )


def read_prompt(messages: Sequence[Mapping[str, str]]) -> Seen:
    """Take a prompt apart the way its instructions say."""
    choices = [match.groups() for match in _CHOICE.finditer(messages[0]["content"])]
    question = messages[1]["content"]
    fenced = list(_FENCE.finditer(question))
    texts = [match for match in fenced if match[1] == "text"]
    if len(texts) != 1:
        raise ValueError(f"the prompt holds {len(texts)} fenced texts")
    around = _FENCE.sub("", question)
    others = [message["content"] for position, message in enumerate(messages) if position != 1]
    proposed = _PROPOSED.search(around)
    return Seen(
        text=texts[0][3],
        outside="\n".join([*others, around]),
        codes={json.loads(name): code for code, name, _ in choices},
        descriptions={json.loads(name): description or "" for _, name, description in choices},
        n_questions=sum(message["role"] == "user" for message in messages),
        demonstrations=tuple((match[3], match[4]) for match in fenced if match[1] == "example"),
        proposed=json.loads(proposed[1]) if proposed else None,
        pair=tuple(json.loads(match[2]) for match in _CHOICE.finditer(around)),
        keys=_keys(messages[0]["content"]),
    )


def by_words(seen: Seen) -> str:
    """Answer with the label that shares most words with the text; the first one if none does."""
    words = set(re.findall(r"[a-z]+", seen.text.casefold()))

    def overlap(name: str) -> int:
        return len(words & set(re.findall(r"[a-z]+", f"{name} {seen.descriptions[name]}".casefold())))

    real = [name for name in seen.pair or seen.codes if name != NONE_OF_THESE]
    return max(sorted(real), key=overlap)


def in_form(seen: Seen, code: str) -> str:
    """Answer with one JSON object that holds what the prompt asks for."""
    said = {"rationale": "It says so.", "code": code, "answer": code, "sureness": "likely"}
    return json.dumps({key: said[key] for key in seen.keys})


def by_text(labels: Mapping[str, str], default: str | None = None) -> Callable[[Seen], str]:
    """Answer from a table text -> label."""
    return lambda seen: labels[seen.text] if default is None else labels.get(seen.text, default)


@dataclass
class FakeChat:
    """Parameters: `answer` gives a label name, or any other string, which is answered as it is.

    `confidence` is the probability of the answered code; None leaves logprobs out. `refuses` names
    request fields that are answered with 400. `content` replaces the whole answer text.
    """

    answer: Callable[[Seen], str] = by_words
    confidence: float | None = 0.9
    refuses: frozenset[str] = frozenset()
    content: Callable[[Seen, str], str] = in_form
    counts_tokens: bool = True
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def respond(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of the response."""
        self.bodies.append(body)
        format_name = (body.get("response_format") or {}).get("type")
        for refused in self.refuses:
            if refused in body or refused == format_name:
                return 400, error(f"Unsupported parameter: {refused!r} is not supported with this model.")
        seen = read_prompt(body["messages"])
        answered = self.answer(seen)
        code = seen.codes.get(answered, answered)
        if seen.proposed is not None and answered not in ("yes", "no"):
            code = "yes" if answered == seen.proposed else "no"
        return 200, self._completion(body, seen, code)

    def _completion(self, body: dict[str, Any], seen: Seen, code: str) -> dict[str, Any]:
        content = self.content(seen, code)
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if "tools" in body:
            function = {"name": body["tools"][0]["function"]["name"], "arguments": content}
            call = {"id": "call-1", "type": "function", "function": function}
            message = {"role": "assistant", "content": None, "tool_calls": [call]}
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop", "message": message}
        if body.get("logprobs") and self.confidence is not None:
            codes = ["yes", "no"] if seen.proposed is not None else list(seen.codes.values())
            choice["logprobs"] = {"content": self._tokens(content, codes, code)}
        completion = {"id": "1", "object": "chat.completion", "model": body["model"], "choices": [choice]}
        if self.counts_tokens:
            n_in = sum(len(message["content"]) for message in body["messages"]) // 4
            completion["usage"] = {"prompt_tokens": n_in, "completion_tokens": 6, "total_tokens": n_in + 6}
        return completion

    def _tokens(self, content: str, codes: Sequence[str], code: str) -> list[dict[str, Any]]:
        confidence = self.confidence or 0.0
        rest = (1.0 - confidence) / max(len(codes) - 1, 1)
        top = [
            {"token": other, "logprob": math.log(max(confidence if other == code else rest, 1e-12))} for other in codes
        ]
        chosen = {"token": code, "logprob": math.log(max(confidence, 1e-12)), "top_logprobs": top}
        before, spelt, behind = content.partition(f'"{code}"')
        if not spelt:
            return [chosen] if content == code else [_sure(content)]
        return [*map(_sure, re.findall(r"\W+|\w+", f'{before}"')), chosen, _sure(f'"{behind}')]

    def transport(self) -> httpx2.MockTransport:
        """Serve `Chat(transport=...)` directly."""
        return mounted(self.router())

    def router(self) -> respx.MockRouter:
        """Return a respx router with this model at any host."""
        router = respx.MockRouter(assert_all_called=False)
        router.post(path__regex=r".*/chat/completions$").mock(side_effect=self._serve)
        router.get(path__regex=r".*/models$").respond(json={"object": "list", "data": []})
        return router

    def _serve(self, request: httpx.Request) -> httpx.Response:
        status, payload = self.respond(json.loads(request.content))
        return httpx.Response(status, json=payload)


def _sure(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": 0.0, "top_logprobs": []}


def error(message: str, code: str | None = None) -> dict[str, Any]:
    """Return an error body as servers send it."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def mounted(router: respx.MockRouter) -> httpx2.MockTransport:
    """Mount a respx router as a transport: respx speaks httpx, the client speaks httpx2."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        translated = httpx.Request(
            request.method, str(request.url), headers=list(request.headers.multi_items()), content=request.content
        )
        try:
            answered = await router.async_handler(translated)
        except httpx.ConnectError as exc:
            raise httpx2.ConnectError(str(exc), request=request) from exc
        except httpx.TimeoutException as exc:
            raise httpx2.ReadTimeout(str(exc), request=request) from exc
        return httpx2.Response(
            answered.status_code, headers=list(answered.headers.multi_items()), content=answered.content
        )

    return httpx2.MockTransport(handle)
