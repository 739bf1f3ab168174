import json
import logging
import ssl
import traceback
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from llm_al import llm_assembly
from llm_al.annotators.chat import Batching, Chat, Endpoint, Limits, MemoryLedger
from llm_al.annotators.engine.secrets import redacted
from llm_al.config import ProjectConfig, validate_config
from llm_al.errors import ConfigError, ProviderError, ProviderUnreachableError
from llm_al.types import Example, Label, LabelScheme
from tests.fakes import shop
from tests.fakes.batches import FakeBatches
from tests.fakes.chat import FakeChat, by_text, error
from tests.fakes.loopback import Fault, LoopbackServer

CANARY = "sk-canary-4f7d1c/ü+9".replace("ü", "u")
SCHEME = LabelScheme((Label("delivery"), Label("refund")))
TEXTS = [Example("1", "where is my delivery"), Example("2", "a refund please")]
PEM = Path(__file__).parent / "fakes" / "self_signed.pem"
GOLD = {row["text"]: row["label"] for row in shop.POOL}


class Echo(FakeChat):
    """A model that says the key it was called with, in its answer and in its log-probabilities."""

    def respond(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, said = super().respond(body)
        choice = said["choices"][0]
        answer = json.loads(choice["message"]["content"])
        choice["message"]["content"] = json.dumps({**answer, "rationale": f"you sent Bearer {CANARY}"})
        choice["logprobs"] = {"content": [{"token": CANARY, "logprob": 0.0, "top_logprobs": []}]}
        return status, {**said, "system_fingerprint": CANARY}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SHOP_KEY", CANARY)
    # What the libraries read by themselves must not travel either.
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_API_KEY", "OPENAI_WEBHOOK_SECRET"):
        monkeypatch.setenv(name, "sk-other-canary-of-another-server")
    return CANARY


def settings(server: LoopbackServer, **changes: Any) -> dict[str, Any]:
    price = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}
    given = {"annotator": "chat", "base_url": server.url, "model": "m", "api_key_env": "SHOP_KEY", "price": price}
    return {**given, "prompts": ["classify.v2"], "rationale": True, "record": "answers.jsonl", **changes}


def chat_at(url: str, **changes: Any) -> Chat:
    endpoint = Endpoint(url, "m", CANARY, "SHOP_KEY")
    made = Chat(SCHEME, endpoint, MemoryLedger(), ("classify.v2",), limits=Limits(2, 5.0, 1), rationale=True)
    return replace(made, **changes)


def test_a_key_that_the_server_echoes_is_nowhere(make_project, llm_al, key, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    # Fonts fill pages and know no keys.
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    shown: list[str] = []
    with LoopbackServer(Echo(by_text(GOLD)), api_key=key, faults={3: Fault("503", "0")}) as server:
        server.batches = FakeBatches(server.chat)
        for name, is_batch in (("live", False), ("batch", True)):
            project = make_project(
                name, llm=settings(server, batch=is_batch), budget={"human_labels": 15, "llm_usd": 1.0}
            )
            while list(project.run())[-1].n_llm_waiting:
                pass
            shown += [repr(project), repr(project.loop().steps), repr(project._assembly()), str(project.estimate())]
            shown += [repr(project.config), repr(project.store.annotations()), repr(list(project.label_rows()))]
            commands = [("status",), ("status", "--json"), ("status", "--llm"), ("estimate", "--json")]
            if is_batch:
                commands = [("run",)]
            else:
                project.report()
            project.export()
            project.close()
            shown += [llm_al(name_, project.folder, *rest).output for name_, *rest in commands]
            found = project.folder.rglob("*")
            leaks = [path.name for path in found if path.is_file() and b"canary" in path.read_bytes()]
            assert leaks == []
            assert (project.folder / "answers.jsonl").exists()
            assert b"you sent Bearer ***" in b"".join(p.read_bytes() for p in project.folder.glob("project.db*"))
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer {key}"}
    assert "canary" not in "\n".join(shown)
    assert "canary" not in "\n".join(record.getMessage() + repr(record.__dict__) for record in caplog.records)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 302])
@pytest.mark.parametrize("is_batch", [False, True])
def test_no_error_of_any_status_shows_the_key(status: int, is_batch: bool, key, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    said = error(f"{CANARY} is wrong, {json.dumps(CANARY)}", CANARY)

    async def handle(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(
            status, json=said, headers={"location": "https://elsewhere.example.com", "retry-after": "0"}
        )

    chat = chat_at("http://llm.test/v1", transport=httpx2.MockTransport(handle))
    if is_batch:
        chat = replace(chat, batching=Batching())
        chat.session.is_known = True
    texts = []
    try:
        texts.append(repr(chat.annotate(TEXTS)))
    except ProviderError as exc:
        texts += ["".join(traceback.format_exception(exc)), repr(exc), repr(vars(exc)), repr(exc.__cause__)]
    logged = "".join(repr(record.__dict__) for record in caplog.records)
    assert "canary" not in "".join(texts) + repr(chat.ledger.calls) + logged


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"a": f"x {CANARY} y"}),
        json.dumps({"a": CANARY}).replace("/", "\\/"),
        json.dumps({"a": CANARY}).replace("c", "\\u0063"),
        json.dumps({CANARY: [1, None, {"b": [CANARY]}]}),
        f"<html>{CANARY}</html>",
        "[" * 3000 + f'"{CANARY}"' + "]" * 3000,
        '{"a": "' + CANARY,
    ],
)
def test_every_spelling_of_the_key_is_taken_out(body: str) -> None:
    clean = redacted(body, CANARY)
    assert "canary" not in clean
    assert "\\u0063anary" not in clean
    assert "***" in clean


@pytest.mark.parametrize("short", [None, "", "none", "EMPTY", "refund"])
def test_a_stand_in_for_a_key_changes_no_answer(short: str | None) -> None:
    body = '{"code": "refund", "x": "none", "escaped": "\\u00fc"}'
    assert redacted(body, short) == body


def test_what_holds_no_key_is_stored_as_it_came() -> None:
    body = '{ "a":\t"\\u00fc", "logprobs": 1}'
    assert redacted(body, CANARY) == body


@pytest.mark.parametrize(
    "url", ["ftp://h/v1", "file:///etc/passwd", "h/v1", "http://user:word@h/v1", "https://user@h/v1"]
)
@pytest.mark.parametrize("place", ["llm", "panel", "cascade"])
def test_a_url_is_http_without_a_user_wherever_it_stands(url: str, place: str, make_project) -> None:
    own = {"base_url": url, "api_key_env": "X", "model": "other"}
    given = {"llm": own, "panel": {"panel": [own]}, "cascade": {"cascade": {"then": own}}}[place]
    with pytest.raises(ConfigError, match=r"base_url|user name or password"):
        make_project(llm={"annotator": "chat", "price": None, **given}, budget={"llm_usd": None}).loop()


SWITCHES = ["verify_ssl", "ssl", "ssl_verify", "verify_tls", "tls", "insecure", "trust_env", "http_client"]
SWITCHES += ["transport", "check_certificates", "ca_bundle", "allow_redirects", "proxy", "default_headers", "api_key"]


@pytest.mark.parametrize("name", SWITCHES)
def test_no_key_of_a_project_file_reaches_the_connection(name: str, make_project) -> None:
    member = {"model": "n", name: False}
    for given in ({name: False}, {"panel": [member]}, {"cascade": {"then": member}}, {"price": {name: 0}}):
        with pytest.raises(ConfigError, match="unknown key 'llm"):
            validate_config({"labels": ["a", "b"], "llm": {"annotator": "chat", **given}})
    with pytest.raises(ConfigError, match="annotator 'chat' takes none"):
        make_project(llm={"annotator": "chat", "options": {name: False}}).loop()


def test_no_setting_is_about_verification() -> None:
    def names(model: type[BaseModel]) -> Iterator[str]:
        for name, field in model.model_fields.items():
            yield name
            for inner in [field.annotation, *getattr(field.annotation, "__args__", ())]:
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    yield from names(inner)

    found = {name for name in names(ProjectConfig) if any(word in name for word in ("ssl", "tls", "cert", "insecure"))}
    assert found == set()


class Quiet(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.path, dict(self.headers)))  # type: ignore[attr-defined]
        status, said = FakeChat().respond(json.loads(raw)) if raw else (200, {"data": []})
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep standard error clean."""


@pytest.fixture
def https() -> Iterator[Any]:
    """A server with a certificate that nobody has signed."""
    server = HTTPServer(("127.0.0.1", 0), Quiet)
    server.seen = []  # type: ignore[attr-defined]
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("is_batch", [False, True])
def test_a_certificate_that_nobody_signed_is_refused_in_one_clear_line(is_batch: bool, https, monkeypatch) -> None:
    url = f"https://127.0.0.1:{https.server_address[1]}/v1"
    chat = chat_at(url, batching=Batching() if is_batch else None)
    chat.session.is_known = True
    for name in ("PYTHONHTTPSVERIFY", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, "0" if name == "PYTHONHTTPSVERIFY" else "")
    with pytest.raises(ProviderUnreachableError, match=r"certificate of https://127.* cannot be verified") as caught:
        chat.annotate(TEXTS)
    assert "SSL_CERT_FILE" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert https.seen == []
    assert chat.ledger.spent_nanousd() == 0


def test_the_variable_that_the_message_names_helps(https, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))
    url = f"https://127.0.0.1:{https.server_address[1]}/v1"
    assert [a.label for a in chat_at(url).annotate(TEXTS)] == ["delivery", "refund"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("is_batch", [False, True])
def test_a_redirect_is_not_followed(status: int, is_batch: bool) -> None:
    asked: list[str] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.host)
        return httpx2.Response(status, headers={"location": "https://elsewhere.example.com/v1"})

    chat = chat_at(
        "http://llm.test/v1", transport=httpx2.MockTransport(handle), batching=Batching() if is_batch else None
    )
    chat.session.is_known = True
    with pytest.raises(ProviderError, match=r"check llm\.base_url"):
        chat.annotate(TEXTS)
    assert set(asked) == {"llm.test"}


def test_a_redirect_on_loopback_carries_no_key_on() -> None:
    with LoopbackServer() as other:

        class Redirect(Quiet):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(307)
                self.send_header("Location", f"{other.url}/chat/completions")
                self.send_header("Content-Length", "0")
                self.end_headers()

        first = HTTPServer(("127.0.0.1", 0), Redirect)
        thread = Thread(target=first.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        for batching in (None, Batching()):
            chat = chat_at(f"http://127.0.0.1:{first.server_address[1]}/v1", batching=batching)
            chat.session.is_known = True
            with pytest.raises(ProviderError, match="HTTP 307"):
                chat.annotate(TEXTS)
        first.shutdown()
        first.server_close()
        thread.join()
        assert other.log == []


@pytest.mark.parametrize(
    ("url", "is_named"),
    [("http://llm.example.com/v1", True), ("https://llm.example.com/v1", False), ("http://127.0.0.1:1/v1", False)],
)
def test_a_key_that_would_travel_in_the_clear_is_warned_about_once(url: str, is_named: bool, make_project, key) -> None:
    given = {"annotator": "chat", "base_url": url, "api_key_env": "SHOP_KEY", "model": "gpt-4o-mini"}
    project = make_project(llm=given, budget={"llm_usd": 1.0})
    project.estimate()
    project.loop()
    project.loop()
    warned = [note for note in project.notes if "is not encrypted: the key in SHOP_KEY" in note]
    assert len(warned) == is_named
    assert "canary" not in repr(project.notes)


def test_a_member_of_a_panel_is_warned_about_too_and_no_key_is_no_reason(monkeypatch) -> None:
    member = {"base_url": "http://llm.example.com/v1", "api_key_env": "MEMBER_KEY", "model": "n"}
    config = validate_config({"labels": ["a", "b"], "llm": {"panel": [member], "cascade": {"then": member}}})
    assert llm_assembly.unencrypted(config.llm) == []
    monkeypatch.setenv("MEMBER_KEY", CANARY)
    assert len(llm_assembly.unencrypted(config.llm)) == 2


@pytest.mark.parametrize("place", ["llm", "panel", "cascade"])
def test_an_unknown_price_under_a_cap_is_named_wherever_the_model_stands(place: str, make_project) -> None:
    own = {"model": "own-model", "base_url": "https://llm.example.com/v1", "api_key_env": "X"}
    given = {"llm": own, "panel": {"panel": [own]}, "cascade": {"cascade": {"then": own}}}[place]
    with pytest.raises(ConfigError, match=r"price of model 'own-model' .* is not known.*set llm\.price") as caught:
        make_project(llm={"annotator": "chat", **given}, budget={"llm_usd": 1.0}).loop()
    assert "its own entry under llm.panel or llm.cascade" in str(caught.value)


def test_only_the_key_of_this_server_travels(key) -> None:
    sent: list[dict[str, str]] = []

    async def handle(request: httpx2.Request) -> httpx2.Response:
        sent.append(dict(request.headers))
        return httpx2.Response(404, json=error("no"))

    chat = chat_at("http://llm.test/v1", transport=httpx2.MockTransport(handle), batching=Batching())
    chat.session.is_known = True
    with pytest.raises(ProviderError):
        chat.annotate(TEXTS)
    assert sent[0]["authorization"] == f"Bearer {CANARY}"
    assert "sk-other-canary" not in repr(sent)
