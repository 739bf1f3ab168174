"""Ask a loopback LLM as fast as it allows: time against the ideal, CPU a request, rate under a limit, memory.

python benchmarks/llm_throughput.py --seeds 3

The server is a process of its own; each measurement runs in a forked process, on a store on disk, with prompts
rendered, answers parsed and every call in the ledger. The limit is learnt from response headers alone. Beside it, for
scale, runs the plain openai client: the same concurrency by a semaphore, fixed messages, neither store nor parser.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _llm_run import SCHEME, answers, in_child, read_log, server, stats, texts
from _results import Claim, table, write

from llm_al.annotators.chat import Chat, Endpoint, Limits, Price, Pricing
from llm_al.errors import ProviderError
from llm_al.store.store import SqlStore

NAME = "llm_throughput"
_PARTS = ("latency", "openai", "limit", "memory")
_PRICE = Price(150.0, 600.0)
_NO_CAP_REACHED = 10**15
_PER_MINUTE = 3000.0
_MAX_GROWTH_MIB = 20.0


@dataclass(frozen=True)
class Sizes:
    """How much is asked in each part."""

    n_latency: int = 10_000
    latency_s: float = 0.2
    n_openai: int = 1_000
    limited_s: float = 100.0
    """Of the part under a limit."""
    settling_s: float = 5.0
    """At the start of it, before the run counts as steady."""
    n_memory: tuple[int, int] = (10_000, 100_000)
    memory_latency_s: float = 0.005


_QUICK = Sizes(320, 0.05, 128, 3.0, 1.0, (100, 300), 0.002)


def _peak_mib() -> float:
    """Return the largest resident memory of this process; that of who forked it does not count in."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024.0 for line in lines if line.startswith("VmHWM:"))


def _measured(n: int, work: Callable[[], int]) -> dict[str, Any]:
    """Measure a run over n texts; `work` returns how many of them it has labelled."""
    before, started, cpu = _peak_mib(), time.perf_counter(), time.process_time()
    n_labelled = work()
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - cpu
    return {
        "n": n,
        "n_labelled": n_labelled,
        "wall_s": wall_s,
        "cpu_ms_a_request": cpu_s / n * 1000.0,
        "start_mib": before,
        "peak_mib": _peak_mib(),
    }


def ours(url: str, n: int, concurrency: int) -> dict[str, Any]:
    """Label n texts with one prompt on a fresh store."""
    with tempfile.TemporaryDirectory() as name, SqlStore(Path(name) / "project.db") as store:
        chat = Chat(
            SCHEME,
            Endpoint(url, "loopback"),
            store.ledger,
            prompts=("classify.v1",),
            limits=Limits(concurrency, timeout_s=60.0, max_tries=6),
            pricing=Pricing(_PRICE, cap_nanousd=_NO_CAP_REACHED),
        )
        return _measured(n, lambda: _count_labels(chat, n))


def _count_labels(chat: Chat, n: int) -> int:
    """Keep nothing but a number: memory is to be the engine's own."""
    n_labelled = 0
    try:
        for answer in answers(chat, texts(n)):
            n_labelled += answer.label is not None
    except ProviderError as exc:
        print(f"the run ended early: {exc}", file=sys.stderr)
    return n_labelled


def plain(url: str, n: int, concurrency: int) -> dict[str, Any]:
    """Ask n times with the openai client alone."""
    import openai

    system = "\n".join(f'{chr(65 + i)} = "{label.name}": {label.description}' for i, label in enumerate(SCHEME.labels))

    async def run() -> int:
        slots = asyncio.Semaphore(concurrency)
        async with openai.AsyncOpenAI(api_key="none", base_url=url) as client:

            async def ask(text: str) -> bool:
                async with slots:
                    messages = [{"role": "system", "content": system}, {"role": "user", "content": text}]
                    got = await client.chat.completions.create(
                        model="loopback",
                        messages=messages,  # type: ignore[arg-type]
                        max_tokens=64,
                        logprobs=True,
                        top_logprobs=20,
                    )
                    return bool(got.choices[0].message.content)

            return sum(await asyncio.gather(*(ask(example.text) for example in texts(n))))

    return _measured(n, lambda: asyncio.run(run()))


def timed(folder: Path, sizes: Sizes, concurrency: int, *, is_plain: bool) -> dict[str, Any]:
    """Measure wall time over the ideal: as many waves as fill the concurrency, one latency each."""
    n = sizes.n_openai if is_plain else sizes.n_latency
    with server(folder / "timed.jsonl", "--latency", str(sizes.latency_s)) as url:
        row = in_child(plain if is_plain else ours, url, n, concurrency)
        ideal_s = n / concurrency * sizes.latency_s
        server_ms = stats(url)["cpu_s"] / n * 1000.0
    return {**row, "ideal_s": ideal_s, "ratio": row["wall_s"] / ideal_s, "server_cpu_ms_a_request": server_ms}


def limited(folder: Path, sizes: Sizes, concurrency: int) -> dict[str, Any]:
    """Measure the rate of answers over the steady part of a run under a limit, from the server's log."""
    log, n = folder / "limited.jsonl", round(sizes.limited_s * _PER_MINUTE / 60.0)
    options = ("--requests-per-minute", str(_PER_MINUTE), "--latency", str(sizes.latency_s))
    with server(log, *options) as url:
        row = in_child(ours, url, n, concurrency)
    entries = read_log(log)
    answered = [entry["at"] for entry in entries if entry["status"] == 200]
    begin, end = answered[0] + sizes.settling_s, answered[-1]
    n_steady = sum(begin < at <= end for at in answered)
    return {
        **row,
        "n_429": sum(entry["status"] == 429 for entry in entries),
        "share_429": sum(entry["status"] == 429 for entry in entries) / len(entries),
        "steady_s": end - begin,
        "rate_of_permitted": n_steady / (end - begin) / (_PER_MINUTE / 60.0),
        "whole_run_of_permitted": n / row["wall_s"] / (_PER_MINUTE / 60.0),
    }


def memory(folder: Path, sizes: Sizes, concurrency: int) -> list[dict[str, Any]]:
    """Measure peak memory at both sizes, each in a process and on a store of its own."""
    rows = []
    for n in sizes.n_memory:
        with server(folder / f"memory-{n}.jsonl", "--latency", str(sizes.memory_latency_s)) as url:
            rows.append(in_child(ours, url, n, concurrency))
    return rows


def measure(folder: Path, sizes: Sizes, args: argparse.Namespace) -> list[dict[str, Any]]:
    """Run all parts in turn, as often as there are seeds."""
    rows: list[dict[str, Any]] = []
    for seed in range(args.seeds):
        made: list[tuple[str, dict[str, Any]]] = []
        if "latency" in args.parts:
            made.append(("latency", timed(folder, sizes, args.concurrency, is_plain=False)))
        if "openai" in args.parts:
            made.append(("openai", timed(folder, sizes, args.concurrency, is_plain=True)))
        if "limit" in args.parts:
            made.append(("limit", limited(folder, sizes, args.concurrency)))
        if "memory" in args.parts:
            made += [("memory", row) for row in memory(folder, sizes, args.concurrency)]
        rows += [{"part": part, "seed": seed, **row} for part, row in made]
        for log in folder.glob("*.jsonl"):
            log.unlink()
    return rows


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """Judge the mean over seeds; the share of 429 and the growth of memory by their worst."""

    def of(part: str, column: str) -> list[float]:
        return [row[column] for row in rows if row["part"] == part]

    made = []
    if ratios := of("latency", "ratio"):
        cpu = statistics.mean(of("latency", "cpu_ms_a_request"))
        made += [
            Claim("wall time over the ideal, no limit", statistics.mean(ratios), 1.10, "lower", "ratio"),
            Claim("CPU of the client a request", cpu, 1.5, "lower", "ms"),
        ]
    if rates := of("limit", "rate_of_permitted"):
        shares = of("limit", "share_429")
        made += [
            Claim("rate over the permitted rate, steady", statistics.mean(rates), 0.95, "higher", "ratio"),
            Claim("answers 429, share of all", max(shares), 0.01, "lower", "share"),
        ]
    if peaks := of("memory", "peak_mib"):
        growth = max(large - small for small, large in zip(peaks[::2], peaks[1::2], strict=True))
        made.append(Claim("growth of peak memory, small to large run", growth, _MAX_GROWTH_MIB, "lower", "MiB"))
    wrong = sum(row["n"] - row["n_labelled"] for row in rows)
    return [*made, Claim("texts without a label", wrong, 0, "lower", "texts")]


def _sections(rows: list[dict[str, Any]]) -> dict[str, str]:
    def of(*parts: str) -> list[dict[str, Any]]:
        return [row for row in rows if row["part"] in parts]

    common = ["part", "seed", "n", "wall_s", "cpu_ms_a_request"]
    shown = {
        "Time": (of("latency", "openai"), [*common, "ideal_s", "ratio", "server_cpu_ms_a_request"]),
        "Under a limit": (
            of("limit"),
            [*common, "steady_s", "rate_of_permitted", "whole_run_of_permitted", "n_429", "share_429"],
        ),
        "Memory": (of("memory"), [*common, "start_mib", "peak_mib"]),
    }
    return {heading: table(found, columns) for heading, (found, columns) in shown.items() if found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=_PARTS, default=list(_PARTS))
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=1, help="how often each part is measured")
    parser.add_argument("--quick", action="store_true", help="a few hundred requests a part")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name), _QUICK if args.quick else Sizes(), args)
    judged = claims(rows)
    path = write(args.out, NAME, claims=judged, rows=rows, sections=_sections(rows))
    print(path.with_suffix(".md").read_text(encoding="utf-8"))
    if not args.quick and not all(claim.is_met for claim in judged):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
