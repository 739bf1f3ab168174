"""Run with random caps, prices, texts, concurrency and faults, and compare what the server charged with the cap.

python benchmarks/llm_cap.py --runs 100

Each run has a server and a store of its own. Half of the servers charge all the output tokens that a request allows;
input is charged at one, two or four bytes a token. Some runs are made in two sessions on one store: the cap is the
project's. What is charged is summed without rounding, from the server's log.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from _llm_run import SCHEME, answers, charged, read_log, server, texts
from _results import Claim, table, write

from llm_al.annotators.chat import Chat, Endpoint, Limits, Price, Pricing
from llm_al.errors import BudgetError, ProviderError
from llm_al.store.store import SqlStore
from llm_al.types import Example

NAME = "llm_cap"
_PROMPTS = ("classify.v1", "classify_reversed.v1", "classify_terse.v1")
_BYTES_AROUND = 2500
"""Of a prompt, without the text."""
_MOST = {"500": 0.05, "429": 0.05, "drop": 0.08, "drop_before": 0.02, "truncate": 0.05, "off_enum": 0.1, "hang": 0.01}
_TIMEOUT_S = 1.0
_FAULTY_SHARE = 0.3


@dataclass(frozen=True)
class Case:
    """One run, drawn from its seed."""

    seed: int
    lengths: tuple[int, ...]
    prompts: tuple[str, ...]
    concurrency: int
    price: Price
    cap_nanousd: int
    n_sessions: int
    server: tuple[str, ...]
    is_faulty: bool

    @property
    def examples(self) -> list[Example]:
        """Texts of the drawn lengths."""
        made = texts(len(self.lengths), n_words=1)
        return [
            replace(example, text=(example.text + " and so on" * (length // 10))[: max(length, 12)])
            for example, length in zip(made, self.lengths, strict=True)
        ]


def draw(seed: int, n_most: int = 80) -> Case:
    """Draw a run: caps from nothing to more than all of it costs, prices over three orders of magnitude."""
    rng = random.Random(seed)
    lengths = tuple(min(int(rng.lognormvariate(5.0, 1.2)), 20_000) for _ in range(rng.randint(n_most // 4, n_most)))
    price = Price(per_token := 10.0 ** rng.uniform(1.0, 4.0), per_token * rng.uniform(1.0, 8.0))
    bytes_a_token, is_longest = rng.choice((1, 2, 4)), rng.random() < 0.5
    prompts = tuple(rng.sample(_PROMPTS, rng.randint(1, 3)))
    n_tokens_in = sum(length + _BYTES_AROUND for length in lengths) / bytes_a_token
    all_of_it = len(prompts) * (n_tokens_in * price.input + len(lengths) * (64 if is_longest else 4) * price.output)
    options = ["--latency", f"{rng.uniform(0.001, 0.03):.4f}", "--seed", str(seed)]
    options += ["--bytes-a-token", str(bytes_a_token), "--retry-after", "0.05"]
    options += ["--longest"] if is_longest else []
    options += ["--no-idempotency"] if rng.random() < 0.5 else []
    is_faulty = rng.random() < _FAULTY_SHARE
    options += [f"--fault={fault}={rng.uniform(0.0, most):.4f}" for fault, most in _MOST.items()] if is_faulty else []
    return Case(
        seed=seed,
        lengths=lengths,
        prompts=prompts,
        concurrency=rng.randint(1, 64),
        price=price,
        cap_nanousd=round(all_of_it * rng.uniform(0.0, 1.3)),
        n_sessions=rng.choice((1, 1, 2)),
        server=tuple(options),
        is_faulty=is_faulty,
    )


def run(case: Case) -> dict[str, Any]:
    """Make one run; return its row."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        log, database = Path(name) / "calls.jsonl", Path(name) / "project.db"
        with server(log, *case.server) as url:
            ended = [_session(case, url, database) for _ in range(case.n_sessions)]
            # What a client has given up on may still be charged.
            time.sleep(0.1)
        entries = read_log(log)
        with SqlStore(database) as store:
            ledger = store.ledger.spent_nanousd()
    spent = charged(entries, case.price)
    return {
        "seed": case.seed,
        "cap_nanousd": case.cap_nanousd,
        "spent_nanousd": float(spent),
        "is_above": spent > case.cap_nanousd,
        "spent_of_cap": float(spent / case.cap_nanousd) if case.cap_nanousd else 0.0,
        "ledger_nanousd": ledger,
        "concurrency": case.concurrency,
        "texts": len(case.lengths),
        "prompts": len(case.prompts),
        "sessions": case.n_sessions,
        "faulty": case.is_faulty,
        "server": " ".join(case.server),
        "n_charged": sum(entry["charged"] for entry in entries),
        "ended": ended,
        "seconds": round(time.perf_counter() - started, 3),
    }


def _session(case: Case, url: str, database: Path) -> str:
    """Ask for all texts on the run's store; return how that ended."""
    with SqlStore(database) as store:
        chat = Chat(
            SCHEME,
            Endpoint(url, "loopback"),
            store.ledger,
            prompts=case.prompts,
            limits=Limits(case.concurrency, _TIMEOUT_S, max_tries=4),
            pricing=Pricing(case.price, case.cap_nanousd),
        )
        try:
            n = sum(answer.label is not None for answer in answers(chat, case.examples))
        except BudgetError:
            return "the cap is below one call"
        except ProviderError as exc:
            return type(exc).__name__
    return f"{n} labels, {'cap reached' if chat.stop_reason else 'all asked'}"


def claims(rows: Sequence[Mapping[str, Any]], n_runs: int) -> list[Claim]:
    """Judge all runs."""
    above = sum(row["is_above"] for row in rows)
    worst = max(row["spent_of_cap"] for row in rows)
    stopped = sum("cap" in row["ended"][-1] for row in rows)
    return [
        Claim("runs", len(rows), n_runs, "higher", "runs"),
        Claim("runs whose charges passed the cap", above, 0, "lower", "runs"),
        Claim("most that was charged, over the cap", worst, 1.0, "lower", "ratio"),
        Claim("runs that the cap stopped", stopped, n_runs // 4, "higher", "runs"),
    ]


def _sections(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    columns = ["seed", "cap_nanousd", "spent_nanousd", "spent_of_cap", "concurrency", "sessions", "faulty", "server"]
    worst = sorted(rows, key=lambda row: row["spent_of_cap"], reverse=True)[:10]
    stopped = [row["spent_of_cap"] for row in rows if "cap reached" in row["ended"][-1]]
    summary = {
        "runs": len(rows),
        "faulty": sum(row["faulty"] for row in rows),
        "stopped by the cap": len(stopped),
        "median spent of cap, where stopped": statistics.median(stopped) if stopped else None,
    }
    return {"Worst ten": table(worst, columns), "All": table([summary], list(summary))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the others count on from it")
    parser.add_argument("--jobs", type=int, default=4, help="runs at a time; they mostly wait")
    parser.add_argument("--quick", action="store_true", help="four runs, at most 24 texts each")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    n_runs, n_most = (4, 24) if args.quick else (args.runs, 80)
    cases = [draw(args.seed + number, n_most) for number in range(n_runs)]
    with ProcessPoolExecutor(args.jobs, mp_context=get_context("fork")) as pool:
        rows = list(pool.map(run, cases))
    judged = claims(rows, n_runs)
    path = write(args.out, NAME, claims=judged, rows=rows, sections=_sections(rows))
    print(path.with_suffix(".md").read_text(encoding="utf-8"))
    if not all(claim.is_met for claim in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
