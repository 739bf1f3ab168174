"""What a question costs in each form: seconds of a simulated person, at the same answers, and coverage of the sets.

python benchmarks/cheaper_questions.py --data DIR
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _data import Task, read_task, sample_task
from _policies import AUTOMATIC, CANDIDATES, FIXED, LIST, POLICIES, Answered, Policy, Round, ask
from _reader import BASE, READERS, Reader, meant
from _results import Claim, table, write
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al import registry
from llm_al.embedders.cached import Cached
from llm_al.embedders.hashing import HashEmbedder
from llm_al.phrasing import Form
from llm_al.pool import PoolView
from llm_al.questions.choice import Choice, Texts
from llm_al.questions.conformal import Asked, replay
from llm_al.questions.coverage import anchoring
from llm_al.questions.times import Timed
from llm_al.types import Embeddings, TrainingSet
from llm_al.weights import resolve

NAME = "cheaper_questions"
ANCHORING = 0.2
N_REST = 500


@dataclass(frozen=True)
class Loop:
    """Active learning as the package does it: cold start, then margin with diversity; a head on frozen vectors."""

    task: Task
    vectors: Embeddings
    test_vectors: Embeddings
    options: argparse.Namespace

    def run(self, seed: int, policy: Policy, reader: Reader) -> "Run":
        """Ask round after round, each with the student of the round before."""
        n, c = len(self.task.texts), len(self.task.labels)
        rng = np.random.default_rng([seed, 99])
        meant_ = meant(self.task.gold, self.vectors, reader.error, rng)
        coins = np.column_stack([rng.random((n, 2)), rng.normal(size=n)])
        strategy = registry.make_strategy("margin+diverse", cold_start="typical")
        known, rounds, past, times, proba = np.full(n, -1), [], [], [], None
        answered: list[Answered] = []
        for number in range(self.options.rounds + 1):
            view = PoolView(self.task.texts, self.vectors, c, known, known < 0, proba)
            k = 2 * c if number == 0 else self.options.per_round
            rows = strategy.query(view, k, np.random.default_rng([seed, number]))[0]
            now = self._round(rows, proba, meant_, coins)
            if number == 0:
                known[rows] = meant_[rows]
            else:
                said = ask(policy, now, past, times, reader)
                known[rows] = said.labels
                rounds.append(now)
                answered.append(said)
                past.append(Asked(now.texts.proba, said.labels))
                times += said.times
            fitted = self._fit(known, seed)
            proba = fitted.predict_proba(self.task.texts, embeddings=self.vectors)
        rest = rng.permutation(np.flatnonzero(known < 0))[:N_REST]
        accuracy = fitted.predict_proba(self.task.test_texts, embeddings=self.test_vectors).argmax(axis=1)
        right = float((accuracy == self.task.test_gold).mean())
        return Run(seed, rounds, answered, self._round(rest, proba, meant_, coins), right)

    def _round(self, rows: NDArray[np.intp], proba: Any, meant_: NDArray[np.int64], coins: Any) -> Round:
        c = len(self.task.labels)
        n_words = np.array([len(self.task.texts[row].split()) for row in rows])
        shown = np.full((len(rows), c), 1.0 / c) if proba is None else proba[rows]
        return Round(Texts(shown, n_words, self.vectors[rows]), meant_[rows], self.task.gold[rows], coins[rows])

    def _fit(self, known: NDArray[np.int64], seed: int) -> Any:
        rows = np.flatnonzero(known >= 0)
        targets, texts = np.eye(len(self.task.labels))[known[rows]], [self.task.texts[row] for row in rows]
        training = TrainingSet(texts, targets, np.ones(len(rows)), self.vectors[rows])
        return registry.make("student", "head", model="offline").fit(training, labels=self.task.labels, seed=seed)


@dataclass(frozen=True)
class Run:
    """One seed: rounds after the first labels, with what was answered."""

    seed: int
    rounds: Sequence[Round]
    answered: Sequence[Answered]
    rest: Round
    accuracy: float

    def again(self, policy: Policy, reader: Reader) -> list[Answered]:
        """Put the same questions in another way to somebody who is not swayed: the answers are the same."""
        past: list[Asked] = []
        times: list[Timed] = []
        answered = []
        for one in self.rounds:
            answered.append(ask(policy, one, past, times, reader))
            past.append(Asked(one.texts.proba, answered[-1].labels))
            times += answered[-1].times
        return answered


def summary(policy: Policy, reader: Reader, run: Run, answered: Sequence[Answered]) -> dict[str, Any]:
    """Return one row: seconds and coverage of a policy on the rounds of a run."""
    choices = [choice for one in answered for choice in one.choices]
    labels = np.concatenate([one.labels for one in answered])
    gold, meant_ = (np.concatenate([getattr(one, name) for one in run.rounds]) for name in ("gold", "meant"))
    sets = [row for row, choice in enumerate(choices) if choice.form is Form.CANDIDATES]
    used = Counter(choice.form.value for choice in choices)
    list_s = np.array([reader.seconds(Choice(Form.LIST, (), 0, 1), int(m), int(w)) for m, w in _meant_words(run)])
    seconds = np.concatenate([one.seconds for one in answered])
    row = {
        "policy": policy.name,
        "reader": reader.name,
        "anchoring": reader.anchoring,
        "seed": run.seed,
        "questions": len(choices),
        "seconds": float(seconds.mean()),
        "list seconds": float(list_s.mean()),
        "share": float(seconds.sum() / list_s.sum()),
        "share where used": None,
        "label accuracy": float((labels == gold).mean()),
        "accuracy": run.accuracy,
        "forms": {form.value: round(used[form.value] / len(choices), 3) for form in Form if used[form.value]},
    }
    offered = [i for i, choice in enumerate(choices) if choice.form is not Form.LIST]
    if offered:
        row["share where used"] = float(seconds[offered].sum() / list_s[offered].sum())
    if sets:
        row["sets"] = len(sets)
        row["options"] = float(np.mean([len(choices[i].options) for i in sets]))
        row["coverage"] = float(np.mean([labels[i] in choices[i].options for i in sets]))
        row["unswayed coverage"] = float(np.mean([meant_[i] in choices[i].options for i in sets]))
    return row


def _meant_words(run: Run) -> list[tuple[int, int]]:
    return [pair for one in run.rounds for pair in zip(one.meant.tolist(), one.texts.n_words.tolist(), strict=True)]


def on_the_rest(run: Run) -> list[dict[str, Any]]:
    """Return what labelling texts drawn at random costs, after the last round: there the student is often sure."""
    past = [Asked(one.texts.proba, said.labels) for one, said in zip(run.rounds, run.answered, strict=True)]
    times = [one for said in run.answered for one in said.times]
    rows = []
    for policy in (LIST, CANDIDATES[1], *FIXED, AUTOMATIC):
        said = ask(policy, run.rest, past, times, BASE)
        used = Counter(choice.form.value for choice in said.choices)
        rows.append(
            {
                "policy": policy.name,
                "reader": "rest of the pool",
                "seed": run.seed,
                "seconds": float(said.seconds.mean()),
                "forms": {name: round(n / len(said.choices), 3) for name, n in used.items()},
            }
        )
    return rows


@dataclass(frozen=True)
class _Logged:
    """An answer as the store would tell of it."""

    form: str
    options: tuple[str, ...]
    coverage: float
    label: str


def swayed(loop: Loop, seed: int) -> list[dict[str, Any]]:
    """Run the loop with somebody whom proposals sway: the student learns from what they say."""
    reader, rows = replace(BASE, name="swayed", anchoring=ANCHORING), []
    for policy in (replace(CANDIDATES[1], list_share=0.1), AUTOMATIC):
        run = loop.run(seed, policy, reader)
        row = summary(policy, reader, run, run.answered)
        shown, unseen, past = [], [], []
        for asked, said in zip(run.rounds, run.answered, strict=True):
            threshold = replay(past, policy.coverage).threshold
            past.append(Asked(asked.texts.proba, said.labels))
            if not threshold.is_known:
                continue
            for i, held in enumerate(threshold.sets(asked.texts.proba)):
                form = said.choices[i].form
                options = tuple(map(str, np.flatnonzero(held)))
                logged = _Logged(form.value, options, policy.coverage, str(said.labels[i]))
                if asked.coins[i, 1] < policy.list_share:
                    unseen.append(logged)
                elif form is Form.CANDIDATES:
                    shown.append(logged)
        found = anchoring(shown, unseen)
        rows.append(row | {"anchoring found": found.value, "found low": found.low, "found high": found.high})
    return rows


def measure(loop: Loop, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row for each seed, policy and reader."""
    rows: list[dict[str, Any]] = []
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        run = loop.run(seed, LIST, BASE)
        for reader in READERS:
            kept = POLICIES if reader is BASE else [CANDIDATES[1], AUTOMATIC]
            rows += [summary(policy, reader, run, run.again(policy, reader)) for policy in kept]
        rows += on_the_rest(run)
        if seed < options.first_seed + options.swayed_seeds:
            rows += swayed(loop, seed)
        shown = next(row for row in rows if row["seed"] == seed and row["policy"] == CANDIDATES[1].name)
        print({key: round(value, 3) for key, value in shown.items() if isinstance(value, float)}, flush=True)
        # Written after every seed, so that a stopped benchmark keeps what it has measured.
        write(options.out, NAME, claims=claims_of(rows), rows=rows, sections=sections_of(rows))
    return rows


def _mean(rows: Sequence[dict[str, Any]], key: str) -> float:
    return float(np.mean([row[key] for row in rows if row.get(key) is not None]))


def _of(rows: Sequence[dict[str, Any]], policy: str, reader: str = "base") -> list[dict[str, Any]]:
    return [row for row in rows if row["policy"] == policy and row["reader"] == reader]


def claims_of(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Compare seconds with those of the whole list, and coverage with the nominal one."""
    claims = []
    for policy in CANDIDATES:
        own = [row for row in _of(rows, policy.name) if "sets" in row]
        if not own:
            continue
        worst = max(abs(row["coverage"] - policy.coverage) for row in own)
        claims += [
            Claim(
                f"{policy.name}: seconds as a share of the list's, same questions and answers",
                _mean(own, "share where used"),
                0.6,
                "lower",
                f"share, mean of {len(own)} seeds",
            ),
            Claim(
                f"{policy.name}: distance of the coverage from {policy.coverage}",
                abs(_mean(own, "coverage") - policy.coverage),
                0.01,
                "lower",
                f"share, mean of {len(own)} seeds; worst seed {worst:.4f}",
            ),
        ]
    half = _of(rows, CANDIDATES[1].name, "options in half the time")
    if half:
        claim = f"{CANDIDATES[1].name}: the same share for somebody who looks at a label in half the time"
        claims.append(Claim(claim, _mean(half, "share where used"), 0.6, "lower", f"share, mean of {len(half)} seeds"))
    return claims


def _mean_row(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> dict[str, Any]:
    means = {key: _mean(rows, key) for key in columns if any(row.get(key) is not None for row in rows)}
    forms: Counter[str] = Counter()
    for row in rows:
        forms.update(row["forms"])
    mix = ", ".join(f"{name} {100 * share / len(rows):.0f} %" for name, share in forms.most_common())
    return {"policy": rows[0]["policy"], "person": rows[0]["reader"], **means, "forms used": mix}


def sections_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the tables by forms, persons, the rest of the pool and sway."""
    cost = ["seconds", "share", "share where used", "options", "coverage"]
    sections = {
        "Forms, on the questions of active learning": table(
            [_mean_row(_of(rows, policy.name), cost) for policy in POLICIES], ["policy", *cost, "forms used"]
        )
    }
    people = [
        _mean_row(own, cost) for r in READERS for p in (CANDIDATES[1], AUTOMATIC) if (own := _of(rows, p.name, r.name))
    ]
    sections["Other persons"] = table(people, ["person", "policy", *cost[:3], "coverage", "forms used"])
    names = list(dict.fromkeys(row["policy"] for row in rows if row["reader"] == "rest of the pool"))
    rest = [_mean_row(_of(rows, name, "rest of the pool"), ["seconds"]) for name in names]
    sections[f"Labelling {N_REST} texts of the pool drawn at random, after the last round"] = table(
        rest, ["policy", "seconds", "forms used"]
    )
    sway = [
        "share",
        "label accuracy",
        "accuracy",
        "coverage",
        "unswayed coverage",
        "anchoring found",
        "found low",
        "found high",
    ]
    seeds = {row["seed"] for row in rows if row["reader"] == "swayed"}
    plain = [row for row in _of(rows, "list") if row["seed"] in seeds]
    swayed_rows = [own for p in (CANDIDATES[1], AUTOMATIC) if (own := _of(rows, p.name, "swayed"))]
    if plain and swayed_rows:
        lines = [_mean_row(own, sway) for own in (plain, *swayed_rows)]
        sections[f"Somebody who takes the first label offered in {ANCHORING:.0%} of misses"] = table(
            lines, ["policy", *sway, "forms used"]
        )
    sections["How to read"] = HOW
    return sections


HOW = f"""\
The pool of banking77, 77 labels; two labels a class from the cold start, then rounds chosen by margin with diversity,
each with the student of the round before (frozen all-MiniLM vectors, logistic regression). The first of these rounds
has no answers to learn a threshold from and is asked with the whole list; `share` counts it, `share where used` does
not. The cold start is in neither.

The person reads at 238 words a minute, looks at a label in {BASE.option_s} s, decides and presses a key in
{BASE.decide_s} s. The whole list is scanned from the top to the label; a set from its likeliest label to the answer,
and after a miss a key ({BASE.key_s} s) leads to the list, which is scanned too. {BASE.error:.0%} of answers are wrong,
on one of the five labels whose texts are most alike; the same ones in every form, so that the student, and its
accuracy, are the same. Coverage is that of the answers, right or wrong.

How much is saved hangs on how long a label takes to find in the whole list. Somebody who types to find it, or who needs
no more than .08 s a label, finds it in about three seconds, as long as reading the text takes; there the share stays
above .6 (see Other persons).

The loop does not know these seconds: `automatic` fits its own from answer times with a spread of {BASE.spread:.0%},
starting at its prior, and puts a tenth of the questions as a whole list. Set and correction were chosen on clinc150 and
on other seeds. "Not corrected" is split conformal prediction on the latest answers. "Found" is the sway that the loop
measures by comparing its whole lists with its sets; "unswayed coverage" is what the sets would hold of what people
meant.
"""


def embed(task: Task, options: argparse.Namespace) -> tuple[Embeddings, Embeddings]:
    """Return vectors of pool and test split."""
    if options.quick:
        hashed = HashEmbedder(n_dimensions=128)
        return hashed.encode(task.texts), hashed.encode(task.test_texts)
    embedder = registry.make("embedder", "sentence", model=resolve(options.encoder))
    parts = (("train", task.texts), ("test", task.test_texts))
    pool, test = (
        np.asarray(Cached(embedder, options.cache, name=f"{task.name}-{part}").encode_pool(texts))
        for part, texts in parts
    )
    return pool, test


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with <dataset>/train.csv.gz and test.csv.gz")
    parser.add_argument("--dataset", default="banking77")
    parser.add_argument("--encoder", default="offline", help="hub name, local folder, or 'offline'")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--swayed-seeds", type=int, default=2, help="seeds that are run again with a swayed person")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--per-round", type=int, default=60)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "llm_al_benchmarks")
    parser.add_argument("--quick", action="store_true", help="the sample project, under a minute; figures mean nothing")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds, options.swayed_seeds, options.rounds, options.per_round = 1, 1, 5, 20
    elif options.data is None:
        parser.error("--data is missing; give the folder of the data sets, or --quick for the sample project")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    task = sample_task() if options.quick else read_task(options.data, options.dataset)
    with threadpool_limits(limits=1, user_api="blas"):
        rows = measure(Loop(task, *embed(task, options), options), options)
    for claim in claims_of(rows):
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.4f} (target {claim.target})")
    print(options.out / f"{NAME}.json")


if __name__ == "__main__":
    main()
