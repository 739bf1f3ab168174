"""An OpenAI-compatible server on loopback, with a log, a latency and faults to order.

In a test: ``with LoopbackServer(FakeChat()) as server: ... server.url ...``.
As a process, from the top of the repository: ``python -m tests.fakes.loopback --log calls.jsonl
--gold gold.json --latency 0.02 --fault 3=429:0.01``; its first line on standard output is the base URL.
"""

import argparse
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.batches import FakeBatches
from tests.fakes.chat import FakeChat, by_text, by_words, error


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request: an HTTP status, or `drop`, `hang`, `truncate`, `garbage`."""

    what: str
    retry_after: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Fault":
        """Read `429:0.01` or `drop`."""
        what, _, retry_after = text.partition(":")
        return cls(what, retry_after or None)


@dataclass(frozen=True)
class Logged:
    """One request as the server saw it."""

    number: int
    path: str
    body_hash: str
    status: int
    """0 when the connection was dropped or hung."""
    n_tokens_in: int = 0
    n_tokens_out: int = 0
    at: float = 0.0
    messages_hash: str = ""
    """SHA-256 of the JSON of the messages alone; empty without any."""


@dataclass
class LoopbackServer:
    """Parameters: `faults` by request number, from 1; `api_key`, when given, is demanded."""

    chat: FakeChat = field(default_factory=FakeChat)
    latency_s: float = 0.0
    faults: Mapping[int, Fault] = field(default_factory=dict)
    api_key: str | None = None
    log_file: Path | None = None
    port: int = 0
    log: list[Logged] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    batches: FakeBatches | None = None
    """Serves /files and /batches where given."""
    tokenizer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]] | None = None
    """Serves /tokenize beside /v1 where given."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._n_requests = 0
        self._released = threading.Event()
        self.lock = threading.Lock()
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL to configure."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def paid(self) -> Counter[str]:
        """Body hash -> how often it was answered with a completion."""
        return Counter(entry.body_hash for entry in self.log if entry.status == 200 and "chat" in entry.path)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._released.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def next_number(self) -> int:
        with self._lock:
            self._n_requests += 1
            return self._n_requests

    def record(self, entry: Logged) -> None:
        with self._lock:
            self.log.append(entry)
            if self.log_file is not None:
                with self.log_file.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(entry)) + "\n")

    def hang(self) -> None:
        """Hold a request until the server is closed."""
        self._released.wait(60.0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_owner: LoopbackServer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep standard error clean."""

    def do_GET(self) -> None:
        self._serve(b"")

    def do_POST(self) -> None:
        self._serve(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _serve(self, raw: bytes) -> None:
        owner = self.server_owner
        number = owner.next_number()
        owner.headers.append({name.lower(): value for name, value in self.headers.items()})
        entry = {"number": number, "path": self.path, "body_hash": hashlib.sha256(raw).hexdigest(), "at": time.time()}
        time.sleep(owner.latency_s)
        fault = owner.faults.get(number)
        if fault is not None and fault.what in ("drop", "hang"):
            owner.record(Logged(**entry, status=0))
            if fault.what == "hang":
                owner.hang()
            self.close_connection = True
            return
        status, payload = self._answer(raw, fault)
        usage = (payload.get("usage") if isinstance(payload, dict) else None) or {}
        n_in, n_out = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
        entry["messages_hash"] = _messages_hash(raw)
        # The log is written first: who was answered must be in it, whenever the client is killed.
        owner.record(Logged(**entry, status=status, n_tokens_in=n_in, n_tokens_out=n_out))
        self._send(status, payload, fault)

    def _answer(self, raw: bytes, fault: Fault | None) -> tuple[int, Any]:
        owner = self.server_owner
        if owner.api_key is not None and self.headers.get("Authorization") != f"Bearer {owner.api_key}":
            return 401, error(f"Incorrect API key provided: {self.headers.get('Authorization')}", "invalid_api_key")
        if fault is not None and fault.what.isdigit():
            return int(fault.what), error("a fault to order")
        if self.path.endswith("/models"):
            return 200, {"object": "list", "data": []}
        if owner.batches is not None and owner.batches.takes(self.path):
            with owner.lock:
                return owner.batches.respond(self.command, self.path, raw)
        if owner.tokenizer is not None and self.path == "/tokenize":
            return owner.tokenizer(json.loads(raw))
        if not self.path.endswith("/chat/completions"):
            return 404, error(f"no such path: {self.path}")
        return owner.chat.respond(json.loads(raw))

    def _send(self, status: int, payload: Any, fault: Fault | None) -> None:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        body = b"<html>" if fault is not None and fault.what == "garbage" else body
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if fault is not None and fault.retry_after is not None:
            self.send_header("Retry-After", fault.retry_after)
        self.end_headers()
        if fault is not None and fault.what == "truncate":
            body, self.close_connection = body[: len(body) // 2], True
        self.wfile.write(body)


def _messages_hash(raw: bytes) -> str:
    messages = json.loads(raw).get("messages") if raw.startswith(b"{") else None
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest() if messages else ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--gold", type=Path, help="JSON object text -> label; others get the first label by name")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each answer")
    parser.add_argument("--fault", action="append", default=[], help="NUMBER=WHAT[:RETRY_AFTER]")
    parser.add_argument("--api-key")
    return parser.parse_args()


def main() -> None:
    """Serve until killed."""
    arguments = _arguments()
    answer = by_words
    if arguments.gold:
        gold = json.loads(arguments.gold.read_text(encoding="utf-8"))
        answer = by_text(gold, default=sorted(set(gold.values()))[0])
    faults = dict(item.split("=", 1) for item in arguments.fault)
    server = LoopbackServer(
        FakeChat(answer),
        latency_s=arguments.latency,
        faults={int(number): Fault.parse(what) for number, what in faults.items()},
        api_key=arguments.api_key,
        log_file=arguments.log,
        port=arguments.port,
    )
    with server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
