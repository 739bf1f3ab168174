"""Simulated annotators as a process of their own: each logs in, draws, thinks, answers, skips and takes back.

python benchmarks/_annotators.py --url http://127.0.0.1:8000 --plan plan.json --log log.jsonl

Talks to this machine only, for the seconds of the plan, and then stops by itself. A person thinks for a time drawn from
a gamma distribution of shape 4, sends one request at a time and keeps one question ahead, as the page does.
"""

import argparse
import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

_MAX_PEOPLE, _MAX_SECONDS = 200, 600.0
_TIMEOUT_S = 15.0
_EMPTY_S = 0.5
Json = dict[str, Any]


@dataclass(frozen=True)
class Habits:
    """How everybody behaves.

    Parameters
    ----------
    think_s : float
        Mean time between seeing a text and answering it.
    skip_rate, undo_rate : float
        Share of the moves that skip a text, or take the last answer back.
    """

    seconds: float
    think_s: float = 1.0
    skip_rate: float = 0.04
    undo_rate: float = 0.04
    login_s: float = 3.0
    """Within which everybody comes in."""
    seed: int = 0


@dataclass
class Annotator:
    """One person with a browser."""

    name: str
    token: str
    labels: list[str]
    habits: Habits
    log: list[Json]
    queue: list[Json] = field(default_factory=list)
    last: int | None = None

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.habits.seed} {self.name}")

    async def work(self, url: str, until: float) -> None:
        """Come in, and go on until the clock says so."""
        jar = aiohttp.CookieJar(unsafe=True)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        await asyncio.sleep(self._dice.uniform(0.0, self.habits.login_s))
        async with aiohttp.ClientSession(url, cookie_jar=jar, timeout=timeout) as self._session:
            if not await self._enter():
                return
            while time.time() < until:
                await asyncio.sleep(self._dice.gammavariate(4.0, self.habits.think_s / 4.0))
                await self._move()

    async def _enter(self) -> bool:
        found = await self._call("login", "POST", "/api/login", {"token": self.token})
        self._session.headers["X-CSRF-Token"] = str(found.get("csrf", ""))
        await self._call("page", "GET", "/")
        await self._call("scheme", "GET", "/api/scheme")
        await self._draw()
        return "csrf" in found

    async def _draw(self) -> None:
        have = ",".join(str(item["id"]) for item in self.queue)
        self._take(await self._call("next", "GET", f"/api/next?n=2&have={have}"))

    async def _move(self) -> None:
        if not self.queue:
            await asyncio.sleep(_EMPTY_S)
            return await self._draw()
        dice = self._dice.random()
        if dice < self.habits.undo_rate and self.last is not None:
            return await self._undo(self.last)
        is_skip = dice > 1.0 - self.habits.skip_rate
        await self._answer("skip" if is_skip else self._dice.choice(self.labels))
        return None

    async def _answer(self, label: str) -> None:
        item, *rest = self.queue
        body = {
            "ticket": item["id"],
            "label": label,
            "seconds": self.habits.think_s,
            "is_suggestion_shown": bool(item["suggestions"]),
            "form": item["form"],
            "have": [one["id"] for one in rest],
        }
        found = await self._call("answer", "POST", "/api/answers", body, example_id=item["example_id"])
        # A question that is gone, or an answer that never arrived: go on, as the page does.
        self.queue, self.last = rest, item["id"] if found else None
        self._take(found)

    async def _undo(self, ticket: int) -> None:
        found = await self._call("undo", "POST", "/api/undo", {"ticket": ticket})
        self.last = None
        self._take({"items": [found["item"]]} if "item" in found else {}, is_first=True)

    def _take(self, found: Json, *, is_first: bool = False) -> None:
        known = {item["id"] for item in self.queue}
        new = [item for item in found.get("items", ()) if item["id"] not in known]
        self.queue = [*new, *self.queue] if is_first else [*self.queue, *new]
        for item in new:
            self._note("got", ticket=item["id"], example_id=item["example_id"], at_s=time.time())

    async def _call(self, kind: str, method: str, path: str, body: Json | None = None, **more: Any) -> Json:
        """Return the answer of the server; {} where it refused or gave none."""
        sent_s, found, status = time.time(), {}, 0
        try:
            async with self._session.request(method, path, json=body) as response:
                raw, status = await response.read(), response.status
                found = json.loads(raw) if status == 200 and path != "/" else {}
        except (aiohttp.ClientError, TimeoutError) as exc:
            more["error"] = type(exc).__name__
        said = {name: body[name] for name in ("ticket", "label") if body is not None and name in body}
        self._note(kind, sent_s=sent_s, done_s=time.time(), status=status, **said, **more)
        return found

    def _note(self, kind: str, **facts: Any) -> None:
        self.log.append({"person": self.name, "kind": kind, **facts})


async def everybody(url: str, plan: Json, habits: Habits) -> list[Json]:
    """Let all people work at once and return what each did, in the order of one clock."""
    log: list[Json] = []
    people = [Annotator(name, token, plan["labels"], habits, log) for name, token in plan["tokens"].items()]
    until = time.time() + habits.login_s + habits.seconds
    async with asyncio.timeout(habits.login_s + habits.seconds + 2 * _TIMEOUT_S):
        await asyncio.gather(*(person.work(url, until) for person in people))
    return log


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--plan", type=Path, required=True, help="JSON: tokens by name, labels, habits.")
    parser.add_argument("--log", type=Path, required=True)
    args = parser.parse_args()
    plan = json.loads(args.plan.read_text(encoding="utf-8"))
    habits = Habits(**plan["habits"])
    if urlsplit(args.url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise SystemExit(f"{args.url} is not this machine; simulated people work on loopback only")
    if len(plan["tokens"]) > _MAX_PEOPLE or habits.seconds > _MAX_SECONDS:
        raise SystemExit(f"at most {_MAX_PEOPLE} people for {_MAX_SECONDS:g} seconds")
    log = asyncio.run(everybody(args.url, plan, habits))
    args.log.write_text("".join(json.dumps(row) + "\n" for row in log), encoding="utf-8")


if __name__ == "__main__":
    main()
