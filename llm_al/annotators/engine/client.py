"""One request to the server and its answer, in whatever dialect the server speaks."""

import asyncio
import json
import time
from dataclasses import dataclass

import httpx2

from llm_al.annotators.engine.answers import Envelope, is_json_object, open_envelope
from llm_al.annotators.engine.dialects import body_of, weaker
from llm_al.annotators.engine.failures import (
    BadRequestError,
    OutcomeUnknownError,
    from_response,
    from_wire,
    unreachable,
    untrusted,
)
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.secrets import redacted
from llm_al.annotators.engine.session import Session
from llm_al.annotators.engine.settings import Endpoint, Limits
from llm_al.annotators.engine.tries import Tries
from llm_al.annotators.engine.wire import BrokenOffError, NotSentError, NotTrustedError, Received, open_wire

__all__ = ["Client", "Delivered"]

_UNCLEAR_IS_ENOUGH = 3
"""So many answers that are cut off or refused, and the dialect is taken as it is."""
_BYTES_A_TOKEN = 3.5
"""For rate limits, which servers estimate from sizes themselves."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """A response as it came.

    Parameters
    ----------
    n_sent : int
        2 when the call was hedged.
    is_idempotent : bool
        The server says that it knows repeated requests again, so that none is charged twice.
    """

    body: str
    envelope: Envelope
    duration_s: float
    n_sent: int
    is_idempotent: bool


class Client:
    """Sends requests, as many at once as `limits.concurrency`; open only as long as one run."""

    def __init__(
        self,
        endpoint: Endpoint,
        limits: Limits,
        tries: Tries,
        *,
        session: Session,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._limits = limits
        self._tries = tries
        self._session = session
        self._wire = open_wire(endpoint, limits, transport)
        self._places = asyncio.Semaphore(limits.concurrency)
        self._probing = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        await self._wire.close()

    async def complete(self, request: Request) -> Delivered:
        """Send one try.

        A 400 or 422 that names the form of the answer, logprobs, temperature or the token limit is answered
        by asking without it; such refusals cost nothing and are not counted as tries.

        Raises
        ------
        ProviderError
        """
        if not self._session.is_known:
            async with self._probing:
                # What those before learnt holds for those who waited.
                delivered = None if self._knows_dialect() else await self._complete(request)
            if delivered is not None:
                return delivered
        return await self._complete(request)

    async def check(self) -> None:
        """Ask for the list of models: free, and it shows whether the server is there and takes the key.

        A server without such a list counts as there.
        """
        received = await self._send("GET", "/models", None, {})
        if received.status in (401, 403, 408, 409, 425, 429) or received.status >= 500:
            raise from_response(received, self._endpoint)

    def _knows_dialect(self) -> bool:
        return self._session.is_known

    async def _complete(self, request: Request) -> Delivered:
        n_tokens = request.n_bytes / _BYTES_A_TOKEN + request.sampling.max_answer_tokens
        while True:
            dialect = self._session.dialect
            body = json.dumps(body_of(request, self._endpoint.model, dialect)).encode()
            async with self._places:
                self._tries.check_stop()
                sent_s = await self._tries.pacer.acquire(n_tokens)
                started = time.monotonic()
                headers: dict[str, str] = {}
                try:
                    received, n_sent = await self._hedged(body, request.hash)
                    headers = dict(received.headers)
                finally:
                    self._tries.pacer.finish(n_tokens, sent_s, headers)
            if received.status == 200:
                return self._deliver(received, n_sent, time.monotonic() - started)
            error = from_response(received, self._endpoint)
            if not isinstance(error, BadRequestError):
                raise error
            # Another worker may have learnt the same in the meantime.
            if self._session.dialect == dialect:
                learnt = weaker(dialect, error.complaint)
                if learnt is None:
                    raise error
                self._session.dialect = learnt

    def _deliver(self, received: Received, n_sent: int, duration_s: float) -> Delivered:
        body = redacted(received.body.decode("utf-8", "replace"), self._endpoint.api_key)
        envelope = open_envelope(body)
        if envelope.problem:
            raise OutcomeUnknownError(f"{self._endpoint.base_url}: {envelope.problem}; run again later")
        self._judge_form(envelope)
        self._session.note_latency(duration_s)
        return Delivered(body, envelope, duration_s, n_sent, "idempotent-replayed" in received.headers)

    def _judge_form(self, envelope: Envelope) -> None:
        """Note whether the server keeps to the form that it did not refuse; some silently ignore it."""
        session = self._session
        if session.is_known:
            return
        if envelope.refusal or envelope.is_cut_off:
            # Says nothing about the form; but calls must not go one at a time for ever.
            session.n_unclear += 1
            session.is_known = session.n_unclear >= _UNCLEAR_IS_ENOUGH
            return
        stricter = None if is_json_object(envelope.content) else session.dialect.next_form
        session.is_known = stricter is None
        session.dialect = stricter or session.dialect

    async def _hedged(self, body: bytes, key: str) -> tuple[Received, int]:
        """Send once, or a second time beside when the answer takes long; return the first answer and how many went."""

        def send() -> asyncio.Future[Received]:
            return asyncio.ensure_future(self._send("POST", "/chat/completions", body, {"Idempotency-Key": key}))

        if self._limits.hedge_after_s is None:
            return await send(), 1
        first = send()
        done, _ = await asyncio.wait({first}, timeout=self._limits.hedge_after_s)
        if done:
            return first.result(), 1
        second = send()
        try:
            done, waiting = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
            if waiting and not any(map(_is_answer, done)):
                # One that failed does not decide while the other may still answer.
                await asyncio.wait(waiting)
            return _better(first, second).result(), 2
        finally:
            for task in (first, second):
                task.cancel()
            await asyncio.gather(first, second, return_exceptions=True)

    async def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Received:
        try:
            return await self._wire.send(method, path, body, headers)
        except NotTrustedError as exc:
            error: Exception = untrusted(self._endpoint, str(exc))
        except NotSentError:
            error = unreachable(self._endpoint)
        except (BrokenOffError, TimeoutError) as exc:
            error = from_wire(exc, self._endpoint, self._limits)
        # Outside of the handler: a library's error, which may echo the key, is not chained.
        raise error


def _is_answer(call: asyncio.Future[Received]) -> bool:
    return call.done() and call.exception() is None and call.result().status == 200


def _better(first: asyncio.Future[Received], second: asyncio.Future[Received]) -> asyncio.Future[Received]:
    """Return the one of two calls that counts: an answer, else one that may have been charged."""
    calls = (first, second)
    unknown = (call for call in calls if call.done() and isinstance(call.exception(), OutcomeUnknownError))
    return next((call for call in calls if _is_answer(call)), None) or next(unknown, first)
