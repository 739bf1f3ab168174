import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_al.errors import ConfigError
from llm_al.project import Project
from llm_al.web.serve import _listen, serve, server_key

SERVER = """
import sys
from llm_al.web.serve import serve
if __name__ == "__main__":
    serve(sys.argv[1], port=0, workers=int(sys.argv[2]), annotator="me", say=lambda line: print(line, flush=True))
"""


@pytest.fixture
def start(folder: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], str]]]:
    """Start a server and return its process and address."""
    script = tmp_path / "server.py"
    script.write_text(SERVER)
    started: list[subprocess.Popen[str]] = []

    def run(workers: int = 1) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, str(script), str(folder), str(workers)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.fullmatch(r"serving on (http://127\.0\.0\.1:\d+/) - stop with Ctrl-C\n", line)
        assert found, line
        return process, found[1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ask(url: str, body: Any = None, **headers: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(request, timeout=60) as reply:
        return reply.read().decode()


def token_of(url: str) -> str:
    found = re.search(r'name="csrf-token" content="([0-9a-f]+)"', ask(url))
    assert found is not None
    return found[1]


@pytest.mark.slow
def test_killed_and_restarted_nothing_is_lost_and_open_pages_go_on(start, folder) -> None:
    process, url = start(workers=2)
    token = token_of(url)
    items = json.loads(ask(f"{url}api/next"))["items"]
    body = {"ticket": items[0]["id"], "label": "refund"}
    ask(f"{url}api/answers", body, **{"X-CSRF-Token": token})
    # Without a word of warning to anybody.
    group = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
    ).stdout.split()
    for pid in [str(process.pid), *group]:
        os.kill(int(pid), signal.SIGKILL)
    process.wait(30)
    process, url = start(workers=2)
    # The page that was open before still knows the token.
    body = {"ticket": items[1]["id"], "label": "product"}
    ask(f"{url}api/answers", body, **{"X-CSRF-Token": token})
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stdout.read() == "stopped; everything that was answered is saved\n"
    with Project.open(folder) as project:
        assert sorted((a.example_id, a.label) for a in project.store.annotations()) == [
            ("p0", "refund"),
            ("p1", "product"),
        ]


def test_the_key_is_made_once_and_for_this_user_only(folder) -> None:
    first = server_key(folder)
    assert len(first) == 43
    assert server_key(folder) == first
    assert (folder / ".serve-key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in folder.glob(".serve-key*")] == [".serve-key"]


@pytest.mark.parametrize(
    "options", [{"host": "0.0.0.0"}, {"host": "::"}, {"allow_hosts": ["labels.example"]}, {"proxies": ["127.0.0.1"]}]
)
def test_without_an_owner_others_are_not_let_in(folder, options) -> None:
    with pytest.raises(
        ConfigError, match=r"others could reach this server .* add one: llm-al serve .* --add-owner NAME"
    ):
        serve(folder, port=0, **options)


def test_a_port_that_is_taken_is_told(folder) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"port {port} of 127.0.0.1 cannot be used .* choose another with --port"
        ):
            serve(folder, port=port)


def test_no_worker_is_no_server(folder) -> None:
    with pytest.raises(ConfigError, match="0 worker processes cannot serve anything"):
        serve(folder, workers=0)


@pytest.fixture
def said(folder, monkeypatch) -> Callable[..., list[str]]:
    """What is said before the server runs, which it does not here."""
    monkeypatch.setattr("llm_al.web.serve._run", lambda *_args: None)

    def lines(**options: Any) -> list[str]:
        heard: list[str] = []
        serve(folder, port=0, say=heard.append, **options)
        return heard

    return lines


def test_a_new_owner_gets_a_link_once(said, folder) -> None:
    first, second, last = said(host="0.0.0.0", add_owner="Olga", base="/labels")
    everywhere = "and on every other address of this machine - stop with Ctrl-C"
    assert re.fullmatch(rf"serving on http://127\.0\.0\.1:\d+/labels/, {everywhere}", first)
    link = re.fullmatch(
        r"Olga logs in with this link, which is shown only now: (\S+/labels/login\?token=([\w-]{43}))", second
    )
    assert link
    assert last == "stopped; everything that was answered is saved"
    with Project.open(folder) as project:
        assert project.roster.login_with_token(link[2]).session.role == "owner"
    assert len(said(host="0.0.0.0")) == 2


def test_a_lost_token_is_replaced_and_sessions_go_on(said, folder) -> None:
    old = said(add_owner="Olga")[1].rpartition("=")[2]
    with Project.open(folder) as project:
        entry = project.roster.login_with_token(old)
    new = said(add_owner="olga")[1].rpartition("=")[2]
    with Project.open(folder) as project:
        assert project.roster.session(entry.secret)
        assert project.roster.login_with_token(new).session.person == "Olga"
        assert len(project.roster.people()) == 1


def test_an_annotator_is_not_made_owner_by_the_way(said, folder) -> None:
    with Project.open(folder) as project:
        project.roster.add("olga", "owner")
        project.roster.add("ann", "annotator")
    with pytest.raises(ConfigError, match="ann has an account, but is no active owner"):
        said(add_owner="Ann")


def test_behind_https_the_name_of_the_proxy_is_shown(said) -> None:
    lines = said(add_owner="olga", allow_hosts=["labels.example"], is_https=True)
    assert lines[0] == "serving on https://labels.example/ - stop with Ctrl-C"


def test_answers_are_sent_at_once() -> None:
    # asyncio switches Nagle's waiting off only where a socket is named TCP; else each answer takes 40 ms longer.
    with _listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert (listener.proto, accepted.proto) == (socket.IPPROTO_TCP, socket.IPPROTO_TCP)
