"""A loopback stand-in for a model that chooses, writes, describes, criticises and names; it is no language model.

Tokens are counted as bytes / 4, so that a use has the price of its real prompts and of answers of a stated length.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Use", "Writer", "fenced_texts", "task_of"]

_FENCED = re.compile(r"<text ([0-9a-f]+)>\n(.*?)\n</text \1>", re.DOTALL)
_CHOOSE = re.compile(r"Choose (\d+) of these")
_WRITE = re.compile(r"Write (\d+) texts")
_LABEL = re.compile(r'^The label: [A-Z0-9]+ = ("(?:[^"\\]|\\.)*")', re.MULTILINE)
_SIGNS = {
    "describe": '{"description": ',
    "critique": '{"gaps": ',
    "first_choice": '{"numbers": ',
    "synthesise": '{"texts": ',
    "name_cluster": '{"name": ',
}
_SENTENCE = (
    "Texts in which somebody asks about this and nothing else, without naming what belongs to the labels beside it."
)
"""19 words, as long as a description that a person would write."""

Choose = Callable[[Sequence[str], int], Sequence[int]]
Write = Callable[[str, int], Sequence[str]]


def fenced_texts(content: str) -> list[str]:
    """Return the texts between marker lines."""
    return [match[2] for match in _FENCED.finditer(content)]


def task_of(system: str) -> str:
    """Return which use of the LLM a static part belongs to."""
    return next(task for task, sign in _SIGNS.items() if sign in system)


@dataclass
class Use:
    """Calls and tokens of one use, by the server's own count."""

    n_calls: int = 0
    n_tokens_in: int = 0
    n_tokens_out: int = 0


def _first(texts: Sequence[str], k: int) -> Sequence[int]:
    return range(min(k, len(texts)))


def _template(label: str, n: int) -> Sequence[str]:
    return [f"I have a question about {label.replace('_', ' ')}"] * n


@dataclass
class Writer:
    """Serves on loopback. Parameters: how it chooses among texts, and what it writes for a label."""

    choose: Choose = _first
    write: Write = _template
    uses: dict[str, Use] = field(default_factory=dict)

    def __post_init__(self) -> None:
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """The base URL to configure."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return a completion and count it."""
        messages = body["messages"]
        task = task_of(messages[0]["content"])
        content = json.dumps(self._said(task, messages[1]["content"]))
        schema = json.dumps(body.get("response_format", {}))
        n_in = (sum(len(m["content"].encode()) for m in messages) + len(schema)) // 4 + 8
        n_out = len(content.encode()) // 4 + 1
        with self._lock:
            use = self.uses.setdefault(task, Use())
            use.n_calls, use.n_tokens_in, use.n_tokens_out = (
                use.n_calls + 1,
                use.n_tokens_in + n_in,
                use.n_tokens_out + n_out,
            )
        message = {"role": "assistant", "content": content}
        return {
            "id": "1",
            "object": "chat.completion",
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
            "usage": {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out},
        }

    def _said(self, task: str, user: str) -> dict[str, Any]:
        if task == "first_choice":
            texts = fenced_texts(user)
            return {"numbers": [int(i) + 1 for i in self.choose(texts, int(_CHOOSE.findall(user)[-1]))]}
        if task == "synthesise":
            label = json.loads(_LABEL.findall(user)[-1])
            return {"texts": list(self.write(label, int(_WRITE.findall(user)[-1])))}
        if task == "critique":
            gap = {"gap": _SENTENCE, "cases": ["D1", "D2", "D3"], "rule": _SENTENCE}
            return {"gaps": [gap] * 4}
        return {
            "describe": {"description": _SENTENCE},
            "name_cluster": {"name": "two words", "description": _SENTENCE},
        }[task]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_owner: Writer

    def log_message(self, format: str, *args: Any) -> None:
        """Keep standard error clean."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        payload = json.dumps(self.server_owner.answer(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)
