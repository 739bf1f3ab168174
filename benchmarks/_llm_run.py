"""What the LLM benchmarks share: the loopback server as a process, its log, made-up texts, and one way to ask."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from llm_al.annotators.chat import Chat, Price
from llm_al.types import Annotation, Example, Label, LabelScheme

__all__ = ["SCHEME", "answers", "charged", "in_child", "read_log", "server", "stats", "texts"]

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
_TOPICS = (
    "late parcel,broken item,refund,wrong size,payment,invoice,login,password,address change,cancellation,"
    "voucher,opening hours,complaint,praise,warranty,spare part,newsletter,data request,job offer,returns"
)
SCHEME = LabelScheme(
    tuple(Label(topic, f"the customer writes about {topic}") for topic in _TOPICS.split(",")),
    guidelines="Choose what the customer wants done first. A text about several matters gets the most urgent one.",
)
"""Twenty labels with a line each: the length of prompt that a small project has."""
_WORDS = (
    "please the my order again still not arrived wrong since monday could you send money back thanks number account "
    "never shoes blue small box open help me today waiting answer second time card charged twice cannot log in"
)


def texts(n: int, *, n_words: int = 18) -> Iterator[Example]:
    """Yield n different texts, made as they are asked for."""
    known = _WORDS.split()
    for i in range(n):
        words = (known[(i * 7 + j * (i % 11 + 3)) % len(known)] for j in range(n_words))
        yield Example(f"t{i}", f"ticket {i}: {' '.join(words)}")


def answers(chat: Chat, examples: Iterable[Example]) -> Iterator[Annotation]:
    """Yield annotations as they come."""
    return chat.stream(examples)


@contextmanager
def server(log: Path, *options: str) -> Iterator[str]:
    """Run the loopback server as a process of its own; give its base URL."""
    command = [sys.executable, "-m", "benchmarks._llm_server", "--log", str(log), "--ends-with-stdin", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise SystemExit(f"the loopback server did not start: {' '.join(command)}")
        yield url
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def stats(url: str) -> dict[str, Any]:
    """Return CPU seconds and counts of a running server."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url.removesuffix("/v1") + "/stats") as response:
        return dict(json.load(response))


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return what the server has written, in order; a line that is being written is left out."""
    if not path.exists():
        return []
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]


def charged(entries: Sequence[Mapping[str, Any]], price: Price) -> Fraction:
    """Return what the server charged, in nano-dollars and without rounding."""
    tokens = [(entry["n_tokens_in"], entry["n_tokens_out"]) for entry in entries if entry["charged"]]
    n_in, n_out = sum(n for n, _ in tokens), sum(n for _, n in tokens)
    return n_in * Fraction(price.input) + n_out * Fraction(price.output)


def in_child(work: Callable[..., T], *args: Any) -> T:
    """Run a function in a forked process, so that its time and its memory are its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return pool.submit(work, *args).result()
