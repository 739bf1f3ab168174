"""Take the pictures of the pages under docs/images/: ``python docs/screenshots.py``.

Builds the sample project with three people and two finished rounds in a temporary folder, serves it on loopback and
photographs every page in light, dark and at the width of a phone. Needs Chromium, and the packages of the tests.
"""

import argparse
import csv
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from llm_al.people.desk_types import Reply
from llm_al.phrasing import Form, Phrasing
from llm_al.project import Project

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "llm_al" / "sample"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
ARGS += ["--disable-sync", "--no-first-run", "--font-render-hinting=none"]
DESKTOP = {"width": 1360, "height": 850}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESKTOP, "color_scheme": "light"},
    "dark": {"viewport": DESKTOP, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True, "is_mobile": True},
}
SETTINGS: dict[str, Any] = {
    "name": "Fernhollow messages",
    "embedder": {"model": "offline"},
    "strategy": {"initial": 30, "human_per_round": 22, "llm_per_round": 120},
    "llm": {"annotator": "zero_shot"},
    "human": {"annotator": "simulated", "gold": "gold.csv"},
    "budget": {"human_labels": 74, "llm_usd": 0.0},
    "stop": {"kappa": None},
}
PEOPLE = {"mia": (0.05, 4.0), "ben": (0.2, 6.5), "noor": (0.1, 5.0)}


def gold() -> dict[str, str]:
    """Return the pool's labels."""
    with (SAMPLE / "gold.csv").open(encoding="utf-8") as file:
        return {row["id"]: row["label"] for row in csv.DictReader(file)}


def build(folder: Path) -> None:
    """Create the project, run its first rounds, and let three people answer the same sixty texts."""
    files = {"texts": SAMPLE / "pool.csv", "labels": SAMPLE / "labels.yaml", "test": SAMPLE / "test.csv"}
    with Project.create(folder, **files, settings=SETTINGS) as project:
        for name in ("gold.csv", "guidelines.md"):
            shutil.copy(SAMPLE / name, folder)
        for outcome in project.run():
            print(outcome)
    path = folder / "project.yaml"
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    settings |= {"human": {"annotator": "queue", "gold_rate": 0.0}, "guidelines": "guidelines.md"}
    settings["budget"]["human_labels"] = 200
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    with Project.open(folder) as project:
        ask(project)


def ask(project: Project) -> None:
    """Let people answer what is asked of three at once, then ask one question of each form."""
    labels, names = gold(), list(project.scheme.names)
    ids = [id_ for id_ in labels if id_ not in {vote.example_id for vote in project.store.annotations()}]
    offered = {id_: Phrasing(Form.CANDIDATES, likely(labels[id_], names, n), 0.95) for n, id_ in enumerate(ids[:60])}
    project.store.enqueue(
        ids[:60], round=4, reason="three opinions", n_wanted=3, phrasing=dict(list(offered.items())[::2])
    )
    for seed, (person, (noise, seconds)) in enumerate(PEOPLE.items()):
        work(project, person, noise, seconds, np.random.default_rng(seed))
    rest = ids[60:]
    alike = [id_ for id_ in rest if labels[id_] == "return_refund"][:5]
    rest = [id_ for id_ in rest if id_ not in alike]
    forms = {
        rest[0]: Phrasing(Form.LIST),
        rest[1]: Phrasing(Form.CANDIDATES, likely(labels[rest[1]], names, 0), 0.95),
        rest[2]: Phrasing(Form.VERIFY, likely(labels[rest[2]], names, 0)[:1], 0.9),
        rest[3]: Phrasing(Form.PAIR, likely(labels[rest[3]], names, 0)[:2], 0.9),
    }
    for rank, id_ in enumerate(forms):
        project.store.enqueue([id_], round=5, reason="among the least sure", priority=9.0 - rank, phrasing=forms)
    bulk = dict.fromkeys(alike, Phrasing(Form.BULK, ("return_refund",), 0.9, "alike"))
    project.store.enqueue(alike, round=5, reason="similar to one another", priority=3.0, phrasing=bulk)
    project.store.enqueue(rest[4:80], round=5, reason="among the least sure")


def likely(label: str, names: list[str], shift: int) -> tuple[str, ...]:
    """Return three labels that stand for what a student finds plausible."""
    first = label if label in names else names[0]
    at = names.index(first)
    return (first, names[(at + 1 + shift % 3) % len(names)], names[(at + 5) % len(names)])


def work(project: Project, person: str, noise: float, seconds: float, rng: np.random.Generator) -> None:
    """Answer as one person, with a rate of wrong answers, until nothing is left."""
    labels, names = gold(), list(project.scheme.names)
    while tickets := project.desk.draw(person, n=10):
        for ticket in tickets:
            label = labels[ticket.example_id]
            if rng.random() < noise:
                label = str(rng.choice(names))
            taken = float(seconds * rng.lognormal(0.0, 0.4))
            note = "reads like two requests" if rng.random() < 0.04 else ""
            project.desk.answer(person, Reply(ticket.id, label, taken, note, bool(ticket.suggestions), ticket.form))
            if rng.random() < 0.05:
                project.desk.flag(person, ticket.id, "is this one message or two?")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a project on a free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llm_al.cli", "serve", str(folder), "--port", str(port), "--annotator", "ann"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    base = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 90
        while time.monotonic() < until:
            try:
                urllib.request.urlopen(f"{base}/api/scheme", timeout=5).close()
                break
            except OSError:
                time.sleep(0.3)
        yield base
    finally:
        server.terminate()
        server.wait(10)


def shoot(page: Page, path: Path) -> None:
    """Save what is on the screen with at most 256 colours."""
    page.wait_for_timeout(700)
    image = Image.open(BytesIO(page.screenshot()))
    image.convert("RGB").quantize(256, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} kB")


def to_form(page: Page, form: str) -> None:
    """Answer until a question of this form is on the screen."""
    accept = {"list": "3", "candidates": "1", "verify": "y", "pair": "1", "bulk": "Enter"}
    for _ in range(12):
        page.locator("#desk:not(.idle)").wait_for()
        found = page.get_attribute("#desk", "data-form") or "list"
        if found == form:
            return
        page.keyboard.press(accept[found])
        page.wait_for_timeout(250)
    raise SystemExit(f"no question of the form {form} came up")


def photograph(browser: Browser, base: str, out: Path) -> None:
    """Photograph the pages of everyday, in every look."""
    for look, options in LOOKS.items():
        context = browser.new_context(reduced_motion="reduce", **options)
        page = context.new_page()
        pages = [("label", "#desk:not(.idle)"), ("review", "#case:not([hidden])"), ("dashboard", ".tiles")]
        for name, ready in [*pages, ("guidelines", "#prose h2")]:
            page.goto(f"{base}/{'' if name == 'label' else name}")
            page.locator(ready).first.wait_for(timeout=30_000)
            shoot(page, out / f"web-{name}-{look}.png")
        context.close()
    forms(browser, base, out)


def forms(browser: Browser, base: str, out: Path) -> None:
    """Photograph every form of a question."""
    page = browser.new_page(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
    page.goto(f"{base}/")
    for form in ("candidates", "verify", "pair", "bulk"):
        to_form(page, form)
        shoot(page, out / f"web-label-{form}.png")
    page.keyboard.press("Shift+?")
    shoot(page, out / "web-label-keys.png")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    shoot(page, out / "web-label-guidelines.png")


def doors(browser: Browser, folder: Path, out: Path) -> None:
    """Photograph the pages of somebody who is not in yet, and the people page where people have accounts."""
    with Project.open(folder) as project:
        key = project.roster.add("ann", "owner")
        for name, role in (("mia", "reviewer"), ("ben", "annotator"), ("noor", "annotator")):
            project.roster.add(name, role)
        project.roster.change("mia", expertise=["safety_report", "damaged_defective"])
        token = project.roster.invite("annotator", by="ann", name="tove", hours=24.0)
    with serving(folder) as base:
        for look, options in LOOKS.items():
            page = browser.new_page(**options)
            for name, path in (("login", "/login"), ("invite", f"/invite/{token}"), ("message", "/invite/none")):
                page.goto(base + path)
                shoot(page, out / f"web-{name}-{look}.png")
            page.goto(f"{base}/login?token={key}")
            page.get_by_role("button", name="Log in").click()
            page.goto(f"{base}/people")
            page.locator("#people table").wait_for()
            shoot(page, out / f"web-people-{look}.png")
            page.close()


def main() -> None:
    """Read the arguments, build or take the project, take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--project", type=Path, help="a folder that keeps the project for the next time")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary, sync_playwright() as playwright:
        kept = arguments.project or Path(temporary) / "kept"
        if not kept.exists():
            build(kept)
        folder = Path(shutil.copytree(kept, Path(temporary) / "sample"))
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=ARGS)
        arguments.out.mkdir(parents=True, exist_ok=True)
        with serving(folder) as base:
            photograph(browser, base, arguments.out)
        doors(browser, folder, arguments.out)
        browser.close()


if __name__ == "__main__":
    main()
