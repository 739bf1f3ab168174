"""Kill the demo with SIGKILL at random moments, continue it each time, and compare with an undisturbed run.

python benchmarks/crash_recovery.py --kills 20 --student head --llm loopback

Every attempt is a process of its own, forked from one that has imported everything but computed nothing. With
``--llm loopback`` the LLM is a server in another process that logs what it was paid for.
"""

import argparse
import csv
import hashlib
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _attempts import Attempt, Case, Moment, attempt, moments, warm_up
from _results import Claim, table, write

from llm_al import demo
from llm_al.annotators.chat import Chat
from llm_al.project import Project

NAME = "crash_recovery"
_ROOT = Path(__file__).parents[1]
_SAMPLE = Path(demo.__file__).parent / "sample"
_COMPARED = ("id", "label", "source", "posterior")
_PRICE = {"input_usd_per_million": 0.15, "output_usd_per_million": 0.6}
_QUICK: dict[str, Any] = {
    "embedder": {"name": "hashing"},
    "strategy": {"initial": 20, "human_per_round": 10, "llm_per_round": 30},
    "budget": {"human_labels": 40, "llm_usd": 0.0},
}
_WRONG_SHARE = 0.15
"""Of the loopback LLM's answers."""


@contextmanager
def server(folder: Path, source: Path, latency_s: float) -> Iterator[tuple[str, Path]]:
    """Run a loopback LLM in its own process; give its URL and its log."""
    log, gold = folder / "calls.jsonl", folder / "answers.json"
    gold.write_text(json.dumps(_answers(source)), encoding="utf-8")
    command = [sys.executable, "-m", "tests.fakes.loopback", "--log", str(log), "--gold", str(gold)]
    # A killed client leaves broken connections, which the server would tell of on standard error.
    process = subprocess.Popen(
        [*command, "--latency", str(latency_s)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield (process.stdout.readline().strip() if process.stdout else ""), log
    finally:
        process.kill()
        process.wait()


def _answers(source: Path) -> dict[str, str]:
    """Return what the LLM answers to a text: gold, with errors that hang on the text alone."""
    texts = {row["id"]: row["text"] for row in _rows(source / "pool.csv")}
    gold = {row["id"]: row["label"] for row in _rows(source / "gold.csv") if row["id"] in texts}
    names = sorted(set(gold.values()))
    answers = {}
    for example_id, label in gold.items():
        code = zlib.crc32(texts[example_id].encode())
        is_wrong = code % 1000 < 1000 * _WRONG_SHARE
        answers[texts[example_id]] = names[code // 1000 % len(names)] if is_wrong else label
    return answers


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _calls(folder: Path) -> dict[str, tuple[str, int]]:
    """Return state and booked nano-dollars of every LLM call in a project's ledger, read from outside."""
    path = folder / "project.db"
    if not path.exists():
        return {}
    with closing(sqlite3.connect(path)) as database:
        query = "select request_hash, state, reserved_nanousd + cost_nanousd + lost_nanousd from llm_calls"
        return {row[0]: (row[1], row[2]) for row in database.execute(query)}


def _log(path: Path) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [entry for entry in entries if entry["status"] == 200 and "chat" in entry["path"]]


def _hashes(folder: Path) -> dict[str, str]:
    """Return the request hash of every question that the project can ask, by the hash of its messages."""
    with Project.open(folder) as project:
        chat = project.loop().steps.llm
        if not isinstance(chat, Chat):
            raise SystemExit(f"the project asks {chat}, which is no chat annotator")
        examples = [example for chunk in project.store.iter_examples() for example in chunk]
        asked = [question.request(example.text) for example in examples for question in chat.questions()]
    return {hashlib.sha256(json.dumps(list(r.messages)).encode()).hexdigest(): r.hash for r in asked}


@dataclass
class Outcome:
    """A project that was killed: its attempts, and the calls that were open in its ledger at each kill."""

    attempts: list[Attempt] = field(default_factory=list)
    open_at_kills: Counter[str] = field(default_factory=Counter)

    @property
    def n_kills(self) -> int:
        """How often it was killed before its end."""
        return sum(bool(attempt.killed_in) for attempt in self.attempts)


def kill_and_continue(case: Case, folder: Path, plan: list[Moment]) -> Outcome:
    """Run until the end, killed at each moment of the plan on the way."""
    outcome = Outcome()
    for moment in plan:
        made = attempt(case, folder, moment)
        outcome.attempts.append(made)
        if not made.killed_in:
            return outcome
        outcome.open_at_kills.update(h for h, (state, _) in _calls(folder).items() if state == "reserved")
    outcome.attempts.append(attempt(case, folder))
    return outcome


def _export(folder: Path) -> bytes:
    """Return the compared columns of the exported labels, as the file has them."""
    rows = _rows(folder / "exports" / "labels.csv")
    return "\n".join("\t".join(row[name] for name in _COMPARED) for row in rows).encode()


def money(folder: Path, log: Path, open_at_kills: Counter[str]) -> dict[str, int]:
    """Compare what the server was paid for with the project's ledger.

    A call counts as in flight at a kill if its reservation was open in the ledger when the process was dead; it may be
    paid once more for each such kill.
    """
    hashes, entries, calls = _hashes(folder), _log(log), _calls(folder)
    paid = Counter(hashes.get(entry["messages_hash"], "unknown") for entry in entries)
    price = {
        hashes.get(entry["messages_hash"], "unknown"): round(
            1000 * (entry["n_tokens_in"] * _PRICE["input_usd_per_million"])
            + 1000 * (entry["n_tokens_out"] * _PRICE["output_usd_per_million"])
        )
        for entry in entries
    }
    again = {h: n - 1 for h, n in paid.items() if n > 1}
    ledger = sum(booked for _, booked in calls.values())
    return {
        "n_paid": sum(paid.values()),
        "n_requests": len(paid),
        "n_paid_again": sum(again.values()),
        "n_paid_again_not_in_flight": sum(max(n - open_at_kills[h], 0) for h, n in again.items()),
        "n_paid_unknown_to_ledger": sum(h not in calls for h in paid),
        "ledger_nanousd": ledger,
        "server_nanousd": sum(n * price[h] for h, n in paid.items()),
        "server_again_nanousd": sum(n * price[h] for h, n in again.items()),
    }


def small_sample(folder: Path, n_pool: int = 100, n_test: int = 60) -> Path:
    """Write the first rows of the sample data and return their folder."""
    source = folder / "sample"
    source.mkdir()
    for name, n_rows in (("pool.csv", n_pool), ("test.csv", n_test), ("gold.csv", None)):
        rows = _rows(_SAMPLE / name)
        with (source / name).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows[:n_rows])
    for name in ("labels.yaml", "guidelines.md"):
        (source / name).write_bytes((_SAMPLE / name).read_bytes())
    return source


@dataclass
class Tally:
    """What all killed projects add up to."""

    n_kills: int = 0
    n_projects: int = 0
    n_different: int = 0
    money: Counter[str] = field(default_factory=Counter)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, attempts: list[Attempt], **project: Any) -> None:
        """Keep a row an attempt."""
        self.rows += [
            {**project, "attempt": number, "seconds": round(made.seconds, 3), "killed_in": made.killed_in}
            for number, made in enumerate(attempts, start=1)
        ]


def measure(case: Case, folder: Path, args: argparse.Namespace, log: Path | None) -> Tally:
    """Run the demo undisturbed, then kill it as often as was asked, and compare.

    A demo that comes to its end before its last kill is compared, and another one takes the kills that are left.
    """
    rng, tally = random.Random(args.seed), Tally()
    undisturbed = attempt(case, folder / "undisturbed")
    expected = _export(folder / "undisturbed")
    tally.add([undisturbed], project="undisturbed", seed=args.seed)
    while tally.n_kills < args.kills:
        tally.n_projects += 1
        killed = folder / f"killed-{tally.n_projects}"
        if log is not None:
            log.unlink(missing_ok=True)
        outcome = kill_and_continue(case, killed, moments(undisturbed, args.kills - tally.n_kills, rng))
        tally.n_kills += outcome.n_kills
        tally.n_different += _export(killed) != expected
        tally.add(outcome.attempts, project=f"killed {tally.n_projects}", seed=args.seed)
        if log is not None:
            time.sleep(2 * args.latency + 0.1)
            tally.money.update(money(killed, log, outcome.open_at_kills))
    return tally


def claims(tally: Tally, n_kills: int) -> list[Claim]:
    """Judge a tally."""

    def none(claim: str, value: float, unit: str) -> Claim:
        return Claim(claim, value, 0, "lower", unit)

    made = [
        Claim("SIGKILLs that hit the running demo, each continued", tally.n_kills, n_kills, "higher", "kills"),
        none("killed demos whose labels differ from the undisturbed run", tally.n_different, "projects"),
    ]
    if paid := tally.money:
        beyond = (paid["server_nanousd"] - paid["ledger_nanousd"]) / 1e9
        made += [
            none("calls paid twice that were not in flight at a kill", paid["n_paid_again_not_in_flight"], "calls"),
            none("paid calls that the ledger does not know", paid["n_paid_unknown_to_ledger"], "calls"),
            none("server's total beyond the ledger's, second payments included", beyond, "USD"),
        ]
    return made


@contextmanager
def prepared(args: argparse.Namespace, folder: Path) -> Iterator[tuple[Case, Path | None]]:
    """Give what is to be run and, with a loopback LLM, its log."""
    source = small_sample(folder) if args.quick else _SAMPLE
    settings: dict[str, Any] = dict(_QUICK) if args.quick else {}
    with ExitStack() as stack:
        log = None
        if args.llm == "loopback":
            url, log = stack.enter_context(server(folder, source, args.latency))
            budget = {**demo.SETTINGS["budget"], **settings.get("budget", {}), "llm_usd": 5.0}
            llm = {"annotator": "chat", "base_url": url, "model": "loopback", "price": _PRICE}
            settings.update(llm=llm, budget=budget)
        yield Case(settings, args.student, source), log


def _attempts_table(rows: list[dict[str, Any]]) -> str:
    columns = ["project", "attempt", "seconds", "killed after"]
    return table([{**row, "killed after": row["killed_in"]} for row in rows], columns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--student", default="head")
    parser.add_argument("--llm", choices=("zero_shot", "loopback"), default="zero_shot")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds before each answer of the loopback LLM")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="100 texts, hashed words in place of an encoder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    warm_up()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with prepared(args, folder) as (case, log):
            tally = measure(case, folder, args, log)
        sources = Counter(row["source"] for row in _rows(folder / "undisturbed" / "exports" / "labels.csv"))
    sections = {
        "Attempts": _attempts_table(tally.rows),
        "Labels compared": table([sources], sorted(sources)),
    }
    if tally.money:
        sections["Money"] = table([tally.money], list(tally.money))
    judged = claims(tally, args.kills)
    totals = {"project": "all", "labels": dict(sources), "money": dict(tally.money)}
    name = f"{NAME}_{args.llm}"
    path = write(args.out, name, claims=judged, rows=[*tally.rows, totals], sections=sections)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))
    if not all(claim.is_met for claim in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
