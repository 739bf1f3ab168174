"""Requests on the wire: one OpenAI-compatible server, whatever subset of the protocol it speaks."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import httpx2
import openai

from llm_al.annotators.chat.limits import BadRequestError, OutcomeUnknownError, Retrier, translate
from llm_al.annotators.chat.prices import is_local
from llm_al.annotators.chat.prompts import Message
from llm_al.annotators.chat.settings import Endpoint, Limits, Sampling
from llm_al.errors import ProviderError, RequestError

__all__ = ["Client", "Dialect", "Session", "answer_schema", "weaker"]

Answers = Literal["json_schema", "json_object", "plain"]
_N_TOP_LOGPROBS = 20
"""Most that the protocol allows."""


@dataclass(frozen=True)
class Dialect:
    """What the server has not refused yet."""

    answers: Answers = "json_schema"
    has_logprobs: bool = True
    has_temperature: bool = True
    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"


@dataclass
class Session:
    """What a run learns: the server's dialect, and why the last call of `annotate` ended early."""

    dialect: Dialect = field(default_factory=Dialect)
    stop_reason: str = ""


def weaker(dialect: Dialect, complaint: str) -> Dialect | None:
    """Return a dialect without what the complaint names; None if it names nothing that can be left out."""
    said = complaint.casefold()
    if dialect.has_logprobs and "logprobs" in said:
        return replace(dialect, has_logprobs=False)
    if dialect.token_limit == "max_tokens" and "max_completion_tokens" in said:
        return replace(dialect, token_limit="max_completion_tokens")
    if dialect.has_temperature and "temperature" in said:
        return replace(dialect, has_temperature=False)
    names_format = any(word in said for word in ("response_format", "json_schema", "json_object", "json schema"))
    if names_format and dialect.answers == "json_schema":
        return replace(dialect, answers="json_object")
    if names_format and dialect.answers == "json_object":
        return replace(dialect, answers="plain")
    return None


def answer_schema(codes: Sequence[str]) -> dict[str, Any]:
    """Return the JSON schema that allows exactly one of the codes."""
    schema = {
        "type": "object",
        "properties": {"code": {"type": "string", "enum": list(codes)}},
        "required": ["code"],
        "additionalProperties": False,
    }
    return {"type": "json_schema", "json_schema": {"name": "label", "strict": True, "schema": schema}}


def _body(
    model: str, messages: Sequence[Message], codes: Sequence[str], sampling: Sampling, dialect: Dialect
) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "messages": list(messages), dialect.token_limit: sampling.max_answer_tokens}
    if dialect.has_temperature:
        body["temperature"] = sampling.temperature
    if sampling.logprobs and dialect.has_logprobs:
        body |= {"logprobs": True, "top_logprobs": min(_N_TOP_LOGPROBS, max(5, len(codes)))}
    if dialect.answers == "json_schema":
        body["response_format"] = answer_schema(codes)
    elif dialect.answers == "json_object":
        body["response_format"] = {"type": "json_object"}
    return body


class Client:
    """Sends requests with our own retries; open only as long as one run."""

    def __init__(
        self,
        endpoint: Endpoint,
        sampling: Sampling,
        *,
        limits: Limits,
        retrier: Retrier,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._sampling = sampling
        self._limits = limits
        self._retrier = retrier
        http = openai.DefaultAsyncHttpxClient(
            transport=transport,
            # A proxy from the environment cannot reach this machine's own ports.
            trust_env=not is_local(endpoint.base_url),
            limits=httpx2.Limits(max_connections=limits.concurrency, max_keepalive_connections=limits.concurrency),
        )
        # Without an explicit key the library would send OPENAI_API_KEY to any server.
        self._openai = openai.AsyncOpenAI(
            api_key=endpoint.api_key or "none",
            base_url=endpoint.base_url,
            max_retries=0,
            timeout=limits.timeout_s,
            http_client=http,
        )

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._openai.close()

    async def complete(self, messages: Sequence[Message], codes: Sequence[str], session: Session) -> str:
        """Return the body of a chat completion, as JSON text.

        A 400 or 422 that names the schema, logprobs, temperature or token limit is answered by asking
        without it, remembered in `session`; such refusals are not counted as tries.
        """
        while True:
            dialect = session.dialect
            body = _body(self._endpoint.model, messages, codes, self._sampling, dialect)
            try:
                return await self._retrier.call(partial(self._send, "post", "/chat/completions", body))
            except BadRequestError as exc:
                # Another worker may have learnt the same in the meantime.
                if session.dialect == dialect:
                    learnt = weaker(dialect, exc.complaint)
                    if learnt is None:
                        raise
                    session.dialect = learnt

    async def check(self) -> None:
        """Ask for the list of models: free, and it shows whether the server is there and takes the key.

        A server without such a list counts as there.
        """
        try:
            await self._retrier.call(lambda: self._send("get", "/models", None))
        except RequestError:
            return

    async def _send(self, method: Literal["get", "post"], path: str, body: Mapping[str, Any] | None) -> str:
        error: ProviderError | None = None
        try:
            async with asyncio.timeout(self._limits.timeout_s):
                if method == "get":
                    response = await self._openai.get(path, cast_to=httpx2.Response)
                else:
                    response = await self._openai.post(path, cast_to=httpx2.Response, body=body)
            text = response.text
        except (openai.APIError, TimeoutError) as exc:
            error = translate(exc, self._endpoint, self._limits)
        if error is not None:
            # Outside of the handler: the library's error, which may echo the key, is not chained.
            raise error
        if not _is_json(text):
            raise OutcomeUnknownError(
                f"{self._endpoint.base_url} answered with something that is not JSON; run again later"
            )
        return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
