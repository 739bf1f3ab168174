"""How many labels it takes to find the best of several LLMs or prompts: CODA against random and Model Picker.

python benchmarks/llm_choice.py --data DIR
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _model_picker import ModelPicker
from _results import Claim, table, write
from numpy.typing import NDArray

from llm_al.evaluation.coda import ABSTAINS, Coda, lead_certainty
from llm_al.formats.llm_runs import read_llm_runs

NAME = "llm_choice"
FILES = {
    "banking77 six models": "banking77-openset58__6llm-zeroshot.jsonl.gz",
    "banking77 five prompts": "banking77__llama3.2-3b-5prompts.jsonl.gz",
    "babe top runs": "babe-media-bias__13llm-9prompts.jsonl.gz",
}
N_TOP = 12
"""So many of the 104 runs on babe, the most accurate ones, take part: the others are easily told apart."""
WITHIN = 0.01
POINTS = (0, 10, 25, 50, 100, 200)
METHODS = ("coda", "coda, full labels", "random", "model picker")


@dataclass(frozen=True)
class Contest:
    """Candidates' predictions, shape (h, n), and the true classes, shape (n,)."""

    name: str
    runs: tuple[str, ...]
    said: NDArray[np.int64]
    gold: NDArray[np.int64]
    n_classes: int

    @property
    def accuracy(self) -> NDArray[np.float64]:
        """Share of right predictions of each candidate, shape (h,)."""
        return np.asarray((self.said == self.gold).mean(axis=1), dtype=np.float64)

    def part(self, n: int, rng: np.random.Generator) -> "Contest":
        """Return a random part of n examples, a seed's pool."""
        rows = rng.permutation(len(self.gold))[:n]
        return Contest(self.name, self.runs, self.said[:, rows], self.gold[rows], self.n_classes)


def read_contest(path: Path, name: str) -> Contest:
    """Read the runs of a recorded file; a label that no gold label equals is an abstention."""
    rows = [row for row in read_llm_runs(path) if row.gold is not None]
    labels = {label: index for index, label in enumerate(sorted({str(row.gold) for row in rows}))}
    runs = tuple(dict.fromkeys(run for row in rows for run in row.runs))
    said = np.full((len(runs), len(rows)), ABSTAINS, dtype=np.int64)
    for h, run in enumerate(runs):
        for i, row in enumerate(rows):
            said[h, i] = labels.get(str(row.runs.get(run, {}).get("label")), ABSTAINS)
    gold = np.array([labels[str(row.gold)] for row in rows])
    kept = np.sort(np.argsort(-(said == gold).mean(axis=1), kind="stable")[:N_TOP])
    return Contest(name, tuple(runs[h] for h in kept), said[kept], gold, len(labels))


def sample_contest(n: int = 120) -> Contest:
    """Return made-up candidates for a smoke run."""
    rng = np.random.default_rng(0)
    gold = rng.integers(4, size=n)
    said = [np.where(rng.random(n) < p, gold, rng.integers(4, size=n)) for p in (0.8, 0.5, 0.4)]
    return Contest("sample", ("a", "b", "c"), np.array(said), gold, 4)


class Random:
    """Asks at random and believes the share of right answers."""

    def __init__(self, contest: Contest) -> None:
        self._said, self._is_open = contest.said, np.ones(len(contest.gold), dtype=np.bool_)
        self._n_right = np.zeros(len(contest.said))

    @property
    def p_best(self) -> NDArray[np.float64]:
        """All weight on those that were right most often."""
        best = self._n_right >= self._n_right.max()
        return np.asarray(best / best.sum(), dtype=np.float64)

    def next_item(self, rng: np.random.Generator) -> int | None:
        """Return any example that was not asked yet."""
        rows = np.flatnonzero(self._is_open)
        return int(rng.choice(rows)) if len(rows) else None

    def update(self, item: int, label: int) -> None:
        """Learn the true class of an example."""
        self._is_open[item] = False
        self._n_right += self._said[:, item] == label


def make(method: str, contest: Contest) -> Any:
    """Return a method that has `p_best`, `next_item` and `update`."""
    if method == "random":
        return Random(contest)
    if method == "model picker":
        return ModelPicker(contest.said, contest.n_classes)
    return Coda(contest.said, contest.n_classes, update=1.0 if method.endswith("labels") else 0.01)


def play(method: str, contest: Contest, n_labels: int, rng: np.random.Generator) -> tuple[list[float], list[float]]:
    """Return the regret (mean over ties) of the choice after 0 ... n_labels labels, and how certain its lead is."""
    player, regret, certainty, items = make(method, contest), [], [], []
    gap = contest.accuracy.max() - contest.accuracy
    for _ in range(n_labels + 1):
        p = player.p_best
        regret.append(float(gap[p >= p.max() - 1e-12].mean()))
        certainty.append(lead_certainty(contest.said[:, items] == contest.gold[items], int(p.argmax())))
        if (item := player.next_item(rng)) is not None:
            player.update(item, int(contest.gold[item]))
            items.append(item)
    return regret, certainty


def labels_needed(regret: Sequence[float]) -> int:
    """Return after how many labels the choice is within a point of the best for good; the budget + 1 if never."""
    wrong = np.flatnonzero(np.array(regret) > WITHIN)
    return int(wrong[-1]) + 1 if len(wrong) else 0


def measure(contest: Contest, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each seed and method."""
    rows = []
    for seed in range(options.seeds):
        part = contest.part(options.pool, np.random.default_rng(seed))
        for method in METHODS:
            regret, certainty = play(method, part, options.labels, np.random.default_rng([seed, 1]))
            sure = [n for n, p in enumerate(certainty) if p >= 0.9]
            rows.append(
                {
                    "contest": contest.name,
                    "method": method,
                    "seed": seed,
                    "n_candidates": len(part.runs),
                    "n_pool": len(part.gold),
                    "best": part.runs[int(part.accuracy.argmax())],
                    "n_within_a_point": int((part.accuracy >= part.accuracy.max() - WITHIN).sum()),
                    "labels_needed": labels_needed(regret),
                    "mean_regret": float(np.mean(regret)),
                    "regret": {str(n): regret[n] for n in POINTS if n <= options.labels},
                    "labels_to_0.9": sure[0] if sure else None,
                    "regret_at_0.9": regret[sure[0]] if sure else None,
                }
            )
            print(f"{contest.name}, {method}, seed {seed}: {rows[-1]['labels_needed']} labels", flush=True)
    return rows


def _mean(rows: Sequence[dict[str, Any]], contest: str, method: str, key: str) -> float:
    return float(np.mean([row[key] for row in rows if (row["contest"], row["method"]) == (contest, method)]))


def _stops(rows: Sequence[dict[str, Any]], contest: str, method: str) -> str:
    own = [row for row in rows if (row["contest"], row["method"]) == (contest, method)]
    stopped = [row for row in own if row["labels_to_0.9"] is not None]
    if not stopped:
        return f"0 of {len(own)}"
    labels = np.mean([row["labels_to_0.9"] for row in stopped])
    return f"{len(stopped)} of {len(own)}, {labels:.0f} labels, {max(row['regret_at_0.9'] for row in stopped):.3f}"


def claims_of(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Compare CODA's labels with those of random choice."""
    contests = dict.fromkeys(row["contest"] for row in rows)
    return [
        Claim(
            f"{name}: labels until the choice stays within a point of the best, CODA against {peer}",
            _mean(rows, name, "coda", "labels_needed"),
            _mean(rows, name, peer, "labels_needed"),
            "lower",
            "labels, mean over seeds",
        )
        for name in contests
        for peer in ("random", "model picker")
    ]


def sections_of(rows: Sequence[dict[str, Any]], n_labels: int) -> dict[str, str]:
    """Return one table a contest."""
    points = [n for n in POINTS if n <= n_labels]
    sections = {}
    for name in dict.fromkeys(row["contest"] for row in rows):
        lines = []
        for method in METHODS:
            regrets = [row["regret"] for row in rows if (row["contest"], row["method"]) == (name, method)]
            means = {f"regret at {n}": float(np.mean([regret[str(n)] for regret in regrets])) for n in points}
            needed = _mean(rows, name, method, "labels_needed")
            lines.append({"method": method, "labels needed": needed, **means, "stopped": _stops(rows, name, method)})
        first = next(row for row in rows if row["contest"] == name)
        sections[f"{name}: {first['n_candidates']} candidates, pools of {first['n_pool']}"] = table(
            lines, ["method", "labels needed", *(f"regret at {n}" for n in points), "stopped"]
        )
    sections["How to read"] = (
        "Regret is the accuracy that the chosen candidate lacks to the best one, on the pool of the seed. Labels "
        f"needed: from there on within {WITHIN:.0%} of the best up to {n_labels} labels; {n_labels + 1} if never. "
        "`coda` counts a label as 0.01, as the code of the paper does; `coda, full labels` counts it as 1. Stopped: "
        "seeds in which the lead became 0.9 certain, after how many labels, and the worst regret there.\n"
    )
    return sections


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the recorded answers")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=200)
    parser.add_argument("--pool", type=int, default=2000, help="examples in the pool of a seed")
    parser.add_argument("--quick", action="store_true", help="made-up candidates, under a minute")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.labels = 2, 25
    elif options.data is None:
        parser.error("--data is missing; give the folder of the recorded answers, or --quick")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    contests = [] if options.quick else [read_contest(options.data / file, name) for name, file in FILES.items()]
    rows: list[dict[str, Any]] = []
    for contest in contests or [sample_contest()]:
        rows += measure(contest, options)
    path = write(options.out, NAME, claims=claims_of(rows), rows=rows, sections=sections_of(rows, options.labels))
    for claim in claims_of(rows):
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.1f} (peer {claim.target:.1f})")
    print(path)


if __name__ == "__main__":
    main()
