"""Processes that run the demo and are killed at a chosen moment.

Each is forked from a process that has imported everything but computed nothing, so that a kill hits work, not imports.
"""

import importlib
import os
import random
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_al import demo
from llm_al.store.store import SqlStore

_WARM = (
    "sentence_transformers sklearn.linear_model sklearn.cluster openai httpx2 datasets matplotlib.figure "
    "llm_al.students.head llm_al.students.transformer llm_al.embedders.sentence llm_al.annotators.chat "
    "llm_al.annotators.zero_shot llm_al.annotators.simulated llm_al.report_data llm_al.reports.html"
)


def warm_up() -> None:
    """Import what the demo imports on its way."""
    for module in _WARM.split():
        importlib.import_module(module)


@dataclass(frozen=True)
class Case:
    """What is run: demo settings that differ, the student, and the sample data."""

    settings: Mapping[str, Any]
    student: str
    source: Path


@dataclass
class Attempt:
    """One process: where it was when it was killed; `killed_in` is empty when it came to its end."""

    seconds: float
    killed_in: str = ""
    marks: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Moment:
    """When to kill: so long after a mark of the undisturbed run, or after the first later one that comes."""

    marks: tuple[str, ...]
    delay_s: float


def run_demo(case: Case, folder: Path, mark: Callable[[str], object]) -> None:
    """Run the demo in this process, with a mark at each border of the state machine."""
    demo.SETTINGS.update(case.settings)
    demo.files = lambda _package: case.source.parent  # type: ignore[attr-defined]
    begin, reach = SqlStore.begin_round, SqlStore.reach

    def marked_begin(self: SqlStore, number: int, **kwargs: Any) -> Any:
        state = begin(self, number, **kwargs)
        mark(f"{number} {state.step}")
        return state

    def marked_reach(self: SqlStore, number: int, step: str) -> None:
        reach(self, number, step)
        mark(f"{number} {step}")

    SqlStore.begin_round, SqlStore.reach = marked_begin, marked_reach  # type: ignore[method-assign]
    mark("creation")
    said = Counter[str]()

    def progress(what: str, _done: int, _total: int) -> None:
        said[what] += 1
        if said[what] == 1 and what in ("embed", "reference: all gold labels"):
            mark(what)

    demo.run(folder, fresh=False, student=case.student, progress=progress, say=lambda _line: None)


def attempt(case: Case, folder: Path, moment: Moment | None = None) -> Attempt:
    """Fork a process that runs the demo, and kill it at a moment.

    Raises
    ------
    SystemExit
        If the process fails by itself.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _child(case, folder, writer)
    os.close(writer)
    made = Attempt(0.0)
    started = time.perf_counter()
    with os.fdopen(reader, "rb", buffering=0) as pipe:
        for line in _lines(pipe, moment):
            if line is None:
                os.kill(pid, signal.SIGKILL)
                made.killed_in = made.marks[-1][1]
                break
            made.marks.append((time.perf_counter() - started, line))
    _, status = os.waitpid(pid, 0)
    made.seconds = time.perf_counter() - started
    if not os.WIFSIGNALED(status) and os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"the demo failed by itself after {made.marks[-1:]}; see above")
    if not os.WIFSIGNALED(status):
        # It came to its end while the signal was on its way.
        made.killed_in = ""
    return made


def _child(case: Case, folder: Path, writer: int) -> None:
    status = 1
    try:
        run_demo(case, folder, lambda line: os.write(writer, f"{line}\n".encode()))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _lines(pipe: Any, moment: Moment | None) -> Iterator[str | None]:
    """Yield lines as they come, and None once the moment is there."""
    rest, deadline = b"", None
    while True:
        timeout = None if deadline is None else max(deadline - time.perf_counter(), 0.0)
        ready, _, _ = select.select([pipe], [], [], timeout)
        if not ready:
            yield None
            return
        data = pipe.read(65536)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line.decode()
            if moment is not None and deadline is None and line.decode() in moment.marks:
                deadline = time.perf_counter() + moment.delay_s


def moments(undisturbed: Attempt, n: int, rng: random.Random) -> list[Moment]:
    """Return n moments in order: one at random in each of n equal parts of the undisturbed run."""
    drawn = []
    for part in range(n):
        at = undisturbed.seconds * (part + rng.random()) / n
        before = max(1, sum(since <= at for since, _ in undisturbed.marks))
        since = undisturbed.marks[before - 1][0]
        later = tuple(mark for _, mark in undisturbed.marks[before - 1 :])
        drawn.append(Moment(later, max(at - since, 0.0)))
    return drawn
