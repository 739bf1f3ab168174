"""Requests that no page of ours would send: a thousand from the API's own description, and the nastiest by hand."""

import asyncio
import json
import re
import warnings
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from requests import Request

from llm_al.store.people import Person

with warnings.catch_warnings():
    # Its own dependencies warn at import.
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode

N_REQUESTS = 1_000
SECRET_NAME = "olga.secret@example.org"
LEAKS = re.compile(
    r"Traceback|File \"|/site-packages/|\.py\b|/tmp/|project\.db|sqlite|sqlalchemy|psycopg|argon2|SELECT |"
    r"RuntimeError|KeyError|ValueError|pydantic",
    re.IGNORECASE,
)


async def send(
    app: Any, method: str, url: str, headers: dict[str, str], body: bytes
) -> tuple[int, dict[str, str], str]:
    """Hand one request to the application as a server would; return status, headers and text."""
    parts = urlsplit(url)
    wire = {"Host": "127.0.0.1:8000", "Content-Length": str(len(body)), **headers}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(parts.path),
        "raw_path": parts.path.encode("latin-1", errors="replace"),
        "query_string": parts.query.encode("latin-1", errors="replace"),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [(k.lower().encode("latin-1"), v.encode("utf-8", errors="replace")) for k, v in wire.items()],
    }
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def collect(message: dict[str, Any]) -> None:
        messages.append(message)

    await app(scope, receive, collect)
    text = b"".join(part.get("body", b"") for part in messages[1:]).decode("utf-8")
    return messages[0]["status"], {k.decode(): v.decode() for k, v in messages[0]["headers"]}, text


def in_a_loop_of_its_own(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine in a thread: the browser's tests may have left a loop running in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def generated(app: Any) -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Yield method, address, headers and body of requests that the description of the API forbids."""
    schema = schemathesis.openapi.from_dict(app.openapi())
    operations = [found.ok() for found in schema.get_all_operations()]
    hostile = [operation for operation in operations if operation.body or operation.query or operation.path_parameters]
    for operation in hostile:
        yield from negated(operation, -(-N_REQUESTS // len(hostile)) + 2)


def negated(operation: Any, n: int) -> list[tuple[str, str, dict[str, str], bytes]]:
    found: list[tuple[str, str, dict[str, str], bytes]] = []

    @seed(20)
    @settings(
        max_examples=n,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    def collect(case: Any) -> None:
        wire = Request(**case.as_transport_kwargs(base_url="http://127.0.0.1:8000")).prepare()
        body = wire.body.encode() if isinstance(wire.body, str) else wire.body or b""
        headers = {name: str(value) for name, value in wire.headers.items() if name.lower() != "content-length"}
        found.append((str(wire.method), str(wire.url), headers, body))

    collect()
    return found


@pytest.fixture
def owner(person, staffed) -> Any:
    olga = person("olga")
    kept = staffed.app.state.site.project.store.people.find("olga").password
    staffed.app.state.site.project.store.people.add(Person(SECRET_NAME, "annotator", password=kept))
    olga.csrf = olga.csrf_of()
    return olga


def credentials(owner: Any) -> dict[str, str]:
    cookies = "; ".join(f"{name}={value}" for name, value in owner.cookies.items())
    return {"Cookie": cookies, "X-CSRF-Token": owner.csrf}


def check(status: int, headers: dict[str, str], text: str, secrets: list[str]) -> None:
    assert status < 500, text
    assert not LEAKS.search(text), text
    assert not [secret for secret in secrets if secret in text], text
    assert headers["x-content-type-options"] == "nosniff"
    if status >= 400 and headers["content-type"] == "application/json":
        body = json.loads(text)
        assert set(body) == {"error"}
        assert body["error"]
        assert "\n" not in body["error"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::hypothesis.errors.HypothesisWarning")
def test_a_thousand_malformed_requests_get_an_answer_and_learn_nothing(owner) -> None:
    app = owner.app
    requests = list(generated(app))
    assert len(requests) >= N_REQUESTS
    rows = app.state.site.project.store.people.everybody()
    hidden = [str(secret) for row in rows for secret in (row.password, row.token_digest) if secret]
    hidden.append(app.state.site.settings.key)
    own = [owner.cookies["llm_al_session"]]

    async def run() -> list[int]:
        seen = []
        for n, (method, url, headers, body) in enumerate(requests):
            if n % 4:
                answer = await send(app, method, url, {**headers, **credentials(owner)}, body)
                check(*answer, hidden + own)
            else:
                answer = await send(app, method, url, headers, body)
                check(*answer, [*hidden, *own, SECRET_NAME])
            seen.append(answer[0])
        return seen

    statuses = in_a_loop_of_its_own(run())
    refused = sum(400 <= status < 500 for status in statuses)
    # The rest are those that a lenient reader may take: a number in quotes in an address, an unknown parameter.
    assert refused > 0.75 * len(statuses)
    assert {401, 422} <= set(statuses)
    # Nothing was changed, and the server still serves.
    assert [row.name for row in app.state.site.project.store.people.everybody()] == [row.name for row in rows]
    assert owner.get("/api/next").status_code == 200


DEEP = 50_000
BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "a word": b"nonsense",
    "no UTF-8": b'{"ticket": 1, "label": "\xff\xfe"}',
    "half a character": b'{"ticket": 1, "label": "\\ud800", "note": "\\udfff", "text": "\\ud800", "name": "\\ud800"}',
    "a half key": b'{"\\ud800": 1}',
    "a zero": b'{"ticket": 1, "label": "a\\u0000b", "text": "\\u0000", "example_id": "\\u0000"}',
    "a huge number": b'{"ticket": ' + b"9" * 4_000 + b', "label": "refund"}',
    "a number too long to read": b'{"ticket": ' + b"9" * 10_000 + b"}",
    "beyond 64 bits": b'{"ticket": 9223372036854775808, "label": "refund"}',
    "below zero": b'{"ticket": -9223372036854775809, "label": "refund"}',
    "no number": b'{"ticket": NaN, "label": "refund", "seconds": Infinity, "hours": NaN}',
    "too large a number": b'{"ticket": 1e400, "label": "refund", "hours": 1e999}',
    "deep lists": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "a deep field": b'{"ticket": 1, "label": ' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a list": b"[]",
    "null": b"null",
    "a text": b'"x"',
    "true": b"true",
    "the same key twice": b'{"ticket": 1, "ticket": "x", "label": 1}',
    "another field": b'{"ticket": 1, "label": "refund", "is_admin": true, "__proto__": {}}',
    "a long text": b'{"ticket": 1, "label": "' + b"x" * 100_000 + b'"}',
    "a long list": b'{"ticket": 1, "label": "refund", "have": [' + b"1," * 100_000 + b"1]}",
    "a byte order mark": b'\xef\xbb\xbf{"ticket": 1}',
    "UTF-16": '{"ticket": 1}'.encode("utf-16"),
}
WRITES = [
    ("POST", "/api/login"),
    ("POST", "/api/answers"),
    ("POST", "/api/bulk"),
    ("POST", "/api/undo"),
    ("POST", "/api/flags"),
    ("POST", "/api/rulings"),
    ("POST", "/api/flags/settle"),
    ("PUT", "/api/guidelines"),
    ("POST", "/api/people/ann"),
    ("POST", "/api/invites"),
    ("POST", "/api/exports"),
    ("POST", "/login"),
    ("POST", "/logout"),
    ("POST", "/invite/x"),
]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_bodies_that_are_no_good_are_refused_in_a_sentence(owner, body) -> None:
    async def run() -> None:
        for method, path in WRITES:
            kind = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
            answer = await send(owner.app, method, path, {"Content-Type": kind, **credentials(owner)}, body)
            check(*answer, [])
            assert 400 <= answer[0] < 500

    in_a_loop_of_its_own(run())


QUERIES = [
    "n=0",
    "n=-1",
    "n=99999999999999999999999",
    "n=" + "9" * 5_000,
    "n=NaN",
    "n=1&n=x",
    "n=%00",
    "n=%ED%A0%80",
    "have=%00",
    "have=" + "9" * 40,
    "have=1,,2",
    "have=-1",
    "have=" + ",".join(["1"] * 300),
    "have=%F0%9F%92%A9",
    "have=1;drop",
    "offset=-1",
    "offset=99999999999999999999",
    "kind=%ff",
    "kind=unknown",
    "&&==&%",
    "%",
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_that_are_no_good_are_refused_or_ignored(owner, query) -> None:
    async def run() -> None:
        for path in ("/api/next", "/api/history", "/api/review", "/login", "/"):
            check(*await send(owner.app, "GET", f"{path}?{query}", credentials(owner), b""), [])

    in_a_loop_of_its_own(run())


HEADERS = [
    {"Cookie": "llm_al_session=" + "x" * 10_000},
    {"Cookie": "llm_al_session=\u00e9\u20ac"},
    {"Cookie": ";;;=;llm_al_session"},
    {"Cookie": "llm_al_session=\x00"},
    {"X-CSRF-Token": "\u00e9" * 100},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "application/json\x00"},
    {"Content-Type": "application/json; charset=nonsense"},
    {"Content-Type": "=?utf-8?q?x?="},
    {"Accept": "text/html" * 1_000},
    {"Origin": "\u00e9"},
    {"Host": "\u00e9.example"},
    {"Host": "a" * 5_000},
    {"Range": "bytes=0-999999999999999999999"},
    {"If-None-Match": "\x00"},
    {"Content-Length": "x"},
    {"Transfer-Encoding": "chunked"},
]


@pytest.mark.parametrize("headers", HEADERS, ids=lambda headers: ascii(headers)[:40])
def test_headers_that_are_no_good_do_no_harm(owner, headers) -> None:
    async def run() -> None:
        for method, path in (("GET", "/api/next"), ("GET", "/static/page.css"), ("GET", "/"), *WRITES):
            answer = await send(owner.app, method, path, {**credentials(owner), **headers}, b"{}")
            check(*answer, [])

    in_a_loop_of_its_own(run())


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "DELETE", "TRACE", "PUT", "BREW", "get", "\u00e9"])
def test_other_methods_are_refused(owner, method) -> None:
    async def run() -> None:
        for path in ("/", "/api/next", "/api/people", "/login", "/static/page.css", "/exports/x", "/nothing"):
            answer = await send(owner.app, method, path, credentials(owner), b"")
            check(*answer, [])
            assert answer[0] in (400, 404, 405)

    in_a_loop_of_its_own(run())


def test_a_wrong_method_says_which_are_right(owner) -> None:
    reply = owner.delete("/api/next")
    assert reply.status_code == 405
    assert reply.headers["allow"] == "GET"
    assert reply.json() == {"error": "this address does not take that method"}
