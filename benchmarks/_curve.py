"""Accuracy by labels: what a run of `label_efficiency.py` is asked for, and what it finds."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score


@dataclass(frozen=True)
class Protocol:
    """After how many labels a student is trained, and after which of them the test split is predicted.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Labels at each training, rising; the first are the initial set. In units of `unit`.
    points : tuple of int
        Those of `sizes` at which the test split is predicted.
    by_class : bool
        Whether the numbers count labels for each class.
    between : tuple of float
        Further sizes at which ours is tested, to say how few labels are enough; they enter no mean. Within a query it
        is a student of the first rows asked for, and the loop goes on as if that had not been trained.
    """

    name: str
    sizes: tuple[int, ...]
    points: tuple[int, ...]
    by_class: bool = False
    between: tuple[float, ...] = ()

    def of(self, n_classes: int) -> "Protocol":
        """Return the protocol with plain numbers of labels."""
        if not self.by_class:
            return self
        sizes, points = (tuple(n * n_classes for n in numbers) for numbers in (self.sizes, self.points))
        return Protocol(self.name, sizes, points, between=tuple(int(n * n_classes) for n in self.between))

    def within(self, n_labels: int, following: int) -> list[int]:
        """Return the sizes at which ours is tested that lie within the query between two trainings."""
        return [int(n) for n in self.between if n_labels < n < following]


def _even(first: int, n_queries: int, per_query: int) -> tuple[int, ...]:
    return tuple(first + per_query * step for step in range(n_queries + 1))


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("hast", _even(30, 10, 10), (30, 50, 70, 90, 110, 130), between=(40, 60, 65)),
        Protocol("acl22", _even(25, 20, 25), _even(25, 20, 25)),
        Protocol("kclass", _even(1, 10, 1), _even(1, 10, 1), by_class=True, between=(5.5,)),
        # About as many a query as there are classes; the points are those of the LLM claims.
        Protocol("budgets", (77, 154, 227, 300, 375, 450, 525, 600), (77, 154, 300, 600)),
        Protocol("quick", (20, 30), (20, 30)),
    )
}


@dataclass
class Run:
    """One seed of one learner on one data set, point by point.

    Parameters
    ----------
    dataset, protocol, learner : str
    seed : int
    settings : mapping
        What else decides the result; with the four above it names the run.
    accuracy, macro_f1 : mapping of labels to value
        On the test split.
    between : mapping of labels to accuracy
        At further points, which enter no mean.
    pseudo_precision : mapping of labels to share
        Of the pseudo-labels that were learned from, those that are right; known to the benchmark alone.
    pseudo_estimated : mapping of labels to share
        What the learner believed of it.
    seconds : mapping of step to seconds
    first : str
        Digest of the initial set.
    usd : float
        Price of the LLM answers that were looked at; 0 where the file has none.
    notes : mapping of labels to str
        Why the guard chose what it chose.
    alone : mapping of LLM to accuracy
        Of recorded LLMs by themselves, on the test split; empty for a run without them.
    """

    dataset: str
    protocol: str
    learner: str
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    accuracy: dict[int, float] = field(default_factory=dict)
    macro_f1: dict[int, float] = field(default_factory=dict)
    between: dict[int, float] = field(default_factory=dict)
    pseudo_precision: dict[int, float] = field(default_factory=dict)
    pseudo_estimated: dict[int, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    first: str = ""
    usd: float = 0.0
    notes: dict[int, str] = field(default_factory=dict)
    alone: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What names the run."""
        return json.dumps([self.dataset, self.protocol, self.learner, self.seed, self.settings], sort_keys=True)

    @property
    def is_ours(self) -> bool:
        """Whether the learner is this package's."""
        return self.learner.startswith("llm_al")

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the seconds of a block to a step."""
        start = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + time.perf_counter() - start

    def score(
        self, n_labels: int, predicted: NDArray[np.integer], gold: NDArray[np.integer], *, is_between: bool = False
    ) -> None:
        """Note accuracy and macro-F1 after `n_labels` labels; classes that the test split lacks do not count."""
        accuracy = float((predicted == gold).mean())
        print(f"  {self.learner} {n_labels}: {accuracy:.3f} after {self.total_s:.0f} s", flush=True)
        if is_between:
            self.between[n_labels] = accuracy
            return
        self.accuracy[n_labels], present = accuracy, np.unique(gold)
        self.macro_f1[n_labels] = float(f1_score(gold, predicted, average="macro", labels=present, zero_division=0))

    @property
    def total_s(self) -> float:
        """Seconds of all steps but the benchmark's own test."""
        return sum(seconds for step, seconds in self.seconds.items() if step != "test")

    @property
    def area(self) -> float:
        """Mean accuracy over the points: the area under the curve, as a share of the highest."""
        return float(np.mean(list(self.accuracy.values())))

    def summary(self) -> str:
        """Return one line for the terminal."""
        curve = " ".join(f"{n}:{value:.3f}" for n, value in self.accuracy.items())
        return f"{self.dataset} {self.learner} seed {self.seed}: {curve} mean {self.area:.3f} in {self.total_s:.0f} s"

    def to_json(self) -> dict[str, Any]:
        """Return what is kept in the results."""
        return {**asdict(self), "mean": self.area, "total_s": self.total_s}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Run":
        """Read what `to_json` wrote."""
        values = {name: row[name] for name in cls.__dataclass_fields__ if name in row}
        for name in ("accuracy", "macro_f1", "between", "pseudo_precision", "pseudo_estimated", "notes"):
            values[name] = {int(n): value for n, value in values.get(name, {}).items()}
        return cls(**values)


@dataclass(frozen=True)
class Curve:
    """The mean over seeds of one learner with one set of settings.

    Parameters
    ----------
    runs : tuple of Run
        Of one data set and protocol, at least one.
    """

    runs: tuple[Run, ...]

    @property
    def learner(self) -> str:
        """Its name."""
        return self.runs[0].learner

    @property
    def points(self) -> tuple[int, ...]:
        """Numbers of labels at which every run was tested."""
        shared = set.intersection(*(set(run.accuracy) for run in self.runs))
        return tuple(sorted(shared))

    def at(self, n_labels: int) -> float:
        """Return the accuracy at a point."""
        return float(np.mean([run.accuracy[n_labels] for run in self.runs]))

    def mean(self, points: Sequence[int] | None = None) -> float:
        """Return the mean over some points, all by default."""
        return float(np.mean([self.at(n) for n in points or self.points]))

    def labels_to(self, target: float) -> int | None:
        """Return the fewest labels with at least `target` accuracy; None if no point has it."""
        between = set.intersection(*(set(run.between) for run in self.runs))
        reached = {n: self.at(n) for n in self.points}
        reached |= {n: float(np.mean([run.between[n] for run in self.runs])) for n in between}
        return next((n for n in sorted(reached) if reached[n] >= target), None)

    def paired(self, other: "Curve") -> "tuple[Curve, Curve] | None":
        """Return both on the seeds that they share, from the same initial sets; None without one."""
        theirs = {(run.seed, run.first): run for run in other.runs}
        pairs = [(run, theirs[run.seed, run.first]) for run in self.runs if (run.seed, run.first) in theirs]
        if not pairs:
            return None
        ours, others = zip(*pairs, strict=True)
        return Curve(ours), Curve(others)


def curves_of(runs: Sequence[Run]) -> list[Curve]:
    """Group runs that differ in nothing but the seed, in the order in which they came."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        name = json.dumps([run.dataset, run.protocol, run.learner, run.settings], sort_keys=True)
        found.setdefault(name, []).append(run)
    return [Curve(tuple(sorted(group, key=lambda run: run.seed))) for group in found.values()]
