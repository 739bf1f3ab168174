import asyncio
import json
from typing import Any

import pytest

from llm_al.web.settings import WebSettings

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


@pytest.mark.parametrize(
    "path", ["/", "/api/scheme", "/api/nothing", "/nothing", "/static/page.css", "/exports/x", "/login"]
)
def test_every_answer_carries_the_headers(alone, path) -> None:
    found = alone.get(path, follow_redirects=False).headers
    assert {name: found.get(name) for name in HEADERS} == HEADERS
    assert "strict-transport-security" not in found
    assert "access-control-allow-origin" not in found


def test_refusals_at_the_gate_carry_them_too(alone) -> None:
    found = alone.get("/", headers={"Host": "evil.example"})
    assert found.status_code == 421
    assert {name: found.headers.get(name) for name in HEADERS} == HEADERS


@pytest.mark.parametrize("path", ["/", "/api/next", "/api/history", "/login"])
def test_pages_and_answers_are_not_kept_by_the_browser(alone, path) -> None:
    assert alone.get(path, follow_redirects=False).headers["cache-control"] == "no-store"


def test_https_is_made_to_last_where_the_browser_speaks_it(open_site) -> None:
    assert "strict-transport-security" in open_site("https://127.0.0.1:8000").get("/login").headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("localhost.:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8000", 421),
        ("192.168.1.5:8000", 421),
        ("127.0.0.1@evil.example", 400),
        ("evil.example/127.0.0.1", 400),
        ("", 400),
        ("127.0.0.1:99999999", 400),
    ],
)
def test_a_foreign_name_pointed_at_this_machine_finds_nothing(alone, host, status) -> None:
    found = alone.get("/api/next", headers={"Host": host})
    assert found.status_code == status
    if status != 200:
        assert set(found.json()) == {"error"}
        assert "evil" not in found.text


def test_other_names_are_answered_when_the_server_was_told(open_site) -> None:
    site = open_site("http://labels.example", allowed_hosts=("labels.example",))
    assert site.get("/login").status_code == 200
    assert site.get("/login", headers={"Host": "evil.example"}).status_code == 421


def test_a_server_for_others_answers_to_any_number_but_not_to_any_name(open_site) -> None:
    site = open_site("http://192.168.1.5:8000", host="0.0.0.0")
    assert site.get("/login").status_code == 200
    assert site.get("/login", headers={"Host": "evil.example"}).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:3000"},
        {"Origin": "https://127.0.0.1:8000"},
        {"Origin": "http://localhost:8000"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/api/answers", "/api/login", "/login", "/logout", "/invite/x"])
def test_another_site_can_change_nothing_even_with_the_token(alone, headers, path) -> None:
    token = {"X-CSRF-Token": alone.csrf_of()}
    reply = alone.post(path, json={"ticket": 1, "label": "refund"}, headers={**token, **headers})
    assert reply.status_code == 403
    assert "comes from another site" in reply.text


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}])
def test_another_site_cannot_even_ask_for_a_question(alone, headers) -> None:
    assert alone.get("/api/next", headers=headers).status_code == 403
    # A link to a page is no harm.
    assert alone.get("/", headers=headers).status_code == 200


def test_our_own_pages_pass(alone) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin", "X-CSRF-Token": alone.csrf_of()}
    (one, *_) = alone.get("/api/next").json()["items"]
    assert alone.post("/api/answers", json={"ticket": one["id"], "label": "refund"}, headers=own).status_code == 200


CHANGES = [
    ("POST", "/api/answers", {"ticket": 1, "label": "refund"}),
    ("POST", "/api/bulk", {"replies": [{"ticket": 1, "label": "refund"}]}),
    ("POST", "/api/undo", {"ticket": 1}),
    ("POST", "/api/flags", {"ticket": 1, "note": "x"}),
    ("POST", "/api/rulings", {"example_id": "p0", "label": "refund"}),
    ("POST", "/api/flags/settle", {"example_id": "p0"}),
    ("PUT", "/api/guidelines", {"text": "x"}),
    ("POST", "/api/people/ann", {"role": "owner"}),
    ("POST", "/api/invites", {"role": "owner"}),
    ("DELETE", "/api/invites/0123456789abcdef", None),
    ("POST", "/api/exports", {"format": "csv"}),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
@pytest.mark.parametrize("token", [None, "", "wrong", "k" * 43, "0" * 64, "é"])
def test_nothing_changes_without_the_token_of_the_page(alone, method, path, body, token) -> None:
    headers = {} if token is None else {"X-CSRF-Token": token.encode("latin-1")}
    reply = alone.request(method, path, json=body, headers=headers)
    assert reply.status_code == 403
    assert reply.json() == {"error": "this page is out of date; load it again"}


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
def test_nothing_changes_with_the_token_of_another_session(person, method, path, body) -> None:
    olga, other = person("olga"), person("olga")
    reply = olga.request(method, path, json=body, headers={"X-CSRF-Token": other.csrf_of()})
    assert reply.status_code == 403
    # A page that somebody opened before there were accounts has no power either.
    key = olga.app.state.site.sign("open house", "me")
    assert olga.request(method, path, json=body, headers={"X-CSRF-Token": key}).status_code == 403


@pytest.mark.parametrize(
    ("method", "path", "body"), [*CHANGES, ("GET", "/api/next", None), ("GET", "/exports/x", None)]
)
def test_strangers_are_asked_to_log_in(staffed, method, path, body) -> None:
    reply = staffed.request(method, path, json=body, headers={"X-CSRF-Token": "x"})
    assert reply.status_code == 401
    assert reply.json() == {"error": "log in first"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_another_site_cannot_pass_for_json(alone, content_type) -> None:
    body = json.dumps({"ticket": 1, "label": "refund"})
    headers = {"X-CSRF-Token": alone.csrf_of(), "Content-Type": content_type}
    assert alone.post("/api/answers", content=body, headers=headers).status_code == 422


def test_no_page_answers_the_question_whether_another_site_may(alone) -> None:
    asked = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    found = alone.options("/api/answers", headers=asked)
    assert found.status_code == 403
    assert not [name for name in found.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
def test_the_server_does_not_describe_itself(alone, path) -> None:
    assert alone.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/api/answers", "/api/login", "/login", "/logout", "/invite/x", "/api/nothing", "/"])
def test_a_body_that_says_it_is_huge_is_refused_before_it_is_read(staffed, path) -> None:
    reply = staffed.post(
        path, content=b"{", headers={"Content-Length": str(1 << 31), "Content-Type": "application/json"}
    )
    assert reply.status_code == 413
    assert reply.json() == {"error": "the body is larger than 1,048,576 bytes; send less at once"}


async def exchange(
    app: Any, path: str, headers: dict[str, str], n_chunks: int, size: int = 65_536
) -> tuple[int, bytes, int]:
    """Send a body in pieces without saying how long it is; return status, answer, and how many pieces were taken."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8000),
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in {"Host": "127.0.0.1", **headers}.items()
        ],
    }
    taken, sent = 0, []

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * size, "more_body": taken < n_chunks}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]), taken


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/api/answers", "application/json"),
        ("/api/login", "application/json"),
        ("/login", "application/x-www-form-urlencoded"),
    ],
)
def test_a_body_that_does_not_say_how_long_it_is_is_cut_off(staffed, path, kind) -> None:
    status, body, taken = asyncio.run(exchange(staffed.app, path, {"Content-Type": kind}, n_chunks=10_000))
    assert (status, json.loads(body)) == (413, {"error": "the body is larger than 1,048,576 bytes; send less at once"})
    assert taken == 17


def test_a_body_that_does_not_come_is_not_waited_for(staffed, monkeypatch) -> None:
    monkeypatch.setattr("llm_al.web.security._BODY_S", 0.01)

    async def stall() -> int:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.Event().wait()
            return {}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "scheme": "http", "path": "/api/login", "headers": headers}
        await staffed.app({**scope, "query_string": b"", "client": ("127.0.0.1", 1)}, receive, send)
        return int(sent[0]["status"])

    assert asyncio.run(stall()) == 408


@pytest.mark.parametrize("length", ["-1", "1e9", "0x10", "9" * 30, "²"])
def test_a_length_that_is_no_number_is_refused(alone, length) -> None:
    reply = alone.post("/api/answers", content=b"", headers={"Content-Length": length.encode("utf-8")})
    assert reply.status_code == 400


@pytest.mark.parametrize("path", ["/a%00b", "/api/people/%00", "/static/%0d%0aSet-Cookie:x", "/" + "x" * 3000])
def test_paths_that_are_no_text_are_refused(alone, path) -> None:
    assert alone.get(path).status_code == 400


def test_what_was_not_foreseen_says_only_where_to_look(alone, monkeypatch, caplog) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("secret /srv/project $argon2id$")

    monkeypatch.setattr("llm_al.people.desk.Desk.history", fail)
    reply = alone.get("/api/history")
    assert reply.status_code == 500
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text
    reference = reply.json()["error"].rsplit(" ", 1)[1]
    assert reply.json() == {"error": f"something went wrong on this server; its log says more under {reference}"}
    assert f"request {reference} failed" in caplog.text
    assert {name: reply.headers.get(name) for name in HEADERS} == HEADERS


def test_a_store_that_cannot_be_used_is_told_without_its_path(alone, monkeypatch) -> None:
    from llm_al.errors import StoreError

    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise StoreError("/srv/project.db is being written to")

    monkeypatch.setattr("llm_al.people.desk.Desk.history", fail)
    reply = alone.get("/api/history")
    assert reply.status_code == 503
    assert reply.json() == {"error": "the database cannot be used at the moment; try again, or ask the owner"}


def test_a_proxy_is_believed_only_when_it_is_known(open_site) -> None:
    told = {
        "X-Forwarded-For": "6.6.6.6, 10.1.1.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "labels.example",
        "X-Forwarded-Prefix": "/labels",
    }
    known = open_site(proxies=("127.0.0.1",), allowed_hosts=("labels.example",))
    found = known.get("/review", headers=told, follow_redirects=False)
    assert found.headers["location"] == "/labels/login?next=/review"
    assert "strict-transport-security" in found.headers
    assert "secure" in known.get("/login", headers=told).headers["set-cookie"].casefold()
    strange = open_site(proxies=("10.0.0.9",), allowed_hosts=("labels.example",))
    found = strange.get("/review", headers=told, follow_redirects=False)
    assert found.headers["location"] == "/login?next=/review"
    assert "strict-transport-security" not in found.headers


@pytest.mark.parametrize("prefix", ["//evil.example", "/a/../b", "javascript:x", '/a"b', "/api", "/a b"])
def test_a_prefix_cannot_lead_elsewhere(open_site, prefix) -> None:
    site = open_site(proxies=("127.0.0.1",))
    assert site.get("/login", headers={"X-Forwarded-Prefix": prefix}).status_code == 400


def test_the_client_of_a_proxy_is_the_last_address_that_is_not_its_own(open_site) -> None:
    from starlette.datastructures import Headers

    from llm_al.web.forwarding import read_address

    settings = WebSettings(proxies=("10.0.0.1", "10.0.0.2"))
    seen = {}
    for given in ("1.1.1.1, 2.2.2.2, 10.0.0.2", "10.0.0.2", "junk", "1.1.1.1, junk", "::1"):
        scope = {"client": ("10.0.0.1", 1), "path": "/", "scheme": "http"}
        headers = Headers({"host": "localhost", "x-forwarded-for": given})
        seen[given] = read_address(scope, headers, settings).client
    assert list(seen.values()) == ["2.2.2.2", "10.0.0.1", "10.0.0.1", "10.0.0.1", "::1"]


def test_without_accounts_a_proxied_request_is_refused(alone) -> None:
    for name in ("X-Forwarded-For", "X-Real-IP", "Forwarded"):
        reply = alone.get("/api/next", headers={name: "6.6.6.6"})
        assert reply.status_code == 403
        assert "answers to this machine only; add an owner first" in reply.json()["error"]


def test_a_prefix_works_whether_the_proxy_takes_it_off_or_not(open_site) -> None:
    site = open_site(base="/labels")
    for path in ("/labels/", "/labels", "/"):
        page = site.get(path)
        assert page.status_code == 200
        assert '<body data-base="/labels"' in page.text
    assert 'href="/labels/static/' in page.text
    assert 'href="/static/' not in page.text
    assert site.get("/labels/api/next").status_code == site.get("/api/next").status_code == 200
    assert site.get("/labelsapi/next").status_code == 404
