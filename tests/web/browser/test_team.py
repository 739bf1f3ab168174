"""Several people at once, a server that dies, a session that ends."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from llm_al.project import Project
from tests.fakes.desk_work import id_of
from tests.web.browser import screen
from tests.web.browser.conftest import Server

pytestmark = pytest.mark.slow
Team = tuple[Server, dict[str, str]]


def label(page: Any, n: int, key: str) -> list[str]:
    """Answer `n` texts with one key and return their ids."""
    done = []
    for _ in range(n):
        screen.ready(page)
        done.append(id_of(screen.text(page)))
        screen.press(page, key)
    return done


def test_two_people_at_once_and_a_killed_server_lose_nothing(team_server: Team, open_page: Callable[..., Any]) -> None:
    from playwright.sync_api import TimeoutError as NotShownError

    server, tokens = team_server
    pages = {name: open_page(server.url, token=tokens[name]) for name in ("mia", "ben")}
    done: dict[str, list[str]] = {name: [] for name in pages}
    for page in pages.values():
        screen.ready(page)
    for _ in range(5):
        for name, page in pages.items():
            done[name] += label(page, 2, "1")
    assert not set(done["mia"]) & set(done["ben"])

    for page in pages.values():
        screen.sent(page)
    server.kill()
    for name, page in pages.items():
        # The texts at hand can still be answered; the answers wait in the tab.
        done[name] += label(page, 2, "2")
        page.locator("#banner:not([hidden]), #state[data-state='down']").first.wait_for()
        assert screen.waiting_here(page) >= 2
    server.start()
    for name, page in pages.items():
        again = page.get_by_role("button", name="Try now").or_(page.get_by_role("button", name="Look again now")).first
        # On a slow machine the page has found the server by itself before the button is pressed.
        with contextlib.suppress(NotShownError):
            again.click(timeout=2_000)
        screen.sent(page)
        screen.ready(page)
        done[name] += label(page, 3, "3")
        screen.sent(page)

    stored = server.votes()
    assert {name: sorted(votes) for name, votes in stored.items()} == {name: sorted(ids) for name, ids in done.items()}
    assert not set(done["mia"]) & set(done["ben"])
    assert all(len(ids) == 15 for ids in done.values())


def test_a_session_that_ends_costs_no_answer(team_server: Team, open_page: Callable[..., Any]) -> None:
    server, tokens = team_server
    page = open_page(server.url, token=tokens["mia"])
    screen.ready(page)
    page.context.clear_cookies()
    text = screen.text(page)
    screen.press(page, "1")
    dialog = page.locator("dialog[open]")
    dialog.wait_for()
    dialog.get_by_text("Log in with a token instead").click()
    dialog.get_by_label("Token").fill(tokens["mia"])
    dialog.get_by_role("button", name="Log in").click()
    dialog.wait_for(state="detached")
    screen.sent(page)
    assert id_of(text) in server.votes()["mia"]
    with Project.open(server.folder) as project:
        assert project.roster.people()


def test_an_invitation_leads_to_an_account_without_javascript(team_server: Team, open_page: Callable[..., Any]) -> None:
    server, tokens = team_server
    owner = open_page(server.url, token=tokens["olga"])
    owner.goto(f"{server.url}/people")
    owner.get_by_label("Name").fill("noor")
    owner.get_by_role("button", name="Make a link").click()
    link = owner.get_by_label("The link").input_value()
    assert link.startswith(f"{server.url}/invite/")
    guest = open_page(link, java_script_enabled=False)
    assert guest.get_by_label("Name").input_value() == "noor"
    guest.get_by_label("Password", exact=False).first.fill("a long enough sentence")
    guest.get_by_label("Password again").fill("a long enough sentence")
    guest.get_by_role("button", name="Join").click()
    assert guest.url == f"{server.url}/"
    guest.get_by_role("button", name="Log out").click()
    assert guest.url == f"{server.url}/login"
    guest.get_by_role("textbox", name="Name").fill("noor")
    guest.get_by_label("Password", exact=True).fill("a long enough sentence")
    guest.get_by_role("button", name="Log in").click()
    assert guest.url == f"{server.url}/"
    noor = open_page(f"{server.url}/login")
    assert noor.evaluate(screen.INSPECT) == []
    owner.reload()
    owner.locator("#people tbody tr", has_text="noor").wait_for()
    owner.get_by_label("What noor knows well").click()
    owner.get_by_label("tent_broken").check()
    owner.get_by_role("button", name="Keep").click()
    owner.locator(".knows .badge", has_text="tent_broken").wait_for()
    screen.ready(open_page(server.url, token=tokens["mia"]))
