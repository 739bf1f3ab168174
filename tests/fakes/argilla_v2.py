"""An Argilla v2 server on loopback, as far as its SDK asks: users, workspaces, datasets, settings, records.

In a test: ``with FakeArgilla() as server: ... server.url ...``. What people do on its pages is `respond`.
"""

import json
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

NOW = "2026-01-02T03:04:05"
KEY = "argilla.apikey-for-tests"
Json = dict[str, Any]


def _id() -> str:
    return str(uuid.uuid4())


def _row(**values: Any) -> Json:
    return {"id": _id(), "inserted_at": NOW, "updated_at": NOW, **values}


class RefusedError(Exception):
    """A status to answer with."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


@dataclass
class FakeArgilla:
    """Parameters: the role of the key's user; `fault`, a status for every request but the first."""

    role: str = "owner"
    users: tuple[str, ...] = ("ann", "zoë")
    workspaces: tuple[str, ...] = ("team",)
    fault: int | None = None
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.me = _row(username="boss", first_name="B", last_name=None, role=self.role)
        self.people = {name: _row(username=name, first_name=name, role="annotator") for name in self.users}
        self.rooms = [_row(name=name) for name in self.workspaces]
        self.datasets: dict[str, Json] = {}
        self.settings: dict[str, dict[str, list[Json]]] = {}
        self.records: dict[str, dict[str, Json]] = {}
        self.lock = threading.Lock()
        owner = self

        class Handler(_Handler):
            fake = owner

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def dataset(self, name: str) -> Json:
        return next(dataset for dataset in self.datasets.values() if dataset["name"] == name)

    def texts(self, name: str) -> list[Json]:
        """Return the records of a dataset in the order in which they were made."""
        return list(self.records[self.dataset(name)["id"]].values())

    def options(self, name: str) -> list[Json]:
        (question,) = self.settings[self.dataset(name)["id"]]["questions"]
        return list(question["settings"]["options"])

    def respond(
        self, name: str, record: str, user: str, value: Any, *, status: str = "submitted", question: str = "label"
    ) -> None:
        """Answer as a person does on the page; a value of None is none at all."""
        row = self.records[self.dataset(name)["id"]][record]
        who = self.people[user]["id"] if user in self.people else user
        values = None if value is None else {question: {"value": value}}
        others = [response for response in row["responses"] if response["user_id"] != who]
        row["responses"] = [*others, _row(values=values, status=status, user_id=who)]

    def answer(self, method: str, target: str, body: Json, key: str | None) -> Any:
        """Return what the server says, or raise `RefusedError`."""
        parts = urlsplit(target)
        self.log.append(f"{method} {parts.path}")
        if key != KEY:
            raise RefusedError(401, "Unauthorized access. Could not validate credentials")
        if self.fault is not None and len(self.log) > 1:
            raise RefusedError(self.fault, "ordered")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        for wanted, pattern, call in _ROUTES:
            match = re.fullmatch(pattern, parts.path)
            if wanted == method and match:
                return call(self, body, query, *match.groups())
        raise RefusedError(404, f"no route {method} {parts.path}")


def _needs(fake: FakeArgilla, *roles: str) -> None:
    if fake.role not in roles:
        raise RefusedError(403, "Operation not allowed")


def _all_users(fake: FakeArgilla, _body: Json, _query: Json) -> Json:
    _needs(fake, "owner")
    return {"items": [fake.me, *fake.people.values()]}


def _make_dataset(fake: FakeArgilla, body: Json, _query: Json) -> Json:
    _needs(fake, "owner", "admin")
    if body["workspace_id"] not in [room["id"] for room in fake.rooms]:
        raise RefusedError(422, "no such workspace")
    row = _row(**body, status="draft", guidelines=None, last_activity_at=NOW)
    fake.datasets[row["id"]] = row
    fake.settings[row["id"]] = {"fields": [], "questions": [], "vectors-settings": [], "metadata-properties": []}
    fake.records[row["id"]] = {}
    return row


def _change_dataset(fake: FakeArgilla, body: Json, _query: Json, id_: str) -> Json:
    fake.datasets[id_].update({name: value for name, value in body.items() if name not in ("id", "name")})
    return fake.datasets[id_]


def _publish(fake: FakeArgilla, _body: Json, _query: Json, id_: str) -> Json:
    fake.datasets[id_]["status"] = "ready"
    return fake.datasets[id_]


def _drop_dataset(fake: FakeArgilla, _body: Json, _query: Json, id_: str) -> Json:
    return fake.datasets.pop(id_)


def _add_setting(fake: FakeArgilla, body: Json, _query: Json, id_: str, kind: str) -> Json:
    options = body["settings"].get("options")
    if options is not None and not 2 <= len(options) <= 500:
        raise RefusedError(422, "a question takes 2 to 500 options")
    row = {**body, **_row()}
    fake.settings[id_][kind].append(row)
    return row


def _upsert(fake: FakeArgilla, body: Json, _query: Json, id_: str) -> Json:
    kept, updated = fake.records[id_], []
    for item in body["items"]:
        _check_suggestions(fake, id_, item)
        known = kept.get(item["external_id"])
        row = known or _row(external_id=item["external_id"], fields=item["fields"], status="pending", responses=[])
        updated += [row["id"]] if known else []
        row["metadata"] = item["metadata"]
        # As the server does it: a suggestion is replaced, none leaves the one before.
        row["suggestions"] = [{**one, "id": _id()} for one in item["suggestions"]] or row.get("suggestions", [])
        kept[item["external_id"]] = row
    return {"items": [kept[item["external_id"]] for item in body["items"]], "updated_item_ids": updated}


def _check_suggestions(fake: FakeArgilla, id_: str, item: Json) -> None:
    (question,) = fake.settings[id_]["questions"]
    for suggestion in item["suggestions"]:
        values = [option["value"] for option in question["settings"]["options"]]
        if suggestion["question_id"] != question["id"] or suggestion["value"] not in values:
            raise RefusedError(422, "suggestion is not valid")
        if suggestion["agent"] is not None and not re.fullmatch(r"[a-zA-Z0-9-_:./\s]{1,200}", suggestion["agent"]):
            raise RefusedError(422, "agent is not valid")


def _list_records(fake: FakeArgilla, _body: Json, query: Json, id_: str) -> Json:
    rows = list(fake.records[id_].values())
    start, limit = int(query["offset"]), int(query["limit"])
    return {"items": rows[start : start + limit], "total": len(rows)}


def _drop_suggestions(fake: FakeArgilla, _body: Json, query: Json, id_: str) -> None:
    row = next(row for rows in fake.records.values() for row in rows.values() if row["id"] == id_)
    row["suggestions"] = [one for one in row["suggestions"] if one["id"] not in query["ids"].split(",")]


Call = Callable[..., Any]
_DATASET = r"/api/v1/datasets/([^/]+)"
_ROUTES: list[tuple[str, str, Call]] = [
    ("GET", "/api/v1/me", lambda fake, _b, _q: fake.me),
    ("GET", "/api/v1/users", _all_users),
    ("GET", "/api/v1/me/workspaces", lambda fake, _b, _q: {"items": fake.rooms}),
    ("GET", "/api/v1/workspaces/([^/]+)/users", lambda fake, _b, _q, _id: {"items": list(fake.people.values())}),
    (
        "GET",
        "/api/v1/workspaces/([^/]+)",
        lambda fake, _b, _q, id_: next(room for room in fake.rooms if room["id"] == id_),
    ),
    ("GET", "/api/v1/me/datasets", lambda fake, _b, _q: {"items": list(fake.datasets.values())}),
    ("POST", "/api/v1/datasets", _make_dataset),
    ("GET", _DATASET, lambda fake, _b, _q, id_: fake.datasets[id_]),
    ("PATCH", _DATASET, _change_dataset),
    ("DELETE", _DATASET, _drop_dataset),
    ("PUT", f"{_DATASET}/publish", _publish),
    ("POST", f"{_DATASET}/(fields|questions)", _add_setting),
    (
        "GET",
        rf"{_DATASET.replace('/v1/', '/v1/(?:me/)?')}/(fields|questions|vectors-settings|metadata-properties)",
        lambda fake, _b, _q, id_, kind: {"items": fake.settings[id_][kind]},
    ),
    ("PUT", f"{_DATASET}/records/bulk", _upsert),
    ("GET", f"{_DATASET}/records", _list_records),
    ("DELETE", "/api/v1/records/([^/]+)/suggestions", _drop_suggestions),
]


class _Handler(BaseHTTPRequestHandler):
    fake: FakeArgilla
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with self.fake.lock:
                key = self.headers.get("X-Argilla-Api-Key")
                said = self.fake.answer(self.command, self.path, json.loads(body or b"{}"), key)
            status = 204 if said is None else 200
        except RefusedError as refusal:
            status, said = refusal.status, {"detail": str(refusal)}
        content = b"" if said is None else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815
