"""Second opinion or new text: answers of unreliable people until the consensus over a pool is 95 % right.

python benchmarks/second_opinion.py --data DIR

**People.** Ten simulated people. Their error rates lie evenly between a quarter and seven quarters of the noise, which
is their mean; a wrong answer is any other label with the same probability, or, with --confusable, a label the more
often the nearer its mean embedding is. A question goes to somebody drawn evenly from those who have not answered the
text. **Student.** Logistic regression on frozen sentence embeddings, five folds; a text's own label never reaches its
prediction. It learns the consensus of the round before, and the shares of the votes where there are new ones.
**Consensus.** One-coin Dawid-Skene with the student's calibrated probabilities as prior, the same for every policy;
a text without an answer has the student's label. **Policies.** `activelab` asks where its score is lowest, be it a new
text or a second opinion; `random` draws texts evenly, whether answered before or not; `random, new first` answers
every text once before any gets a second answer; `uncertainty` asks about the new text with the smallest margin of the
student, and when each has one answer begins again with the smallest margin among those with the fewest.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _data import Task, read_task, sample_task
from _results import Claim, table, write
from numpy.typing import NDArray

from llm_al import registry
from llm_al.consensus.activelab import ActiveLab
from llm_al.embedders.cached import Cached
from llm_al.evaluation.cross_fit import CrossFit
from llm_al.types import Annotation, AnnotatorKind, Known
from llm_al.weights import resolve

NAME = "second_opinion"
POLICIES = ("activelab", "random", "random, new first", "uncertainty")
TARGET = 0.95
N_PEOPLE = 10
# Shares of a posterior below this are left out of a student's targets: each costs a row of the fit.
LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Pool:
    """Texts as ids and vectors, with the labels that only the simulated people see."""

    ids: list[str]
    vectors: NDArray[np.float32]
    gold: NDArray[np.int64]
    labels: tuple[str, ...]

    def sample(self, n: int, rng: np.random.Generator) -> "Pool":
        """Return n texts drawn at random, all where there are fewer."""
        rows = rng.choice(len(self.ids), min(n, len(self.ids)), replace=False)
        return Pool([self.ids[i] for i in rows], self.vectors[rows], self.gold[rows], self.labels)

    def confusions(self) -> NDArray[np.float64]:
        """Return how often each label is mistaken for each other, shape (c, c), rows sum to 1, 0 on the diagonal."""
        means = np.stack([self.vectors[self.gold == k].mean(axis=0) for k in range(len(self.labels))])
        means /= np.linalg.norm(means, axis=1, keepdims=True)
        odds = np.exp(10.0 * (means @ means.T))
        np.fill_diagonal(odds, 0.0)
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), dtype=np.float64)


class People:
    """Who answers, and how."""

    def __init__(self, pool: Pool, noise: float, rng: np.random.Generator, *, is_confusable: bool = False) -> None:
        c = len(pool.labels)
        self.pool, self.rng = pool, rng
        self.error = noise * np.linspace(0.25, 1.75, N_PEOPLE)
        self.wrong = pool.confusions() if is_confusable else (1.0 - np.eye(c)) / (c - 1)
        self.said = np.full((len(pool.ids), N_PEOPLE), -1)

    @property
    def n_answers(self) -> NDArray[np.intp]:
        """Answers of each text, shape (n,)."""
        return np.asarray((self.said >= 0).sum(axis=1), dtype=np.intp)

    def ask(self, rows: NDArray[np.intp]) -> None:
        """Let somebody answer each text; one that all have answered is passed over."""
        for row in rows:
            free = np.flatnonzero(self.said[row] < 0)
            if not len(free):
                continue
            person, label = self.rng.choice(free), int(self.pool.gold[row])
            if self.rng.random() < self.error[person]:
                label = int(self.rng.choice(len(self.pool.labels), p=self.wrong[label]))
            self.said[row, person] = label

    def annotations(self) -> list[Annotation]:
        """Return every answer."""
        names = self.pool.labels
        return [
            Annotation(self.pool.ids[i], names[self.said[i, j]], f"person-{j}", AnnotatorKind.SIMULATED)
            for i, j in np.argwhere(self.said >= 0)
        ]

    def shares(self) -> NDArray[np.float64]:
        """Return the votes as shares, shape (n, c), all 0 without an answer."""
        counts = np.stack([(self.said == k).sum(axis=1) for k in range(len(self.pool.labels))], axis=1)
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


@dataclass
class State:
    """What is believed after a round, in pool order."""

    posterior: NDArray[np.float64]
    student: NDArray[np.float64]
    scores: NDArray[np.float64]
    n_answers: NDArray[np.intp]


def believe(people: People, before: State | None) -> State:
    """Train the student, weigh the votes beside it, and score every text."""
    pool, n = people.pool, people.n_answers
    rows, new = np.flatnonzero(n > 0), np.flatnonzero(n == 0)
    targets = people.shares()[rows]
    if before is not None:
        is_old = before.n_answers[rows] == n[rows]
        targets[is_old] = before.posterior[rows[is_old]]
    targets = np.where(targets < LEAST_SHARE, 0.0, targets)
    targets /= targets.sum(axis=1, keepdims=True)
    ids = [pool.ids[i] for i in rows]
    own, others = CrossFit().fit(ids, pool.vectors[rows], targets, unseen=pool.vectors[new])
    known = Known(proba=dict(zip(ids, own, strict=True)))
    doubts = ActiveLab(pool.labels).weigh(people.annotations(), known=known, unlabelled=others)
    state = State(np.zeros((len(n), len(pool.labels))), np.zeros((len(n), len(pool.labels))), np.zeros(len(n)), n)
    said = {vote.example_id: vote.posterior for vote in doubts.consensus}
    state.posterior[rows], state.posterior[new] = np.array([said[id_] for id_ in ids]), doubts.new_proba
    state.student[rows], state.student[new] = own, others
    state.scores[rows], state.scores[new] = [doubts.scores[id_] for id_ in ids], doubts.new_scores
    return state


def choose(policy: str, state: State, k: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the texts that are asked about next."""
    n, noise = state.n_answers, rng.random(len(state.scores))
    if policy == "random":
        return rng.choice(len(n), k, replace=False)
    if policy == "random, new first":
        return np.argsort(n + noise)[:k]
    if policy == "uncertainty":
        second, best = np.sort(state.student, axis=1)[:, -2:].T
        return np.lexsort((noise, best - second, n))[:k]
    full = n >= N_PEOPLE
    return np.lexsort((noise, np.where(full, 2.0, state.scores)))[:k]


@dataclass
class Run:
    """One policy, one noise, one seed."""

    policy: str
    noise: float
    seed: int
    errors: str
    points: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def n_needed(self) -> int | None:
        """Answers at the first point at which the consensus over the pool is 95 % right."""
        return next((int(p["answers"]) for p in self.points if p["pool"] >= TARGET), None)

    @property
    def n_at_most(self) -> int:
        """The same, or all that were asked for where that was not enough."""
        return self.n_needed or int(self.points[-1]["answers"])

    def row(self) -> dict[str, Any]:
        """What is kept in the results."""
        return {
            "policy": self.policy,
            "noise": self.noise,
            "errors": self.errors,
            "seed": self.seed,
            "answers_needed": self.n_needed,
            "seconds": round(self.seconds, 1),
            "points": [{key: round(value, 4) for key, value in point.items()} for point in self.points],
        }

    def summary(self) -> str:
        """Return one line for the terminal."""
        last = self.points[-1]
        return (
            f"noise {self.noise:.1f} ({self.errors}) seed {self.seed} {self.policy}: {self.n_needed or 'not reached'}; "
            f"{last['texts']:.0f} texts, pool {last['pool']:.3f}, annotated {last['annotated']:.3f}, "
            f"student {last['student']:.3f}, {self.seconds:.0f} s"
        )


def simulate(pool: Pool, run: Run, options: argparse.Namespace) -> Run:
    """Ask until the target is reached, or there are `max_answers` answers a text."""
    start = time.perf_counter()
    people = People(pool, run.noise, np.random.default_rng([run.seed, 1]), is_confusable=run.errors == "confusable")
    rng = np.random.default_rng([run.seed, 2])
    people.ask(rng.choice(len(pool.ids), options.first, replace=False))
    state = None
    while True:
        state = believe(people, state)
        is_right, answered = state.posterior.argmax(axis=1) == pool.gold, state.n_answers > 0
        run.points.append(
            {
                "answers": float(state.n_answers.sum()),
                "texts": float(answered.sum()),
                "pool": float(is_right.mean()),
                "annotated": float(is_right[answered].mean()),
                "student": float((state.student.argmax(axis=1) == pool.gold).mean()),
            }
        )
        run.seconds = time.perf_counter() - start
        if is_right.mean() >= TARGET or state.n_answers.sum() >= options.max_answers * len(pool.ids):
            return run
        people.ask(choose(run.policy, state, options.batch, rng))


def claims_of(runs: Sequence[Run]) -> list[Claim]:
    """Return the ratio to random for each noise that was measured with both."""
    claims = []
    for errors, noise in sorted({(run.errors, run.noise) for run in runs}, reverse=True):
        here = [run for run in runs if (run.errors, run.noise) == (errors, noise)]
        seeds = sorted(set.intersection(*({r.seed for r in here if r.policy == p} for p in ("activelab", "random"))))
        if not seeds:
            continue
        ours, theirs = (
            sum(r.n_at_most for r in here if r.policy == p and r.seed in seeds) for p in ("activelab", "random")
        )
        claims.append(
            Claim(
                f"{noise:.0%} noise, {errors} errors: answers until the consensus over the pool is 95 % right, "
                f"as a share of random's, {len(seeds)} seeds",
                ours / theirs,
                0.5,
                "lower",
                "share",
            )
        )
    return claims


def sections_of(runs: Sequence[Run]) -> dict[str, str]:
    """Return the answers needed by policy, and the accuracies at that point, as Markdown tables."""
    rows = []
    for errors, noise in dict.fromkeys((run.errors, run.noise) for run in runs):
        here = [run for run in runs if (run.errors, run.noise) == (errors, noise)]
        means = {p: [r.n_at_most for r in here if r.policy == p] for p in POLICIES}
        for policy in (p for p in POLICIES if means[p]):
            last = [r.points[-1] for r in here if r.policy == policy]
            n_short = sum(r.n_needed is None for r in here if r.policy == policy)
            rows.append(
                {
                    "noise": f"{noise:.0%}",
                    "errors": errors,
                    "policy": policy,
                    "answers needed": f"{np.mean(means[policy]):,.0f}" + (f" ({n_short} not reached)" * bool(n_short)),
                    "of random's": float(np.mean(means[policy]) / np.mean(means["random"]))
                    if means["random"]
                    else None,
                    "by seed": ", ".join(str(n) for n in means[policy]),
                    "texts answered": f"{np.mean([p['texts'] for p in last]):,.0f}",
                    "right among answered": float(np.mean([p["annotated"] for p in last])),
                    "student alone": float(np.mean([p["student"] for p in last])),
                }
            )
    columns = list(rows[0]) if rows else []
    return {"Set-up": (__doc__ or "").split("\n\n", 2)[2], "Answers needed": table(rows, columns)}


def pool_of(task: Task, cache: Path) -> Pool:
    """Return a task's train split with its embeddings."""
    embedder = registry.make("embedder", "sentence", model=resolve("offline"))
    vectors = Cached(embedder, cache, name=f"{task.name}-train").encode_pool(task.texts)
    ids = [f"{task.name}-{i}" for i in range(len(task.texts))]
    return Pool(ids, np.asarray(vectors, dtype=np.float32), task.gold, task.labels)


def measure(options: argparse.Namespace) -> Iterator[Run]:
    """Run every policy on the same pool and people, seed by seed."""
    task = sample_task() if options.quick else read_task(options.data, options.dataset)
    everything = pool_of(task, options.cache)
    for noise in options.noise:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            pool = everything.sample(options.pool, np.random.default_rng([seed, 0]))
            for policy in options.policies:
                errors = "confusable" if options.confusable else "even"
                yield simulate(pool, Run(policy, noise, seed, errors), options)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with <dataset>/train.csv.gz and test.csv.gz")
    parser.add_argument("--dataset", default="banking77")
    parser.add_argument("--noise", nargs="+", type=float, default=[0.1, 0.2, 0.3])
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--confusable", action="store_true", help="wrong labels are near the right one")
    parser.add_argument("--pool", type=int, default=3000, help="texts, drawn by seed")
    parser.add_argument("--first", type=int, default=150, help="texts of the first round, drawn at random")
    parser.add_argument("--batch", type=int, default=100, help="answers of a later round")
    parser.add_argument("--max-answers", type=float, default=3.0, help="answers a text at which a run gives up")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "llm_al_benchmarks")
    parser.add_argument(
        "--add",
        nargs="+",
        type=Path,
        default=[],
        help="results of earlier calls, whose runs are kept",
    )
    parser.add_argument(
        "--quick", action="store_true", help="a smoke run on the sample project; its figures mean nothing"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    if options.quick:
        options.noise, options.seeds, options.pool, options.max_answers = [0.2], 1, 80, 1.5
        options.first, options.batch = 30, 30
    elif options.data is None:
        parser.error("--data is missing; give the folder of the data sets, or --quick for the sample project")
    return options


def earlier(options: argparse.Namespace) -> list[Run]:
    """Return the runs of earlier calls that are to be kept."""
    rows: list[Mapping[str, Any]] = []
    for path in options.add:
        rows += json.loads(path.read_text(encoding="utf-8"))["rows"]
    rows.sort(key=lambda row: (row["errors"] != "even", row["noise"], row["seed"], POLICIES.index(row["policy"])))
    return [Run(r["policy"], r["noise"], r["seed"], r["errors"], list(r["points"]), r["seconds"]) for r in rows]


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    runs = earlier(options)
    path = write(options.out, NAME, claims=claims_of(runs), rows=[r.row() for r in runs], sections=sections_of(runs))
    for run in measure(options):
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
