"""Label texts through a server that fails in every way, killed with SIGKILL on the way, and compare the books.

python benchmarks/llm_faults.py --seeds 3

Each attempt is a forked process on one store; it is killed when the server has seen a random number of requests, and
started again. The server's own log is the judge: who was answered, how often, and for how many tokens. It runs once
with a server that honours `Idempotency-Key`, and once with one that ignores it, as most do.
"""

import argparse
import multiprocessing
import os
import random
import signal
import sqlite3
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from _llm_model import label_of
from _llm_run import SCHEME, answers, charged, read_log, server, texts
from _results import Claim, table, write

from llm_al.annotators.chat import Chat, Endpoint, Limits, Price, Pricing
from llm_al.errors import ProviderError
from llm_al.store.store import SqlStore

NAME = "llm_faults"
_SHARES = {"500": 0.05, "429": 0.05, "drop": 0.02, "truncate": 0.02, "off_enum": 0.01, "hang": 0.01}
_LOST = {"drop", "truncate"}
"""Faults that lose an answer after it was generated."""
_PRICE = Price(10_000.0, 30_000.0)
"""Ten and thirty dollars a million tokens: a cent is a few calls."""
_NO_CAP_REACHED = 10**15
_CENT = 10**7
_MAX_RESTARTS = 20
_MODES = ("idempotent", "plain")


@dataclass(frozen=True)
class Case:
    """What is run, but for its seed."""

    n_texts: int = 1500
    prompts: tuple[str, ...] = ("classify.v1", "classify_reversed.v1")
    concurrency: int = 32
    latency_s: float = 0.05
    timeout_s: float = 2.0
    max_tries: int = 8
    n_kills: int = 3

    @property
    def n_asked(self) -> int:
        """Pairs of a text and a prompt."""
        return self.n_texts * len(self.prompts)


_QUICK = Case(n_texts=100, prompts=("classify.v1",), latency_s=0.02, n_kills=2)


@dataclass(frozen=True)
class Kill:
    """A kill that hit: when, what was open in the ledger, and what ledger and server held once it was quiet."""

    at: float
    open_keys: frozenset[str]
    ledger_nanousd: int
    server_nanousd: float


@dataclass
class Outcome:
    """A run to its end."""

    mode: str
    seed: int
    seconds: float = 0.0
    kills: list[Kill] = field(default_factory=list)
    n_gave_up: int = 0
    """Attempts that ended by an error of the provider and were started again."""
    ended: dict[str, Any] = field(default_factory=dict)
    entries: list[dict[str, Any]] = field(default_factory=list)
    ledger_nanousd: int = 0


def client(case: Case, url: str, database: Path, said: Connection) -> None:
    """Label everything, and tell how it ended; runs in a process of its own."""
    with SqlStore(database) as store:
        chat = Chat(
            SCHEME,
            Endpoint(url, "loopback"),
            store.ledger,
            prompts=case.prompts,
            limits=Limits(case.concurrency, case.timeout_s, case.max_tries),
            pricing=Pricing(_PRICE, cap_nanousd=_NO_CAP_REACHED),
        )
        counts, reasons, pairs = Counter[str](), Counter[str](), set[tuple[str, str | None]]()
        expected = {example.id: label_of(example.text, SCHEME.names) for example in texts(case.n_texts)}
        try:
            for answer in answers(chat, texts(case.n_texts)):
                pairs.add((answer.example_id, answer.prompt))
                state = "labelled" if answer.label else "failed" if answer.reason else "silent"
                counts[state] += 1
                counts["wrong"] += answer.label is not None and answer.label != expected[answer.example_id]
                reasons[answer.reason[:80]] += state == "failed"
        except ProviderError as exc:
            said.send({"error": str(exc)})
            return
    said.send({"pairs": len(pairs), "reasons": dict(+reasons), **counts})


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after the server has logged so many requests."""

    n_requests: int
    delay_s: float


def attempt(case: Case, url: str, folder: Path, moment: Moment | None) -> dict[str, Any] | None:
    """Run the client, to its end or to a moment; None says that it was killed.

    Raises
    ------
    SystemExit
        If the client breaks down by itself.
    """
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=client, args=(case, url, folder / "project.db", sender))
    process.start()
    sender.close()
    log, n_lines = folder / "calls.jsonl", 0
    with log.open("rb") as file:
        while process.is_alive():
            n_lines += file.read().count(b"\n")
            if moment is not None and n_lines >= moment.n_requests and process.pid is not None:
                time.sleep(moment.delay_s)
                os.kill(process.pid, signal.SIGKILL)
                break
            receiver.poll(0.002)
    process.join()
    if process.exitcode == -signal.SIGKILL:
        return None
    if process.exitcode != 0:
        raise SystemExit(f"the client broke down with exit code {process.exitcode}; see above")
    return dict(receiver.recv())


def run(case: Case, mode: str, seed: int, folder: Path) -> Outcome:
    """Run one mode to its end, killed at random moments, one in each equal part of the work."""
    folder.mkdir()
    rng, outcome = random.Random(seed), Outcome(mode, seed)
    options = [f"--fault={fault}={share}" for fault, share in _SHARES.items()]
    options += ["--seed", str(seed), "--latency", str(case.latency_s), "--retry-after", "0.1"]
    options += ["--no-idempotency"] if mode == "plain" else []
    moments = [_moment(case, part, rng) for part in range(case.n_kills)]
    log, started = folder / "calls.jsonl", time.perf_counter()
    with server(log, *options) as url:
        while "pairs" not in outcome.ended and outcome.n_gave_up <= _MAX_RESTARTS:
            n_killed = len(outcome.kills)
            ended = attempt(case, url, folder, moments[n_killed] if n_killed < case.n_kills else None)
            outcome.n_gave_up += ended is not None and "error" in ended
            if ended is None:
                outcome.kills.append(_look_at(folder, case))
            else:
                outcome.ended = ended
        time.sleep(2 * case.latency_s)
    outcome.seconds = time.perf_counter() - started
    outcome.entries = read_log(log)
    with SqlStore(folder / "project.db") as store:
        outcome.ledger_nanousd = store.ledger.spent_nanousd()
    return outcome


def _moment(case: Case, part: int, rng: random.Random) -> Moment:
    # The last one leaves work to be done after it.
    n_requests = round(case.n_asked * (part + 0.9 * rng.random()) / case.n_kills)
    return Moment(n_requests, case.latency_s * rng.random())


def _look_at(folder: Path, case: Case) -> Kill:
    """Read both books after a kill, once the server has finished what was under way."""
    at = time.time()
    with closing(sqlite3.connect(folder / "project.db")) as database:
        rows = database.execute("select request_hash from llm_calls where state = 'reserved'").fetchall()
    time.sleep(2 * case.latency_s)
    with SqlStore(folder / "project.db") as store:
        ledger = store.ledger.spent_nanousd()
    spent = float(charged(read_log(folder / "calls.jsonl"), _PRICE))
    return Kill(at, frozenset(row[0] for row in rows), ledger, spent)


def paid_again(entries: Sequence[Mapping[str, Any]], kills: Sequence[Kill]) -> Counter[str]:
    """Count answers that were generated and charged once more, by why the answer before was of no use.

    `lost` is by a fault or since the client had gone, `killed` was open in the ledger at a kill, and
    `needless` is all the rest.
    """
    by_hash = defaultdict[str, list[Mapping[str, Any]]](list)
    for entry in entries:
        if entry["charged"]:
            by_hash[entry["messages_hash"]].append(entry)
    again = Counter[str]()
    for charges in by_hash.values():
        for before, after in pairwise(charges):
            was_open = any(before["at"] <= k.at <= after["at"] and before["key"] in k.open_keys for k in kills)
            is_lost = before["fault"] in _LOST or before["client_gone"]
            again["lost" if is_lost else "killed" if was_open else "needless"] += 1
    return again


def judge(outcome: Outcome, case: Case) -> dict[str, Any]:
    """Return one row: how the texts ended, and both books."""
    again = paid_again(outcome.entries, outcome.kills)
    exact = charged(outcome.entries, _PRICE)
    margins = [float(kill.ledger_nanousd - kill.server_nanousd) for kill in outcome.kills]
    ended = outcome.ended
    return {
        "mode": outcome.mode,
        "seed": outcome.seed,
        "seconds": round(outcome.seconds, 3),
        "n_asked": case.n_asked,
        "n_kills": len(outcome.kills),
        "n_gave_up": outcome.n_gave_up,
        "n_labelled": ended.get("labelled", 0),
        "n_failed": ended.get("failed", 0),
        "n_without_outcome": case.n_asked - ended.get("pairs", 0) + ended.get("silent", 0),
        "n_wrong": ended.get("wrong", 0),
        "reasons": ended.get("reasons", ended),
        "n_requests": len(outcome.entries),
        "n_charged": sum(entry["charged"] for entry in outcome.entries),
        "n_replayed": sum(entry["replayed"] for entry in outcome.entries),
        "faults": dict(Counter(entry["fault"] or "none" for entry in outcome.entries)),
        "n_open_at_kills": sum(len(kill.open_keys) for kill in outcome.kills),
        "paid_again": {why: again[why] for why in ("lost", "killed", "needless")},
        "ledger_nanousd": outcome.ledger_nanousd,
        "server_nanousd": float(exact),
        "difference_nanousd": float(outcome.ledger_nanousd - exact),
        "least_margin_nanousd": min([*margins, float(outcome.ledger_nanousd - exact)]),
    }


def claims(rows: Sequence[Mapping[str, Any]], case: Case) -> list[Claim]:
    """Judge all runs by their worst."""

    def none(claim: str, values: Sequence[float], unit: str) -> Claim:
        return Claim(claim, max(values, default=0), 0, "lower", unit)

    made = [
        Claim("SIGKILLs that hit each run", min(row["n_kills"] for row in rows), case.n_kills, "higher", "kills"),
        none("answers neither labelled nor failed with a reason", [r["n_without_outcome"] for r in rows], "answers"),
        none("labels other than the one that the server meant", [r["n_wrong"] for r in rows], "labels"),
    ]
    honoured = [row for row in rows if row["mode"] == "idempotent"]
    ignored = [row for row in rows if row["mode"] == "plain"]
    if honoured:
        again = [float(sum(row["paid_again"].values())) for row in honoured]
        differences = [abs(row["difference_nanousd"]) for row in honoured]
        made += [
            none("keys honoured: requests generated and charged twice", again, "requests"),
            Claim("keys honoured: ledger against server's log", max(differences) / _CENT, 0.5, "lower", "cents"),
            none("keys honoured: ledger against server's log, exactly", differences, "nano-dollars"),
        ]
    if ignored:
        needless = [float(row["paid_again"]["needless"]) for row in ignored]
        margin = min(row["least_margin_nanousd"] for row in ignored)
        made += [
            none("keys ignored: charged again though neither lost nor in flight at a kill", needless, "requests"),
            Claim("keys ignored: ledger above server's log, least", margin, 0, "higher", "nano-dollars"),
        ]
    return made


def _sections(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    texts_ended = ["mode", "seed", "seconds", "n_kills", "n_gave_up", "n_asked", "n_labelled", "n_failed", "reasons"]
    requests = ["mode", "seed", "n_requests", "n_charged", "n_replayed", "n_open_at_kills", "faults", "paid_again"]
    money = ["mode", "seed", "ledger_nanousd", "server_nanousd", "difference_nanousd", "least_margin_nanousd"]
    return {"Answers": table(rows, texts_ended), "Requests": table(rows, requests), "Money": table(rows, money)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", nargs="+", choices=_MODES, default=list(_MODES))
    parser.add_argument("--texts", type=int, help=f"{Case.n_texts}, if not given")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="100 texts, one prompt, two kills")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    case = _QUICK if args.quick else Case(n_texts=args.texts or Case.n_texts)
    with tempfile.TemporaryDirectory() as name:
        cases = [(mode, seed) for seed in range(args.seeds) for mode in args.modes]
        rows = [judge(run(case, mode, seed, Path(name) / f"{mode}-{seed}"), case) for mode, seed in cases]
    judged = claims(rows, case)
    path = write(args.out, NAME, claims=judged, rows=rows, sections=_sections(rows))
    print(path.with_suffix(".md").read_text(encoding="utf-8"))
    if not all(claim.is_met for claim in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
