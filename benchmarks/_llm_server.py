"""An OpenAI-compatible server on loopback: fixed latency, rate limits, faults by shares, idempotency keys, and a log.

    python -m benchmarks._llm_server --log calls.jsonl --latency 0.2 --requests-per-minute 3000 --fault 500=0.05

The first line on standard output is the base URL. It speaks `POST /v1/chat/completions`, `GET /v1/models`, and
`GET /stats` (its own CPU seconds). One line of JSON a chat request is in the log before the response leaves.

Limits are token buckets that hold one second's worth (`--burst`): more than that cannot be saved up. Each
answer then tells limit, what is left and when the bucket is full again, in the headers that OpenAI uses.

A key in `Idempotency-Key` whose answer has been generated is answered from memory: no charge, and
`Idempotent-Replayed: true`. `--no-idempotency` ignores the header, as most servers do.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks._llm_model import Answer, Asked, Faults, answer, completion, read
from benchmarks._llm_wire import Connection, Head, Response

__all__ = ["Bucket", "Log", "Model", "Settings", "reset"]


def reset(seconds: float) -> str:
    """Write a duration as OpenAI's headers do.

    Examples
    --------
    >>> reset(0.02), reset(1.0), reset(90.5)
    ('20ms', '1s', '1m30.5s')
    """
    milliseconds = round(seconds * 1000.0)
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds / 1000.0, 60.0)
    return f"{minutes:.0f}m{round(rest, 3):g}s" if minutes else f"{round(rest, 3):g}s"


@dataclass
class Bucket:
    """A token bucket. What is larger than the bucket passes when it is full, and is paid off after."""

    per_minute: float
    burst_s: float = 1.0
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        self._rate = self.per_minute / 60.0
        self.capacity = max(self._rate * self.burst_s, 1.0)
        self._level, self._at = self.capacity, self.clock()

    def wait_s(self, amount: float) -> float:
        """Return how long this amount has to wait; 0 lets it pass."""
        now = self.clock()
        self._level = min(self.capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        return max(min(amount, self.capacity) - self._level, 0.0) / self._rate

    def take(self, amount: float) -> None:
        """Take an amount that has not to wait."""
        self._level -= amount

    def headers(self, what: str) -> dict[str, str]:
        """Tell limit, rest and time to fullness."""
        return {
            f"x-ratelimit-limit-{what}": f"{self.per_minute:.0f}",
            f"x-ratelimit-remaining-{what}": f"{max(int(self._level), 0)}",
            f"x-ratelimit-reset-{what}": reset((self.capacity - self._level) / self._rate),
        }


class Log:
    """Appends one line a request with one system call, so that it outlives any kill of a process."""

    def __init__(self, path: Path | None) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = None if path is None else os.open(path, flags, 0o644)
        self.n_lines = self.n_charged = 0

    def write(self, entry: Mapping[str, Any]) -> None:
        """Append one entry."""
        self.n_lines += 1
        self.n_charged += bool(entry["charged"])
        if self._file is not None:
            os.write(self._file, json.dumps(entry).encode() + b"\n")


@dataclass(frozen=True)
class Settings:
    """How the server behaves; see the options of the command."""

    latency_s: float = 0.0
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst_s: float = 1.0
    faults: Faults = field(default_factory=lambda: Faults({}))
    retry_after_s: float = 1.0
    hang_s: float = 60.0
    is_idempotent: bool = True
    is_longest: bool = False
    bytes_a_token: int = 4


@dataclass(frozen=True)
class Call:
    """A chat request on its way through the server; `connection` says whether its client is still there."""

    asked: Asked
    key: str
    fault: str
    headers: Mapping[str, str]
    connection: Connection


def _error(status: int, message: str, code: str | None = None) -> bytes:
    kind = "requests" if status == 429 else "server_error" if status >= 500 else "invalid_request_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def _retry_after(seconds: float) -> dict[str, str]:
    """Whole seconds for everybody, milliseconds for who knows OpenAI's header."""
    return {"retry-after": f"{-(-seconds // 1):.0f}", "retry-after-ms": f"{-(-seconds * 1000 // 1):.0f}"}


class Model:
    """Everything behind the wire; all of it runs in one event loop."""

    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._tries = Counter[str]()
        self._generated: dict[str, Answer] = {}
        rates = {"requests": settings.requests_per_minute, "tokens": settings.tokens_per_minute}
        self._buckets = {what: Bucket(rate, settings.burst_s) for what, rate in rates.items() if rate is not None}

    def serve(self, head: Head, raw: bytes, connection: Connection) -> None:
        """Answer one request, now or later."""
        if head.method == "POST" and head.path.endswith("/chat/completions"):
            self._chat(head, raw, connection)
        elif head.path.endswith("/models"):
            connection.send(Response(body=b'{"object": "list", "data": [{"id": "loopback", "object": "model"}]}'))
        elif head.path == "/stats":
            counts = {"n_requests": self._log.n_lines, "n_charged": self._log.n_charged}
            connection.send(Response(body=json.dumps({"cpu_s": time.process_time(), **counts}).encode()))
        else:
            connection.send(Response(404, _error(404, f"no such path: {head.path}")))

    def _chat(self, head: Head, raw: bytes, connection: Connection) -> None:
        settings = self._settings
        try:
            asked = read(raw, bytes_a_token=settings.bytes_a_token)
        except ValueError as exc:
            connection.send(Response(400, _error(400, str(exc))))
            return
        n_before = self._tries[asked.messages_hash]
        self._tries[asked.messages_hash] += 1
        wait_s, headers = self._admit(asked)
        fault = settings.faults.draw(asked.messages_hash, n_before) if wait_s == 0.0 else "limit"
        call = Call(asked, head.headers.get("idempotency-key", ""), fault, headers, connection)
        if fault == "limit":
            self._refuse(call, 429, _retry_after(wait_s))
        elif fault == "hang":
            self._record(call, 0)
            connection.hold(settings.hang_s)
        else:
            asyncio.get_running_loop().call_later(settings.latency_s, self._finish, call)

    def _admit(self, asked: Asked) -> tuple[float, dict[str, str]]:
        """Take from the buckets if all of them allow it; return the wait if not, and the headers."""
        n_out = answer(asked, is_longest=self._settings.is_longest).n_tokens_out if "tokens" in self._buckets else 0
        amounts = {"requests": 1.0, "tokens": float(asked.n_tokens_in + n_out)}
        wait_s = max((bucket.wait_s(amounts[what]) for what, bucket in self._buckets.items()), default=0.0)
        headers: dict[str, str] = {}
        for what, bucket in self._buckets.items():
            if wait_s == 0.0:
                bucket.take(amounts[what])
            headers |= bucket.headers(what)
        return wait_s, headers

    def _finish(self, call: Call) -> None:
        # A client that has gone does not stop a model: what it asked for is generated and charged.
        if call.fault == "500":
            self._refuse(call, 500, {})
        elif call.fault == "429":
            wait_s = self._settings.retry_after_s
            self._refuse(call, 429, {"retry-after": f"{wait_s:g}"})
        elif call.fault == "drop_before":
            self._record(call, 0)
            call.connection.send(Response(body=None))
        else:
            self._answer(call)

    def _refuse(self, call: Call, status: int, headers: Mapping[str, str]) -> None:
        self._record(call, status)
        code = "rate_limit_exceeded" if status == 429 else None
        message = "Rate limit reached for requests" if status == 429 else "The server had an error"
        call.connection.send(Response(status, _error(status, message, code), {**call.headers, **headers}))

    def _answer(self, call: Call) -> None:
        settings, headers = self._settings, dict(call.headers)
        has_key = settings.is_idempotent and bool(call.key)
        known = self._generated.get(call.key) if has_key else None
        if known is not None and call.fault == "off_enum":
            # What was generated stays as it is.
            call = replace(call, fault="")
        given = known or answer(call.asked, is_off_enum=call.fault == "off_enum", is_longest=settings.is_longest)
        if has_key:
            self._generated[call.key] = given
            headers["idempotent-replayed"] = "false" if known is None else "true"
        self._record(call, 200, given, is_replayed=known is not None)
        body = completion(call.asked, given)
        if call.fault == "drop":
            call.connection.send(Response(body=None))
        else:
            call.connection.send(Response(200, body[: len(body) // 2] if call.fault == "truncate" else body, headers))

    def _record(self, call: Call, status: int, given: Answer | None = None, *, is_replayed: bool = False) -> None:
        self._log.write(
            {
                "at": round(time.time(), 6),
                "key": call.key,
                "messages_hash": call.asked.messages_hash,
                "status": status,
                "fault": call.fault,
                "charged": given is not None and not is_replayed,
                "replayed": is_replayed,
                "n_tokens_in": call.asked.n_tokens_in if given else 0,
                "n_tokens_out": given.n_tokens_out if given else 0,
                "client_gone": call.connection.is_gone,
            }
        )


async def serve(settings: Settings, log: Path | None, *, port: int = 0, ends_with_stdin: bool = False) -> None:
    """Serve until SIGTERM; with `ends_with_stdin` also no longer than who started it."""
    model = Model(settings, Log(log))
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    if ends_with_stdin:
        # Nothing is ever written to it: that it can be read means that the other end is gone.
        loop.add_reader(sys.stdin.fileno(), stopped.set)
    server = await loop.create_server(lambda: Connection(model.serve), "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await stopped.wait()


def _share(text: str) -> tuple[str, float]:
    fault, _, share = text.partition("=")
    return fault, float(share)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--requests-per-minute", type=float)
    parser.add_argument("--tokens-per-minute", type=float, help="of input and output together")
    parser.add_argument("--burst", type=float, default=1.0, help="seconds' worth that the buckets hold")
    parser.add_argument("--fault", action="append", default=[], type=_share, metavar="WHAT=SHARE")
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--retry-after", type=float, default=1.0, help="what a 429 by fault asks for, in seconds")
    parser.add_argument("--hang", type=float, default=60.0, help="longest that a hanging request is held, in seconds")
    parser.add_argument("--no-idempotency", action="store_true", help="ignore Idempotency-Key")
    parser.add_argument(
        "--bytes-a-token", type=int, default=4, help="of input; 1 is the most that any tokeniser counts"
    )
    parser.add_argument("--longest", action="store_true", help="charge as many output tokens as the request allows")
    parser.add_argument("--ends-with-stdin", action="store_true", help="end when standard input is closed")
    return parser


def main() -> None:
    """Serve until told to stop."""
    args = _parser().parse_args()
    settings = Settings(
        latency_s=args.latency,
        requests_per_minute=args.requests_per_minute,
        tokens_per_minute=args.tokens_per_minute,
        burst_s=args.burst,
        faults=Faults(dict(args.fault), args.seed),
        retry_after_s=args.retry_after,
        hang_s=args.hang,
        is_idempotent=not args.no_idempotency,
        is_longest=args.longest,
        bytes_a_token=args.bytes_a_token,
    )
    asyncio.run(serve(settings, args.log, port=args.port, ends_with_stdin=args.ends_with_stdin))


if __name__ == "__main__":
    main()
