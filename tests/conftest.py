import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# Before torch and the hub's client are imported; processes that tests start inherit it.
os.environ.update(
    HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_DISABLE_PROGRESS_BARS="1"
)
# The fakes are importable as `tests.fakes...` however pytest is started.
_ROOT = str(Path(__file__).parents[1])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)

import pytest  # noqa: E402
import torch  # noqa: E402
from click.testing import Result  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from llm_al.cli import app  # noqa: E402
from llm_al.pool import PoolView  # noqa: E402
from llm_al.project import Project  # noqa: E402
from tests.fakes import shop  # noqa: E402
from tests.fakes.views import make_view  # noqa: E402

_LOOPBACK = ("127.", "::1", "localhost")


def _is_local(address: Any) -> bool:
    # Unix sockets have a path for an address.
    return not isinstance(address, tuple) or str(address[0]).startswith(_LOOPBACK)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection but to this machine."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded(real: Any) -> Any:
        def attempt(self: socket.socket, address: Any) -> Any:
            if not _is_local(address):
                raise OSError(f"tests reach no network; connection to {address} refused")
            return real(self, address)

        return attempt

    def guarded_look_up(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not _is_local((host,)):
            raise socket.gaierror(f"tests reach no network; name {host} not looked up")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded(connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(connect_ex))
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """A folder with the files of a user who has no project yet."""
    folder = tmp_path / "inputs"
    shop.write_inputs(folder)
    return folder


@pytest.fixture
def make_project(tmp_path: Path, inputs: Path) -> Iterator[Any]:
    """Create fast projects: ``make_project(budget={"rounds": 1})``."""
    made: list[Project] = []

    def make(name: str = "shop", *, test: bool = True, **changes: Any) -> Project:
        folder = tmp_path / name
        project = Project.create(
            folder,
            texts=inputs / "pool.csv",
            labels=inputs / "labels.json",
            test=inputs / "test.csv" if test else None,
            settings=shop.settings(**changes),
        )
        (folder / "gold.csv").write_bytes((inputs / "gold.csv").read_bytes())
        made.append(project)
        return project

    yield make
    for project in made:
        project.close()


@pytest.fixture
def llm_al(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command line in this process: ``llm_al("run", folder)`` gives exit_code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*args: object, typed: str | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=typed)

    return call


@pytest.fixture(scope="session")
def _finished_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    shop.write_inputs(folder)
    files = {"texts": folder / "pool.csv", "labels": folder / "labels.json", "test": folder / "test.csv"}
    with Project.create(folder / "shop", **files, settings=shop.FAST) as project:
        shutil.copy(folder / "gold.csv", project.folder)
        list(project.run())
    return folder / "shop"


@pytest.fixture
def finished(_finished_once: Path, tmp_path: Path) -> Path:
    """A closed project that has run to its end: three rounds, 21 answers of the simulated person."""
    return Path(shutil.copytree(_finished_once, tmp_path / "finished"))


@pytest.fixture(scope="session")
def view_of() -> Callable[..., PoolView]:
    """A pool of random unit vectors: ``view_of(20, n_labeled=2)``."""
    return make_view
