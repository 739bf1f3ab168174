"""A real server process over a small project, and a real browser in front of it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from llm_al.project import Project
from llm_al.store.store import SqlStore
from llm_al.types import Annotation
from tests.fakes import desk_work, shop

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_ARGS += ["--disable-sync", "--no-first-run"]


def _missing(what: str) -> None:
    """Skip, visibly; fail where a browser was promised."""
    if os.environ.get("LLM_AL_REQUIRE_BROWSER") == "1":
        pytest.fail(f"browser tests are required, and {what}")
    pytest.skip(f"browser tests need Playwright and Chromium: {what}")


def find_chromium() -> str:
    given = os.environ.get("LLM_AL_CHROMIUM")
    found = next(filter(None, [given, *map(shutil.which, _NAMES)]), None)
    if found is None:
        _missing("no Chromium was found; say where it is in LLM_AL_CHROMIUM")
    return str(found)


# Not for the whole session: its event loop would still run in the tests that come after.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("the package playwright is not installed")
    executable = find_chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=_ARGS)
        yield started
        started.close()


@dataclass
class Watched:
    """What a page said and asked for behind the scenes."""

    complaints: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def attach(self, page: Any) -> None:
        """Listen to a page: errors, blocked content, and whom it speaks to."""
        page.on("console", lambda m: m.type in ("error", "warning") and self.complaints.append(m.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
def open_page(browser: Any, watched: Watched) -> Iterator[Callable[..., Any]]:
    """Open a page as a new visitor: ``open_page(url, token="...")`` logs in first."""
    contexts: list[Any] = []

    def open_(url: str, *, token: str = "", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        watched.attach(page)
        if token:
            page.goto(f"{url}/login?token={token}")
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(f"{url}/")
        else:
            page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()


@dataclass
class Server:
    """`llm-al serve` in a process of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        command = [sys.executable, "-m", "llm_al.cli", "serve", str(self.folder), "--port", str(self.port)]
        with (self.folder.parent / "server.log").open("ab") as log:
            self.process = subprocess.Popen([*command, "--annotator", "ann"], stdout=log, stderr=log)
        until = time.monotonic() + 120
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/login", timeout=5):
                return
            time.sleep(0.05)
        raise RuntimeError((self.folder.parent / "server.log").read_text())

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def votes(self) -> dict[str, dict[str, Annotation]]:
        """Return person -> example id -> what stands, read from the store as another program would."""
        with Project.open(self.folder) as project:
            return votes_of(project.store)


def votes_of(store: SqlStore) -> dict[str, dict[str, Annotation]]:
    found: dict[str, dict[str, Annotation]] = {}
    for vote in store.annotations():
        if vote.kind.value == "human":
            found.setdefault(vote.source.removeprefix("human:"), {})[vote.example_id] = vote
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _serve(tmp: Path, prepare: Callable[[Project], None]) -> Iterator[Server]:
    human = {"annotator": "queue", "gold": None, "gold_rate": 0.0, "re_ask_rate": 0.0, "matching": "none"}
    settings = shop.settings(human=human, name="Helpdesk")
    files = desk_work.write_inputs(tmp / "inputs")
    with Project.create(tmp / "helpdesk", **files, settings=settings) as project:
        prepare(project)
    server = Server(tmp / "helpdesk", _free_port())
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.process.terminate()
        server.process.wait(20)


@pytest.fixture(scope="module")
def desk_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """77 labels, sixty plain questions, nobody with an account."""
    yield from _serve(tmp_path_factory.mktemp("desk"), desk_work.ask_plainly)


@pytest.fixture(scope="session")
def form_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Questions of every form, a blind one, texts and labels that try to be markup."""
    yield from _serve(tmp_path_factory.mktemp("forms"), desk_work.ask_in_every_form)


@pytest.fixture(scope="module")
def team_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, dict[str, str]]]:
    """A server with accounts, and the login tokens of an owner and two annotators."""
    tokens: dict[str, str] = {}

    def prepare(project: Project) -> None:
        desk_work.ask_plainly(project)
        for name, role in (("olga", "owner"), ("mia", "annotator"), ("ben", "annotator")):
            tokens[name] = project.roster.add(name, role) or ""

    for server in _serve(tmp_path_factory.mktemp("team"), prepare):
        yield server, tokens
