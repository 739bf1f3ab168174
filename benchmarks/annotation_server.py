"""Let 50 simulated annotators work on one `llm-al serve` for a minute, and compare the store with their own logs.

python benchmarks/annotation_server.py --people 50 --seconds 60 --workers 1 4

Server and people are processes of their own on the same machine. The project is synthetic: short texts, 77 labels, one
finished round, so that a student and an LLM have suggestions, and texts of known label with which people are checked.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from _annotators import Habits
from _results import Claim, table, write
from sqlalchemy import select

from llm_al.annotators.simulated import Simulated
from llm_al.people.roster import Roster
from llm_al.project import Project
from llm_al.store.schema import tickets
from llm_al.types import SKIP, Annotation, AnnotatorKind

NAME = "annotation_server"
_HERE = Path(__file__).parent
_TARGET_MS = 100.0
_N_GOLD = 40
_START_S, _IDLE_S = 60.0, 0.1
_TOPICS = (
    "card payment transfer account balance refund cash limit pending fee exchange rate top up app phone pin order wait "
    "arrive days wrong charge twice salary verify identity address cancel freeze lost stolen virtual statement currency"
)
_WORDS = tuple(_TOPICS.split())
Json = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large the project and the crowd are."""

    n_people: int
    n_texts: int
    n_labels: int
    n_initial: int


def build(folder: Path, size: Size, seed: int) -> tuple[Json, set[str]]:
    """Make a project in whose queue every text waits; return the plan of the people, and the ids of gold texts."""
    rng = random.Random(seed)
    labels = [f"{_WORDS[n % len(_WORDS)]} {n}" for n in range(size.n_labels)]
    gold = {f"t{n}": labels[n % size.n_labels] for n in range(size.n_texts)}
    rows = [
        {"id": id_, "text": f"{label} {' '.join(rng.choices(_WORDS, k=rng.randint(4, 20)))} {id_}"}
        for id_, label in gold.items()
    ]
    settings = {
        "embedder": {"name": "hashing"},
        "student": {"name": "head", "model": "offline"},
        "strategy": {"initial": size.n_initial, "human_per_round": 20},
        "llm": {"annotator": "none"},
        "budget": {"human_labels": size.n_texts, "llm_usd": 0.0},
    }
    with Project.create(folder, texts=rows, labels=labels, settings=settings) as project:
        project.store.add_annotations(
            Annotation(id_, label, "llm 1", kind=AnnotatorKind.LLM, model="llm", confidence=0.5)
            for id_, label in gold.items()
        )
        list(project.run(max_rounds=1, annotator=Simulated(gold, labels)))
        given = {a.example_id for a in project.store.annotations() if a.kind.is_human}
        known = sorted(given, key=lambda id_: int(id_[1:]))[:_N_GOLD]
        for id_ in known:
            project.store.rulings.add(id_, gold[id_], person="human:boss", is_gold=True)
        project.store.enqueue([id_ for id_ in gold if id_ not in given], round=2, reason="load test")
        roster = Roster(project.store.people)
        roster.add("boss", "owner")
        tokens = {f"p{n:02}": roster.add(f"p{n:02}", "annotator") for n in range(size.n_people)}
    return {"tokens": tokens, "labels": labels}, set(known)


@contextmanager
def serving(folder: Path, n_workers: int, errors: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run `llm-al serve` on a free port; give its URL and its process."""
    command = [sys.executable, "-m", "llm_al.cli", "serve", str(folder), "--port", "0", "--workers", str(n_workers)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    with errors.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, env=environment)
        try:
            line = process.stdout.readline() if process.stdout else ""
            url = next((word for word in line.split() if word.startswith("http://")), "")
            if not url:
                raise SystemExit(f"the server did not start: {line}{errors.read_text(encoding='utf-8')[-2000:]}")
            _wait_until_up(url, psutil.Process(process.pid))
            yield url.rstrip("/"), psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_up(url: str, process: psutil.Process) -> None:
    """Return when the server answers and its workers, which take no requests before, have stopped to load."""
    with urllib.request.urlopen(f"{url}login", timeout=_START_S) as response:
        response.read()
    deadline, used_s = time.monotonic() + _START_S, -1.0
    while time.monotonic() < deadline and cpu_seconds(process) - used_s > _IDLE_S:
        used_s = cpu_seconds(process)
        time.sleep(1.0)


def cpu_seconds(process: psutil.Process) -> float:
    """Return what a process and its children have used."""
    family = [process, *process.children(recursive=True)]
    return sum(one.cpu_times().user + one.cpu_times().system for one in family)


def let_work(url: str, plan: Json, folder: Path) -> list[Json]:
    """Start the people, wait for them and return their log."""
    path, log = folder / "plan.json", folder / "log.jsonl"
    path.write_text(json.dumps(plan), encoding="utf-8")
    command = [sys.executable, str(_HERE / "_annotators.py"), "--url", url, "--plan", str(path), "--log", str(log)]
    habits = Habits(**plan["habits"])
    subprocess.run(command, check=True, timeout=habits.login_s + habits.seconds + 90.0)
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def acknowledged(log: Sequence[Json]) -> dict[int, tuple[str, str | None]]:
    """Return ticket -> (person, label) as the server has confirmed it; a label of None was taken back."""
    said: dict[int, tuple[str, str | None]] = {}
    for row in sorted((row for row in log if row["kind"] in ("answer", "undo")), key=lambda row: float(row["done_s"])):
        if row["status"] == 200:
            said[row["ticket"]] = (row["person"], row.get("label"))
        else:
            # Nobody can know whether it was kept.
            said.pop(row["ticket"], None)
    return said


def n_lost(folder: Path, said: Mapping[int, tuple[str, str | None]]) -> tuple[int, int]:
    """Return how many confirmed answers the store has not, and how many texts more people answered than were wanted."""
    with Project.open(folder) as project:
        standing = {a.row_id: a for a in project.store.annotations() if a.kind is AnnotatorKind.HUMAN}
        with project.store.database.reading() as connection:
            rows = {row.id: row for row in connection.execute(select(tickets))}
    lost = 0
    for id_, (person, label) in said.items():
        row = rows.get(id_)
        kept = standing.get(row.annotation) if row is not None else None
        is_there = row is not None and (row.annotator, row.label) == (f"human:{person}", label)
        is_check = row is not None and row.assignment is None
        is_standing = is_check or (kept.label if kept else None) == label
        lost += not (is_there and is_standing)
    votes = Counter(a.example_id for a in standing.values() if a.label != SKIP and a.source.startswith("human:p"))
    return lost, sum(n > 1 for n in votes.values())


def holds(log: Sequence[Json]) -> dict[str, list[tuple[float, float, str]]]:
    """Return for each text who held it from when to when, as their pages saw it."""
    end = max((float(row.get("done_s", 0.0)) for row in log), default=0.0)
    open_: dict[tuple[str, int], tuple[str, float]] = {}
    found: dict[str, list[tuple[float, float, str]]] = {}
    for row in sorted(log, key=lambda row: float(row["at_s"] if row["kind"] == "got" else row.get("sent_s", 0.0))):
        key = (row["person"], row.get("ticket", -1))
        if row["kind"] == "got":
            open_[key] = (row["example_id"], row["at_s"])
        elif row["kind"] == "answer" and key in open_:
            example_id, start = open_.pop(key)
            found.setdefault(example_id, []).append((start, row["sent_s"], row["person"]))
    for (person, _), (example_id, start) in open_.items():
        found.setdefault(example_id, []).append((start, end, person))
    return found


def n_double(log: Sequence[Json], gold: set[str]) -> int:
    """Return how many texts two people held at a time; texts that check people may be with several."""
    n = 0
    for example_id, held in holds(log).items():
        pairs = combinations(sorted(held), 2)
        n += example_id not in gold and any(a[2] != b[2] and b[0] < a[1] for a, b in pairs)
    return n


def summary(log: Sequence[Json], seconds: float) -> Json:
    """Return rates and latencies of a run."""
    calls = [row for row in log if row["kind"] != "got"]
    answers = [row for row in calls if row["kind"] == "answer"]
    times = np.array([1000 * (row["done_s"] - row["sent_s"]) for row in answers if row["status"] == 200] or [np.nan])
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return {
        "answers": len(answers),
        "skips": sum(row.get("label") == SKIP for row in answers),
        "undone": sum(row["kind"] == "undo" for row in calls),
        "p50_ms": float(p50),
        "p95_ms": float(p95),
        "p99_ms": float(p99),
        "max_ms": float(times.max()),
        "answers_per_s": len(answers) / seconds,
        "requests_per_s": len(calls) / seconds,
        "errors": sum(row["status"] != 200 for row in calls),
        "gone": sum(row["status"] == 409 for row in calls),
        "failed": dict(Counter(_failure(row) for row in calls if row["status"] not in (200, 409))),
    }


def _failure(row: Json) -> str:
    return f"{row['kind']}: {row.get('error') or row['status']}"


def measure(folder: Path, size: Size, habits: Habits, n_workers: int) -> Json:
    """Build, serve, work and compare once."""
    plan, gold = build(folder / "project", size, habits.seed)
    plan["habits"] = asdict(habits)
    with serving(folder / "project", n_workers, folder / "errors.txt") as (url, process):
        before_s, used_s = time.monotonic(), cpu_seconds(process)
        log = let_work(url, plan, folder)
        used_s, spent_s = cpu_seconds(process) - used_s, time.monotonic() - before_s
    said = acknowledged(log)
    lost, surplus = n_lost(folder / "project", said)
    return {
        "workers": n_workers,
        "people": size.n_people,
        **summary(log, habits.seconds),
        "acknowledged": len(said),
        "lost": lost,
        "double": n_double(log, gold) + surplus,
        "server_cpu_share": used_s / spent_s,
        "load_before": os.getloadavg()[0],
        "server_errors": len((folder / "errors.txt").read_text(encoding="utf-8").splitlines()),
    }


def claims(rows: Sequence[Json]) -> list[Claim]:
    """Judge every number of workers."""
    made: list[Claim] = []
    for row in rows:
        who = f"{row['people']} people, {row['workers']} worker{'s' if row['workers'] > 1 else ''}"
        made += [
            Claim(f"{who}: answer to next question, 95th percentile", row["p95_ms"], _TARGET_MS, "lower", "ms"),
            Claim(f"{who}: confirmed answers that the store has not", row["lost"], 0, "lower", "answers"),
            Claim(f"{who}: texts that two people held, or answered, at a time", row["double"], 0, "lower", "texts"),
            Claim(f"{who}: requests refused or failed", row["errors"], 0, "lower", "requests"),
        ]
    return made


def _conditions(size: Size, habits: Habits) -> str:
    return (
        f"{size.n_people} people for {habits.seconds:g} s over {size.n_texts} waiting texts with {size.n_labels} "
        f"labels; time to think gamma with shape 4 and mean {habits.think_s:g} s; {habits.skip_rate:.0%} of the moves "
        f"skip, {habits.undo_rate:.0%} take the last answer back; one request at a time and person, two questions "
        "in hand; gold and blind repeats at their default rates; embedded store (SQLite); server and people all on "
        "the same machine. A latency is from before `POST /api/answers` is sent to its last byte, which holds the next "
        "question. A text counts as held twice when two pages showed it at a time or two people answered it.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="Not used: the texts are synthetic.")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--think", type=float, default=1.0, help="Mean seconds between text and answer.")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seeds", type=int, default=1, help="Runs of each number of workers.")
    parser.add_argument("--quick", action="store_true", help="8 people for 3 seconds.")
    parser.add_argument("--out", type=Path, default=_HERE / "results")
    args = parser.parse_args()
    size = Size(8, 400, 6, 12) if args.quick else Size(args.people, 9_000, 77, 154)
    seconds, think_s = (3.0, 0.2) if args.quick else (args.seconds, args.think)
    rows = []
    for n_workers in args.workers:
        for seed in range(args.seeds):
            habits = Habits(seconds, think_s, seed=seed, login_s=1.0 if args.quick else 3.0)
            with tempfile.TemporaryDirectory() as folder:
                rows.append({"seed": seed, **measure(Path(folder), size, habits, n_workers)})
            print(json.dumps(rows[-1]))
    columns = list(rows[0])
    sections = {"Conditions": _conditions(size, habits), "Runs": table(rows, columns)}
    write(args.out, NAME, claims=claims(rows), rows=rows, sections=sections)


if __name__ == "__main__":
    main()
