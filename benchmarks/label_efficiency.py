"""How much accuracy a label buys: test accuracy after each query, and the seconds it took.

python benchmarks/label_efficiency.py --data DIR --datasets trec6 --students transformer --peer small-text
"""

import argparse
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import _small_text
import numpy as np
import torch
from _data import Task, read_task, sample_task
from _results import Claim, table, write

from llm_al import registry
from llm_al.pool import PoolView
from llm_al.protocols import FittedStudent, Strategy, Student
from llm_al.types import Embeddings, TrainingSet
from llm_al.weights import resolve

NAME = "label_efficiency"


@dataclass(frozen=True)
class Protocol:
    """How many labels are asked for, and after how many of them the test split is predicted."""

    initial: int
    n_queries: int
    per_query: int
    points: tuple[int, ...]


PROTOCOLS = {
    "hast": Protocol(30, 10, 10, (30, 50, 70, 90, 110, 130)),
    "quick": Protocol(20, 1, 10, (20, 30)),
}
QUICK_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "head": {},
    "setfit": {"n_iterations": 1},
    "transformer": {"epochs": 1, "max_steps": 2, "max_tokens": 32},
}


@dataclass
class Run:
    """One seed of one learner on one task."""

    task: str
    learner: str
    seed: int
    accuracy: dict[int, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the seconds of a block to a step."""
        start = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start

    @property
    def total_s(self) -> float:
        """Seconds of all steps."""
        return sum(self.seconds.values())

    @property
    def mean_accuracy(self) -> float:
        """Mean over the points."""
        return float(np.mean(list(self.accuracy.values())))

    def summary(self) -> str:
        """Return one line for the terminal."""
        curve = " ".join(f"{n}:{value:.3f}" for n, value in self.accuracy.items())
        mean = f"mean {self.mean_accuracy:.3f} in {self.total_s:.0f} s"
        return f"{self.task} {self.learner} seed {self.seed}: {curve} {mean}"

    def row(self) -> dict[str, Any]:
        """What is kept in the results."""
        return {
            "dataset": self.task,
            "learner": self.learner,
            "seed": self.seed,
            "accuracy": {str(n): value for n, value in self.accuracy.items()},
            "mean": self.mean_accuracy,
            "seconds": {**self.seconds, "total": self.total_s},
        }


@dataclass(frozen=True)
class Loop:
    """Our side: a strategy asks, a perfect simulated human answers, a student learns.

    The same first labels are handed to every learner of a seed; they come from the cold start of the strategy.
    """

    task: Task
    protocol: Protocol
    strategy: Strategy
    embeddings: Embeddings
    groups: np.ndarray

    def view(self, labeled: np.ndarray, proba: np.ndarray | None) -> PoolView:
        """Return the pool as the strategy sees it."""
        labels = np.where(labeled, self.task.gold, -1)
        return PoolView(self.task.texts, self.embeddings, len(self.task.labels), labels, ~labeled, proba, self.groups)

    def first(self, seed: int) -> np.ndarray:
        """Return the rows that are labelled first."""
        labeled = np.zeros(len(self.task.texts), dtype=np.bool_)
        rng = np.random.default_rng([seed, 0])
        return self.strategy.query(self.view(labeled, None), self.protocol.initial, rng)[0]

    def run(self, student: Student, run: Run) -> Run:
        """Fill in accuracy and seconds."""
        labeled = np.zeros(len(self.task.texts), dtype=np.bool_)
        with run.timed("select"):
            labeled[self.first(run.seed)] = True
        for step in range(self.protocol.n_queries + 1):
            fitted = self._fit(student, labeled, run)
            self._test(fitted, int(labeled.sum()), run)
            if step < self.protocol.n_queries:
                with run.timed("predict"):
                    proba = fitted.predict_proba(self.task.texts, embeddings=self.embeddings)
                with run.timed("select"):
                    rng = np.random.default_rng([run.seed, step + 1])
                    labeled[self.strategy.query(self.view(labeled, proba), self.protocol.per_query, rng)[0]] = True
        return run

    def _fit(self, student: Student, labeled: np.ndarray, run: Run) -> FittedStudent:
        rows = np.flatnonzero(labeled)
        targets = np.eye(len(self.task.labels))[self.task.gold[rows]]
        training = TrainingSet([self.task.texts[i] for i in rows], targets, np.ones(len(rows)), self.embeddings[rows])
        with run.timed("fit"):
            return student.fit(training, labels=self.task.labels, seed=run.seed)

    def _test(self, fitted: FittedStudent, n_labels: int, run: Run) -> None:
        if n_labels not in self.protocol.points:
            return
        with run.timed("test"):
            predicted = fitted.predict_proba(self.task.test_texts).argmax(axis=1)
        run.accuracy[n_labels] = float((predicted == self.task.test_gold).mean())


def run_peer(task: Task, protocol: Protocol, folder: str, *, first: np.ndarray, run: Run) -> Run:
    """Run small-text from the same first labels."""
    peer = _small_text.Peer(task, folder, run.seed)
    peer.start(first)
    for step in range(protocol.n_queries + 1):
        n_labels = protocol.initial + step * protocol.per_query
        if n_labels in protocol.points:
            run.accuracy[n_labels] = peer.accuracy()
        if step < protocol.n_queries:
            peer.grow(protocol.per_query)
    run.seconds = peer.seconds
    return run


def claims_of(runs: Sequence[Run]) -> list[Claim]:
    """Return the figures that are asked of the default on trec6; none where they were not measured."""
    ours = [run for run in runs if run.task == "trec6" and run.learner == "llm_al transformer" and 130 in run.accuracy]
    peers = [run for run in runs if run.task == "trec6" and run.learner == "small-text" and 130 in run.accuracy]
    if not ours:
        return []
    seeds = f"mean of {len(ours)} seed{'s' if len(ours) > 1 else ''}"
    claims = [
        Claim(
            f"trec6: accuracy at 130 labels, {seeds}",
            _mean(ours, lambda r: r.accuracy[130]),
            0.93,
            "higher",
            "accuracy",
        ),
        Claim(
            f"trec6: accuracy over 30, 50, ... 130 labels, {seeds}",
            _mean(ours, lambda r: r.mean_accuracy),
            0.82,
            "higher",
            "accuracy",
        ),
    ]
    if peers:
        ratio = _mean(ours, lambda r: r.total_s) / _mean(peers, lambda r: r.total_s)
        claims.append(Claim("trec6: seconds of a run, as a share of small-text's", ratio, 1 / 3, "lower", "share"))
    return claims


def _mean(runs: Sequence[Run], value: Callable[[Run], float]) -> float:
    return float(np.mean([value(run) for run in runs]))


def sections_of(runs: Sequence[Run]) -> dict[str, str]:
    """Return accuracy by labels and seconds by step, as Markdown tables by data set."""
    sections = {}
    for task in dict.fromkeys(run.task for run in runs):
        here = [run for run in runs if run.task == task]
        points = [str(n) for n in here[0].accuracy]
        rows = [{"learner": r.learner, "seed": r.seed, **r.row()["accuracy"], "mean": r.mean_accuracy} for r in here]
        sections[f"{task}: test accuracy by labels"] = table(rows, ["learner", "seed", *points, "mean"])
        steps = list(dict.fromkeys(step for run in here for step in run.seconds))
        times = [
            {
                "learner": r.learner,
                "seed": r.seed,
                **{s: f"{t:.1f}" for s, t in r.seconds.items()},
                "total": f"{r.total_s:.1f}",
            }
            for r in here
        ]
        sections[f"{task}: seconds by step"] = table(times, ["learner", "seed", *steps, "total"])
    return sections


def measure(task: Task, options: argparse.Namespace) -> Iterator[Run]:
    """Run every learner on one task, seed by seed and in turn."""
    protocol = PROTOCOLS[options.protocol]
    folder = resolve(options.encoder)
    start = time.perf_counter()
    embeddings = registry.make("embedder", "sentence", model=folder).encode(task.texts)
    embed_s = time.perf_counter() - start
    groups = np.unique([" ".join(text.casefold().split()) for text in task.texts], return_inverse=True)[1]
    strategy = registry.make_strategy(options.strategy, cold_start=options.cold_start)
    loop = Loop(task, protocol, strategy, embeddings, groups.astype(np.int64))
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        for name in options.students:
            student = registry.make("student", name, model=folder, **(QUICK_OPTIONS[name] if options.quick else {}))
            # Embeddings are made once for a project; every run is charged for them all the same.
            yield loop.run(student, Run(task.name, f"llm_al {name}", seed, seconds={"embed": embed_s}))
    for seed in range(options.first_seed, options.first_seed + (options.peer_seeds if options.peer else 0)):
        run = Run(task.name, options.peer, seed)
        yield run_peer(task, protocol, folder, first=loop.first(seed), run=run)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with <dataset>/train.csv.gz and test.csv.gz")
    parser.add_argument("--datasets", nargs="+", default=["trec6"])
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="hast")
    parser.add_argument("--students", nargs="+", choices=sorted(QUICK_OPTIONS), default=["transformer"])
    parser.add_argument("--strategy", default="margin+diverse")
    parser.add_argument("--cold-start", default="typical")
    parser.add_argument("--encoder", default="offline", help="hub name, local folder, or 'offline'")
    parser.add_argument("--peer", choices=["small-text"])
    parser.add_argument("--peer-seeds", type=int, help="seeds of the peer (default: as many as ours)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of every learner; on a busy machine 1 gives the fairest ratio")
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run on the sample project; its figures mean nothing"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    if options.quick:
        options.protocol, options.seeds = "quick", 1
    elif options.data is None:
        parser.error("--data is missing; give the folder of the data sets, or --quick for the sample project")
    options.peer_seeds = options.seeds if options.peer_seeds is None else options.peer_seeds
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.peer:
        _small_text.require()
    tasks = [sample_task()] if options.quick else [read_task(options.data, name) for name in options.datasets]
    runs: list[Run] = []
    for task in tasks:
        for run in measure(task, options):
            runs.append(run)
            print(run.summary(), flush=True)
            # Written after every run, so that a stopped benchmark keeps what it has measured.
            path = write(
                options.out, NAME, claims=claims_of(runs), rows=[r.row() for r in runs], sections=sections_of(runs)
            )
    for claim in claims_of(runs):
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.3f} (target {claim.target:.3f})")
    print(path)


if __name__ == "__main__":
    main()
