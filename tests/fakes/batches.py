"""A Batch API that answers from a `FakeChat`, with faults to order; behind loopback or a transport alike."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.fakes.chat import FakeChat, error

_PART = re.compile(
    rb'name="(?P<name>[^"]+)"(?:; filename="[^"]*")?\r\n(?:Content-Type: [^\r]+\r\n)?\r\n(?P<value>.*?)\r\n--', re.S
)


@dataclass
class FakeBatches:
    """Parameters: `fates` by batch, from 1: `failed`, `expired`, `cancelled`; `completed` is usual.

    An expired or cancelled batch answers its first half. `line_faults` by custom id or by its place in any batch, from
    1: an HTTP status with an error message, `error` for a line without a response, `missing` for no line at all.
    `n_looks` is how often a batch is looked at before it is over. `faults` by "METHOD path": a status, or `drop_after`
    to do the work and answer 500.
    """

    chat: FakeChat = field(default_factory=FakeChat)
    fates: Mapping[int, str] = field(default_factory=dict)
    line_faults: dict[str | int, tuple[int | str, str]] = field(default_factory=dict)
    n_looks: int = 0
    faults: dict[str, int | str] = field(default_factory=dict)
    page_size: int = 100
    files: dict[str, bytes] = field(default_factory=dict)
    batches: list[dict[str, Any]] = field(default_factory=list)
    charged: list[tuple[str, int, int]] = field(default_factory=list)
    """Custom id and tokens of every line that was answered."""
    looks: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    @property
    def lines(self) -> list[list[dict[str, Any]]]:
        """The requests of every batch that was made."""
        return [_rows(self.files[batch["input_file_id"]]) for batch in self.batches]

    def takes(self, path: str) -> bool:
        """Return whether a path belongs to the Batch API."""
        return re.search(r"/v1/(files|batches)\b", path) is not None

    def respond(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        """Return status and JSON, or bytes, of the response."""
        path, _, query = target.partition("?")
        path = path[path.index("/v1") + 3 :]
        call = f"{method} {re.sub(r'(file|batch)-[0-9]+', '*', path)}"
        self.calls.append(call)
        fault = self.faults.get(call)
        if isinstance(fault, int):
            return fault, error("a fault to order")
        answered = self._route(method, path, query, raw)
        return (500, error("lost on the way back")) if fault == "drop_after" else answered

    def transport(self) -> httpx2.MockTransport:
        """Serve without a network; other paths are a chat's."""
        chat = self.chat.transport()

        async def handle(request: httpx2.Request) -> httpx2.Response:
            target = request.url.raw_path.decode()
            if not self.takes(target):
                return await chat.handle_async_request(request)
            status, payload = self.respond(request.method, target, await request.aread())
            content = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            return httpx2.Response(status, content=content)

        return httpx2.MockTransport(handle)

    def _route(self, method: str, path: str, query: str, raw: bytes) -> tuple[int, Any]:
        names = path.strip("/").split("/")
        if names == ["files"]:
            return self._take_file(raw)
        if names[0] == "files" and names[-1] == "content":
            return 200, self.files[names[1]]
        if names == ["batches"]:
            return self._make(json.loads(raw)) if method == "POST" else self._list(query)
        found = [batch for batch in self.batches if batch["id"] == names[1]]
        return (200, self._look(found[0])) if found else (404, error(f"No batch found with id {names[1]!r}"))

    def _take_file(self, raw: bytes) -> tuple[int, Any]:
        parts = {match["name"].decode(): match["value"] for match in _PART.finditer(raw)}
        assert parts["purpose"] == b"batch"
        return 200, {"id": self._keep(parts["file"]), "object": "file", "purpose": "batch"}

    def _keep(self, content: bytes) -> str:
        name = f"file-{len(self.files) + 1}"
        self.files[name] = content
        return name

    def _make(self, asked: Mapping[str, Any]) -> tuple[int, Any]:
        assert asked["endpoint"] == "/v1/chat/completions"
        number = len(self.batches) + 1
        batch = {"id": f"batch-{number}", "object": "batch", "status": "in_progress", "metadata": asked["metadata"]}
        batch |= {"input_file_id": asked["input_file_id"], "output_file_id": None, "error_file_id": None}
        self.batches.append(batch)
        return 200, batch

    def _list(self, query: str) -> tuple[int, Any]:
        newest_first = self.batches[::-1]
        if match := re.search(r"after=(batch-\d+)", query):
            position = [batch["id"] for batch in newest_first].index(match[1])
            newest_first = newest_first[position + 1 :]
        page = newest_first[: self.page_size]
        return 200, {"object": "list", "data": page, "has_more": len(newest_first) > len(page)}

    def _look(self, batch: dict[str, Any]) -> dict[str, Any]:
        self.looks[batch["id"]] = self.looks.get(batch["id"], 0) + 1
        if batch["status"] == "in_progress" and self.looks[batch["id"]] > self.n_looks:
            self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        batch["status"] = fate = self.fates.get(int(batch["id"].split("-")[1]), "completed")
        if fate == "failed":
            batch["errors"] = {"object": "list", "data": [{"code": "bad", "message": "line 1 is too long"}]}
            return
        rows = _rows(self.files[batch["input_file_id"]])
        n_answered = len(rows) if fate == "completed" else len(rows) // 2
        good, bad = [], []
        for place, row in enumerate(rows, start=1):
            if place > n_answered:
                late = {"code": f"batch_{fate}", "message": "This request could not be executed in time."}
                bad.append({"custom_id": row["custom_id"], "response": None, "error": late})
            elif (line := self._line(place, row)) is not None:
                (good if (line["response"] or {}).get("status_code") == 200 else bad).append(line)
        # Servers do not keep the order.
        for name, lines in (("output_file_id", good[::-1]), ("error_file_id", bad)):
            batch[name] = self._keep("".join(f"{json.dumps(line)}\n" for line in lines).encode()) if lines else None

    def _line(self, place: int, row: Mapping[str, Any]) -> dict[str, Any] | None:
        name = row["custom_id"]
        what, message = self.line_faults.get(name) or self.line_faults.get(place) or (200, "")
        if what == "missing":
            return None
        if what == "error":
            return {"custom_id": name, "response": None, "error": {"code": "server_error", "message": message}}
        status, body = (int(what), error(message)) if what != 200 else self.chat.respond(dict(row["body"]))
        if status == 200:
            usage = body.get("usage") or {}
            self.charged.append((name, usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)))
        return {"custom_id": name, "response": {"status_code": status, "request_id": "1", "body": body}, "error": None}


def _rows(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]
