import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from llm_al.people.roster import Roster
from llm_al.project import Project
from llm_al.web.app import create_app
from llm_al.web.settings import WebSettings
from tests.fakes import shop
from tests.fakes.argon import cheap_passwords

GOOD = "four words make one"
HERE = "http://127.0.0.1:8000"


class Visit(TestClient):
    """A browser on the pages of a project: it keeps cookies and knows the token of its page."""

    csrf = ""

    def csrf_of(self, path: str = "/") -> str:
        """Return the token that a page carries."""
        found = re.search(r'<meta name="csrf-token" content="([^"]*)"', self.get(path).text)
        assert found is not None
        return found[1]

    def call(self, method: str, path: str, **body: Any) -> Any:
        """Send JSON as a page does."""
        if not self.csrf:
            self.csrf = self.csrf_of()
        return self.request(method, path, json=body, headers={"X-CSRF-Token": self.csrf})

    def form(self, path: str, shown_at: str | None = None, **fields: str) -> Any:
        """Fill a form in and send it."""
        fields = {"csrf": self.csrf_of(shown_at or path), **fields}
        return self.post(path, data=fields, follow_redirects=False)

    def log_in(self, name: str, password: str = GOOD) -> Any:
        """Log in through the form."""
        self.csrf = ""
        return self.form("/login", name=name, password=password)


@pytest.fixture(scope="session")
def _asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("asked")
    shop.write_inputs(folder)
    human = {"annotator": "queue", "gold": None, "gold_rate": 0.0, "re_ask_rate": 0.0}
    files = {"texts": folder / "pool.csv", "labels": folder / "labels.json"}
    with Project.create(folder / "shop", **files, settings=shop.settings(human=human)) as project:
        project.store.enqueue([row["id"] for row in shop.POOL[:12]], round=0, reason="the first texts")
    return folder / "shop"


@pytest.fixture
def folder(_asked: Path, tmp_path: Path) -> Path:
    """A closed project with twelve questions, p0 to p11, and nobody who has an account."""
    return Path(shutil.copytree(_asked, tmp_path / "shop"))


@pytest.fixture
def make_app(folder: Path) -> Callable[..., Any]:
    """Make the application with cheap passwords: ``make_app(base="/labels")``."""

    def make(**settings: Any) -> Any:
        app = create_app(folder, WebSettings(**{"annotator": "me", "key": "k" * 43, **settings}))
        people = app.state.site.project.store.people
        app.state.site = replace(app.state.site, roster=Roster(people, passwords=cheap_passwords()))
        return app

    return make


@pytest.fixture
def open_site(make_app: Callable[..., Any]) -> Iterator[Callable[..., Visit]]:
    """Open a browser on a new server: ``open_site(base="/labels")``."""
    visits: list[Visit] = []

    def visit(base_url: str = HERE, **settings: Any) -> Visit:
        opened = Visit(make_app(**settings), base_url=base_url, client=("127.0.0.1", 50000)).__enter__()
        visits.append(opened)
        return opened

    yield visit
    for opened in visits:
        opened.__exit__(None, None, None)


@pytest.fixture
def alone(open_site: Callable[..., Visit]) -> Visit:
    """The one person at this machine, without an account."""
    return open_site()


@pytest.fixture
def staffed(open_site: Callable[..., Visit]) -> Visit:
    """A stranger at a server where olga is owner, rita reviewer, and ann and bob are annotators."""
    visit = open_site()
    roster = visit.app.state.site.roster
    for name, role in (("olga", "owner"), ("rita", "reviewer"), ("ann", "annotator"), ("bob", "annotator")):
        roster.add(name, role, password=GOOD)
    return visit


@pytest.fixture
def person(staffed: Visit) -> Callable[[str], Visit]:
    """Open a browser of somebody who is logged in: ``person("ann")``."""

    def log_in(name: str) -> Visit:
        visit = Visit(staffed.app, base_url=HERE, client=("127.0.0.1", 50000))
        assert visit.log_in(name).status_code == 303
        return visit

    return log_in
