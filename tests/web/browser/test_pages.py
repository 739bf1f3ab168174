"""Every page: nothing blocked, nothing foreign, every control named, large enough and legible."""

from collections.abc import Callable
from typing import Any

import pytest

from llm_al.project import Project
from tests.fakes.desk_work import EVIL, GOLD, LABELS, id_of
from tests.web.browser import screen
from tests.web.browser.conftest import Server, Watched

pytestmark = pytest.mark.slow
PAGES = {"": "#desk:not(.idle)", "review": "#case:not([hidden])", "dashboard": ".tiles", "guidelines": "#prose h2"}
PAGES |= {"people": "#files > *"}
LOOKS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True},
}


@pytest.fixture(scope="module")
def reviewed(form_server: Server) -> Server:
    """The server of every form, with answers that differ, and guidelines that try to be markup."""
    with Project.open(form_server.folder) as project:
        ids = list(GOLD)[20:26]
        for person in ("mia", "ben"):
            for n, id_ in enumerate(ids):
                project.answer(id_, LABELS[n if person == "mia" else 2 * n], annotator=person)
        (form_server.folder / "guidelines.md").write_text(f"# What to do\n\n- {EVIL}\n\n**Read** `it`.\n", "utf-8")
    return form_server


@pytest.mark.parametrize("look", LOOKS)
def test_pages_are_clean_and_accessible(
    look: str, reviewed: Server, open_page: Callable[..., Any], watched: Watched
) -> None:
    page = open_page(f"{reviewed.url}/guidelines", reduced_motion="reduce", **LOOKS[look])
    found: dict[str, list[str]] = {}
    for name, ready in PAGES.items():
        page.goto(f"{reviewed.url}/{name}")
        page.locator(ready).first.wait_for()
        found[name] = page.evaluate(screen.INSPECT)
    page.goto(f"{reviewed.url}/nothing")
    found["message"] = page.evaluate(screen.INSPECT)
    assert {name: complaints for name, complaints in found.items() if complaints} == {}
    # The page that is not there says so in the console.
    assert [text for text in watched.complaints if "404" not in text] == []
    assert watched.hosts == {reviewed.url.removeprefix("http://")}


def test_rulings_are_made_by_keys(reviewed: Server, open_page: Callable[..., Any], watched: Watched) -> None:
    page = open_page(f"{reviewed.url}/review")
    page.locator("#case:not([hidden])").wait_for()
    first, place = page.text_content("#case-text"), page.text_content("#case-place")
    assert {"mia", "ben"} <= set(page.locator(".vote-who > span:first-child").all_text_contents())
    page.keyboard.press("c")
    page.keyboard.press("n")
    page.keyboard.type("1 x is not a ruling")
    page.keyboard.press("Escape")
    assert page.text_content("#case-text") == first
    label = page.locator("#offered .label-name").nth(1).text_content()
    page.keyboard.press("2")
    page.get_by_text(f"Ruled {label}, a check question from now on").wait_for()
    second = page.text_content("#case-text")
    assert second != first
    assert page.text_content("#case-place") != place
    page.keyboard.press("/")
    page.keyboard.type("lamp que")
    page.keyboard.press("Enter")
    page.get_by_text("Ruled lamp_question").wait_for()
    with Project.open(reviewed.folder) as project:
        standing = project.store.rulings.standing()
    ruled = standing[id_of(str(first))]
    assert (ruled.label, ruled.is_gold, ruled.note) == (label, True, "1 x is not a ruling")
    assert standing[id_of(str(second))].label == "lamp_question"
    assert watched.complaints == []


def test_guidelines_are_written_with_a_preview(reviewed: Server, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{reviewed.url}/guidelines")
    assert EVIL in page.text_content("#prose")
    assert page.locator("#prose img, #prose script").count() == 0
    page.get_by_role("button", name="Edit").click()
    page.fill("#source", "## New\n\nAsk *twice*.")
    page.locator("#preview em").wait_for()
    page.keyboard.press("Control+Enter")
    page.locator("#prose h3", has_text="New").wait_for()
    assert (reviewed.folder / "guidelines.md").read_text("utf-8") == "## New\n\nAsk *twice*."


def test_the_theme_is_kept_and_the_dashboard_is_drawn(reviewed: Server, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{reviewed.url}/dashboard", color_scheme="light")
    page.locator(".tiles").wait_for()
    assert page.locator(".tile").count() == 6
    page.locator("#theme").click()
    page.locator("#theme").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(14, 18, 23)"
