"""Start the server: refuse what would let strangers in, say where it is, run one process or several."""

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from llm_al.errors import ConfigError
from llm_al.people.passwords import new_token
from llm_al.people.roster import Roster, clean_name
from llm_al.project import Project
from llm_al.store.people import fold
from llm_al.web.app import create_app
from llm_al.web.keeper import RoundKeeper
from llm_al.web.settings import WebSettings, is_loopback

__all__ = ["app_from_environment", "serve", "server_key"]

_HANDED_OVER = "LLM_AL_SERVE"
_KEY_NAME = ".serve-key"
_FACTORY = "llm_al.web.serve:app_from_environment"


def app_from_environment() -> FastAPI:
    """Return the application that `serve` set up; called in each worker process."""
    handed = json.loads(os.environ[_HANDED_OVER])
    return create_app(handed["folder"], WebSettings.from_json(handed["settings"]))


def server_key(folder: Path) -> str:
    """Return the key of a project's form tokens; made once, so that pages survive a restart of the server."""
    path = folder / _KEY_NAME
    if not path.exists():
        descriptor, name = tempfile.mkstemp(prefix=f"{_KEY_NAME}.", dir=folder)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(new_token())
        # Whoever is first wins, also between two processes.
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
        Path(name).unlink()
    return path.read_text(encoding="ascii")


def serve(
    folder: str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    workers: int = 1,
    base: str = "",
    annotator: str = "me",
    add_owner: str | None = None,
    allow_hosts: Sequence[str] = (),
    proxies: Sequence[str] = (),
    is_https: bool = False,
    runs_rounds: bool = False,
    say: Callable[[str], object] = print,
) -> None:
    """Serve a project until it is stopped.

    Parameters
    ----------
    host, port : str, int
        Where to listen; port 0 takes a free one.
    workers : int
        Processes, at least 1.
    base : str
        Path prefix of a proxy, for example "/labels".
    annotator : str
        Who everybody is, as long as the server is for this machine only and nobody has an account.
    add_owner : str, optional
        Give this person an owner's account, or their account a new token, and say how they log in.
    allow_hosts : sequence of str
        Host names under which people reach the server.
    proxies : sequence of str
        Addresses of proxies whose ``X-Forwarded-*`` headers are believed.
    is_https : bool
        Whether the proxy speaks https with the browser.
    runs_rounds : bool
        Run the next round whenever people have answered everything.
    say : callable
        Takes each line for whoever starts the server.

    Raises
    ------
    ConfigError
        If others could come in and there is no owner, the port cannot be used, or an argument is wrong.
    """
    if workers < 1:
        raise ConfigError(f"{workers} worker processes cannot serve anything; give 1 or more")
    folder = Path(folder)
    with Project.open(folder) as project:
        roster = Roster(project.store.people)
        settings = WebSettings(annotator, server_key(folder), base, host, tuple(allow_hosts), tuple(proxies), is_https)
        token = None if add_owner is None else _add_owner(roster, add_owner)
        _refuse_strangers(roster, settings, folder)
    with _listen(host, port) as listener:
        _announce(settings, listener, (add_owner, token), say)
        with RoundKeeper(folder, say) if runs_rounds else contextlib.nullcontext():
            _run(folder, settings, listener, workers)
    say("stopped; everything that was answered is saved")


def _add_owner(roster: Roster, name: str) -> str | None:
    known = {fold(person.name): person for person in roster.people()}.get(fold(clean_name(name)))
    if known is None:
        return roster.add(name, "owner")
    if known.role != "owner" or not known.is_active:
        raise ConfigError(f"{known.name} has an account, but is no active owner; an owner can change that on the page")
    return roster.renew_token(known.name, is_session_kept=True)


def _refuse_strangers(roster: Roster, settings: WebSettings, folder: Path) -> None:
    if settings.needs_accounts and not roster.has_owner():
        raise ConfigError(
            f"others could reach this server (host {settings.host}), and nobody is its owner yet; "
            f"add one: llm-al serve {folder} --host {settings.host} --add-owner NAME"
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named in full: otherwise asyncio does not know it for TCP, and answers wait 40 ms for each other (Nagle).
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), port))
        # From now on browsers wait instead of being refused, until the workers are up.
        listener.listen(2048)
    except (OSError, OverflowError) as exc:
        listener.close()
        raise ConfigError(
            f"port {port} of {host} cannot be used ({getattr(exc, 'strerror', None) or exc}); "
            "choose another with --port, or 0 for any"
        ) from exc
    listener.set_inheritable(True)
    return listener


def _announce(
    settings: WebSettings, listener: socket.socket, owner: tuple[str | None, str | None], say: Callable[[str], object]
) -> None:
    port = listener.getsockname()[1]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    name = f"[{shown}]" if ":" in shown else shown
    named = next((allowed for allowed in settings.allowed_hosts if not is_loopback(allowed)), None)
    url = f"http://{name}:{port}{settings.base}/"
    if settings.is_https and named is not None:
        url = f"https://{named}{settings.base}/"
    also = "" if shown == settings.host else ", and on every other address of this machine"
    say(f"serving on {url}{also} - stop with Ctrl-C")
    if owner[1] is not None:
        say(f"{owner[0]} logs in with this link, which is shown only now: {url}login?token={owner[1]}")


def _run(folder: Path, settings: WebSettings, listener: socket.socket, workers: int) -> None:
    os.environ[_HANDED_OVER] = json.dumps({"folder": str(folder.resolve()), "settings": settings.to_json()})
    config = uvicorn.Config(
        _FACTORY,
        factory=True,
        workers=workers,
        access_log=False,
        log_level="warning",
        # The gate reads X-Forwarded-* itself, from trusted addresses only.
        proxy_headers=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        timeout_worker_healthcheck=60,
    )
    try:
        if workers > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        del os.environ[_HANDED_OVER]
