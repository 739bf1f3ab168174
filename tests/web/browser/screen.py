"""What tests do on the label page: read it, press keys, wait for what comes next."""

from pathlib import Path
from typing import Any

Page = Any
INSPECT = (Path(__file__).parent / "inspect.js").read_text(encoding="utf-8").split("\n", 1)[1]

CHANGED = """old => new Promise((done) => {
  const [text, desk, state] = ["text", "desk", "state"].map((id) => document.getElementById(id));
  const isIdle = () => desk.classList.contains("idle");
  const isNew = () => (isIdle() ? state.dataset.state !== "loading" : text.textContent !== old);
  if (isNew()) return done(true);
  const watch = new MutationObserver(() => { if (isNew()) { watch.disconnect(); done(true); } });
  const everything = { subtree: true, childList: true, characterData: true, attributes: true };
  watch.observe(desk, everything);
  setTimeout(() => done(false), 10000);
  return undefined;
})"""


def ready(page: Page) -> None:
    """Wait until there is a text to label."""
    page.locator("#desk:not(.idle)").wait_for()


def text(page: Page) -> str:
    """Return the text on the screen."""
    return str(page.evaluate("document.getElementById('text').textContent"))


def press(page: Page, *keys: str) -> None:
    """Press keys, and wait until another text (or none) is on the screen."""
    old = text(page)
    for key in keys:
        page.keyboard.press(key)
    assert page.evaluate(CHANGED, old), f"{keys} changed nothing"


def sent(page: Page) -> None:
    """Wait until the server has everything."""
    for _ in range(400):
        if page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('llm_al.outbox')).length") == 0:
            return
        page.wait_for_timeout(25)
    raise AssertionError("some answers were not sent")


def waiting_here(page: Page) -> int:
    """Return how many answers are kept in the tab."""
    kept = "Object.entries(sessionStorage).filter(([key]) => key.startsWith('llm_al.outbox'))"
    return int(page.evaluate(f"{kept}.flatMap(([, value]) => JSON.parse(value)).length"))


def answer_times_ms(page: Page) -> list[float]:
    """Return the times from a key to the frame with the next text, in milliseconds."""
    found: Any = page.evaluate("performance.getEntriesByName('answer-to-next').map((entry) => entry.duration)")
    return [float(value) for value in found]
