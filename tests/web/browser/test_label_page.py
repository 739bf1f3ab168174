"""The label page in a real browser, by keys alone."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from llm_al.project import Project
from llm_al.types import NONE_OF_THESE, SKIP
from tests.fakes.desk_work import GOLD, LABELS, id_of, label_of
from tests.web.browser import screen
from tests.web.browser.conftest import Server, Watched

pytestmark = pytest.mark.slow
KEYS = dict(zip(LABELS, [*"123456789", *"abcdehijklmopqrstvwyz"], strict=False))
TARGET_MS = 50.0


def limit_ms() -> float:
    """Return the target; more where other work, as of parallel tests, keeps the processors from drawing the frame."""
    return TARGET_MS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def answer_by_key(page: Any, label: str) -> None:
    """Press the label's key; look it up with the search where it has none."""
    if label in KEYS:
        screen.press(page, KEYS[label])
        return
    thing, trouble = label.split("_")
    page.keyboard.press("/")
    page.keyboard.type(f"{thing[:5]} {trouble[:4]}")
    screen.press(page, "Enter")


def work_through(page: Any, n: int) -> tuple[dict[str, str], list[str]]:
    """Answer `n` texts; now and then skip, say none of these, or take an answer back. Return answers and undone ids.

    A text takes longer to read than an answer takes to arrive, so each turn waits for that.
    """
    given, undone = {}, []
    for turn in range(n):
        screen.sent(page)
        text = screen.text(page)
        label = label_of(text)
        if turn % 10 == 3:
            screen.press(page, "Space")
            given[id_of(text)] = SKIP
        elif turn % 10 == 6:
            screen.press(page, "x")
            given[id_of(text)] = NONE_OF_THESE
        else:
            if turn % 10 == 8:
                screen.press(page, "1")
                screen.ready(page)
                if turn % 20 == 8:
                    screen.sent(page)
                screen.press(page, "u" if turn % 20 == 8 else "Backspace")
                assert screen.text(page) == text
                undone.append(id_of(text))
            answer_by_key(page, label)
            given[id_of(text)] = label
    return given, undone


def test_fifty_texts_by_keys_alone_are_in_the_store_answer_by_answer(
    desk_server: Server, open_page: Callable[..., Any], watched: Watched
) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    given, undone = work_through(page, 50)
    screen.sent(page)
    times = screen.answer_times_ms(page)
    stored = desk_server.votes()["ann"]
    assert {id_: vote.label for id_, vote in stored.items()} == given
    assert len(given) == 50
    assert not any(vote.is_suggestion_shown for vote in stored.values())
    assert all(vote.duration_s is not None and vote.duration_s >= 0.0 for vote in stored.values())
    with Project.open(desk_server.folder) as project:
        history = {id_: project.store.annotation_history(id_) for id_ in given}
    retracted = [vote.example_id for votes in history.values() for vote in votes if vote.retracts is not None]
    # What had not been sent yet when it was undone never arrives.
    assert set(undone[::2]) <= set(retracted) <= set(undone)
    print(f"answer to next: median {np.median(times):.1f} ms, p95 {np.quantile(times, 0.95):.1f} ms, n {len(times)}")
    assert len(times) >= 50
    assert np.quantile(times, 0.95) < limit_ms()
    assert watched.complaints == []
    assert watched.hosts == {desk_server.url.removeprefix("http://")}


def test_keys_never_fire_while_somebody_types(desk_server: Server, open_page: Callable[..., Any]) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    text = screen.text(page)
    page.keyboard.press("/")
    page.keyboard.type("1 x u")
    assert (screen.text(page), page.input_value("#find")) == (text, "1 x u")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    page.keyboard.type("2 x is what I u nderstood")
    assert screen.text(page) == text
    page.keyboard.press("Enter")
    assert page.text_content("#noted") == "Note: 2 x is what I u nderstood"
    for chord in ("Control+1", "Alt+2", "Meta+3"):
        page.keyboard.press(chord)
    assert screen.text(page) == text
    label = label_of(text)
    answer_by_key(page, label)
    screen.sent(page)
    vote = desk_server.votes()["ann"][id_of(text)]
    assert (vote.label, vote.reason) == (label, "2 x is what I u nderstood")


def test_search_finds_a_label_by_letters_and_arrow_keys(desk_server: Server, open_page: Callable[..., Any]) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    page.keyboard.press("/")
    page.keyboard.type("jack")
    names = page.locator("#found .label-name").all_text_contents()
    assert names == [name for name in LABELS if name.startswith("jacket")]
    # The keys of labels stay what they are in the whole list.
    assert page.locator("#found kbd").all_text_contents() == [KEYS.get(name, "") for name in names]
    text = screen.text(page)
    screen.press(page, "ArrowDown", "ArrowDown", "ArrowUp", "Enter")
    screen.sent(page)
    assert desk_server.votes()["ann"][id_of(text)].label == names[1]
    page.keyboard.press("/")
    page.keyboard.type("lmbr")
    assert page.locator("#found .label-name").all_text_contents() == ["lamp_broken"]
    page.keyboard.press("Escape")
    assert page.locator("#recent .label").count() >= 1


def test_an_earlier_answer_can_be_looked_at_and_changed(desk_server: Server, open_page: Callable[..., Any]) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    first = screen.text(page)
    screen.press(page, "1")
    now = screen.text(page)
    screen.press(page, "ArrowLeft")
    assert screen.text(page) == first
    assert page.text_content("#place") == f"1 back: {LABELS[0]}"
    assert page.locator("#board .chosen .label-name").text_content() == LABELS[0]
    screen.press(page, "2")
    assert screen.text(page) == now
    screen.sent(page)
    assert desk_server.votes()["ann"][id_of(first)].label == LABELS[1]


def test_answers_wait_in_the_tab_while_the_server_is_away_and_survive_a_reload(
    desk_server: Server, open_page: Callable[..., Any]
) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    page.route("**/api/answers", lambda route: route.abort())
    text = screen.text(page)
    screen.press(page, "3")
    page.locator("#banner:not([hidden])").wait_for()
    assert screen.waiting_here(page) == 1
    assert id_of(text) not in desk_server.votes()["ann"]
    page.unroute("**/api/answers")
    page.reload()
    screen.ready(page)
    screen.sent(page)
    assert screen.text(page) != text
    assert desk_server.votes()["ann"][id_of(text)].label == LABELS[2]
    assert len(GOLD) > len(desk_server.votes()["ann"])


def test_an_answer_that_is_refused_comes_back_with_the_reason(
    desk_server: Server, open_page: Callable[..., Any]
) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    text = screen.text(page)
    refusal = {"status": 422, "content_type": "application/json", "body": '{"error": "this label is unknown"}'}
    page.route("**/api/answers", lambda route: route.fulfill(**refusal))
    page.keyboard.press("4")
    page.locator("#banner:not([hidden])").wait_for()
    assert "this label is unknown" in str(page.text_content("#banner"))
    assert screen.text(page) == text
    page.unroute("**/api/answers")
    screen.press(page, "4")
    screen.sent(page)
    assert desk_server.votes()["ann"][id_of(text)].label == LABELS[3]


def test_a_text_that_somebody_else_answered_meanwhile_goes_away_with_a_word(
    desk_server: Server, open_page: Callable[..., Any]
) -> None:
    page = open_page(desk_server.url)
    screen.ready(page)
    text = screen.text(page)
    gone = {"status": 409, "content_type": "application/json", "body": '{"error": "it went to somebody else"}'}
    page.route("**/api/answers", lambda route: route.fulfill(**gone))
    screen.press(page, "5")
    page.get_by_text("it went to somebody else").wait_for()
    page.unroute("**/api/answers")
    assert screen.waiting_here(page) == 0
    assert screen.text(page) != text


def test_guidelines_of_any_shape_are_drawn_as_text(desk_server: Server, open_page: Callable[..., Any]) -> None:
    page = open_page(f"{desk_server.url}/guidelines")
    draw = """async (source) => {
      const path = document.querySelector("script[src$='shell.js']").src.replace("shell.js", "markdown.js");
      const box = document.createElement("div");
      box.append((await import(path)).render(source));
      return box.innerHTML;
    }"""
    sources = {
        "# A & B\ntext": "<h2>A &amp; B</h2><p>text</p>",
        "- a\n  - b\n  1. c\n- d": "<ul><li>a<ul><li>b</li></ul><ol><li>c</li></ol></li><li>d</li></ul>",
        "2. x **y** `<b>`": "<ol><li>x <strong>y</strong> <code>&lt;b&gt;</code></li></ol>",
        "```\n*open": '<pre tabindex="0"><code>*open</code></pre>',
        "> said\n> so": "<blockquote><p>said so</p></blockquote>",
        "[x](javascript:alert) <i>": "<p>[x](javascript:alert) &lt;i&gt;</p>",
        "snake_case_name * 2 * 3": "<p>snake_case_name * 2 * 3</p>",
        "|": '<div class="scroll"><table><thead><tr></tr></thead><tbody></tbody></table></div>',
    }
    assert {source: page.evaluate(draw, source) for source in sources} == sources
