"""What other uses of the LLM in the loop cost, and what two of them do to a classifier, with stand-ins for the LLM.

python benchmarks/llm_uses.py --data DIR --seeds 3

No language model takes part. A stand-in on loopback answers the real prompts by a stated rule, so calls, tokens and
dollars are those of the prompts, while the quality of a real model's choices, texts and descriptions is not measured.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _data import read_task, sample_task
from _results import Claim, table, write
from _uses import (
    MODEL,
    Bench,
    at_random,
    by_name,
    by_wrong_name,
    knows_labels,
    near_centres,
    nearly_copied,
    tasks_on,
)
from _writer import Choose, Write, Writer
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from llm_al.annotators.engine.prices import PRICES_AS_OF
from llm_al.annotators.tasks.material import Disagreement, LabelledTexts
from llm_al.answers import Answers
from llm_al.protocols import Strategy
from llm_al.pseudo_labels.guard import Guard
from llm_al.pseudo_labels.none import NoPseudo
from llm_al.strategies.clusters import find_groups
from llm_al.strategies.cold_start import Typical
from llm_al.strategies.combined import Combined
from llm_al.strategies.first_choice import FirstChoice
from llm_al.strategies.scorers.random import Random
from llm_al.strategies.selectors.top_k import TopK
from llm_al.supervision import Supervision
from llm_al.synthesis import Synthesis
from llm_al.types import TrainingSet
from llm_al.weights import resolve

NAME = "llm_uses"
FIRST = {"trec6": 30, "banking77": 77, "sample": 24}
N_PER_LABEL = 5
WEIGHTS = (0.3, 0.9)
N_CLUSTERS = 12
N_DISAGREEMENTS = 40
NOT_MEASURED = (
    "No language model took part: a stand-in on loopback answered the real prompts by the rule named in each row. "
    "**What a real model's choices, texts, descriptions, rules and names are worth is not measured here.**\n"
)


_GUARDED = (
    "Five texts a label, written from its name alone, which in this data says what it means. Where the guard is on, it "
    "lowers the factor on their weight until people's labels are not hurt, or leaves them out; see its words below.\n\n"
)
_LENGTHS = "Tokens are bytes / 4; descriptions and rules of 19 words, four gaps a critique, templates for texts.\n\n"


# What each use costs.


def costs(bench: Bench, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Return calls, tokens and dollars of each use on one task; texts and numbers are those of a real project."""
    task, k = bench.task, min(FIRST[bench.task.name], len(bench.task.texts))
    rows = []
    known = rng.choice(len(task.texts), k, replace=False)
    empty = [name for c, name in enumerate(task.labels) if c not in set(task.gold[known])]
    own = {name: tuple(task.texts[i] for i in np.flatnonzero(task.gold == c)[:8]) for c, name in enumerate(task.labels)}
    cases = [
        Disagreement(str(i), task.texts[i], (("people", task.labels[task.gold[i]]), ("the LLM, run 1", task.labels[0])))
        for i in rng.choice(len(task.texts), min(N_DISAGREEMENTS, len(task.texts)), replace=False)
    ]
    typical = [[task.texts[i] for i in g.typical] for g in find_groups(bench.embeddings, N_CLUSTERS, 8, rng)]
    style = [task.texts[i] for i in known[:6]]
    uses = {
        f"first_choice: {k} first examples": lambda t: FirstChoice(t.choose).query(bench.view(), k, rng),
        f"describe: {len(task.labels)} labels": lambda t: t.describe([LabelledTexts(n, own[n]) for n in task.labels]),
        f"critique: {len(cases)} disagreements": lambda t: t.critique(cases),
        f"synthesise: {N_PER_LABEL} texts for {len(empty)} labels": lambda t: t.write(
            dict.fromkeys(empty, N_PER_LABEL), style, 1
        ),
        f"name_cluster: {len(typical)} groups": lambda t: t.name_clusters([(g, [typical[0][0]]) for g in typical]),
    }
    for use, work in uses.items():
        with Writer() as writer:
            tasks = tasks_on(writer, bench.scheme)
            work(tasks)
            booked = tasks.chat.ledger.spent_nanousd()  # type: ignore[attr-defined]
            priced = sum(
                tasks.chat.engine.price.cost_nanousd(u.n_tokens_in, u.n_tokens_out) for u in writer.uses.values()
            )
        total = next(iter(writer.uses.values()), None)
        rows.append(
            {
                "task": task.name,
                "use": use,
                "calls": total.n_calls if total else 0,
                "tokens in": total.n_tokens_in if total else 0,
                "tokens out": total.n_tokens_out if total else 0,
                "usd": f"{booked / 1e9:.5f}",
                # Each call is rounded up to a whole nano-dollar.
                "ledger is server": abs(booked - priced) <= (total.n_calls if total else 0),
            }
        )
    return rows


# The first examples.


def first_examples(bench: Bench, seed: int) -> list[dict[str, Any]]:
    """Return the accuracy of a head that learns from the first examples of each way of choosing."""
    k = min(FIRST[bench.task.name], len(bench.task.texts))
    ways: dict[str, Strategy | Choose] = {
        "random": Combined(Random(), TopK()),
        "typical": Typical(),
        "llm: stand-in at random": at_random(np.random.default_rng(seed)),
        "llm: stand-in near centres": near_centres(bench, seed),
        "llm: stand-in that knows the labels": knows_labels(bench),
    }
    rows = []
    for way, how in ways.items():
        rng = np.random.default_rng(seed)
        if hasattr(how, "query"):
            chosen = how.query(bench.view(), k, rng)[0]
        else:
            with Writer(choose=how) as writer:
                chosen = FirstChoice(tasks_on(writer, bench.scheme).choose).query(bench.view(), k, rng)[0]
        gold = bench.task.gold[chosen]
        training = TrainingSet(
            [bench.task.texts[i] for i in chosen],
            np.eye(len(bench.task.labels))[gold],
            np.ones(k),
            bench.embeddings[chosen],
        )
        predicted = bench.tested(bench.fit(training, seed))
        rows.append(
            {
                "task": bench.task.name,
                "way": way,
                "seed": seed,
                "k": k,
                "labels covered": len(set(gold.tolist())),
                "accuracy": float((predicted == bench.task.test_gold).mean()),
            }
        )
    return rows


# Synthetic texts.


def answers_of(bench: Bench, known: NDArray[np.intp]) -> Answers:
    human = bench.view(known).labels
    none = np.zeros(len(human), dtype=np.bool_)
    return Answers(human, human >= 0, none, none, {}, {}, (), {})


def synthetic(bench: Bench, seed: int) -> list[dict[str, Any]]:
    """Return macro-F1 with and without texts written for labels that a random first set does not hold."""
    rng = np.random.default_rng(seed)
    known = np.sort(
        rng.choice(len(bench.task.texts), min(FIRST[bench.task.name], len(bench.task.texts)), replace=False)
    )
    answers, view = answers_of(bench, known), bench.view(known)
    seen = np.unique(bench.task.gold[known])
    rows = [
        _measured(
            bench, Supervision(NoPseudo(), None).mix(view, answers, {}, rng).training_set(bench.corpus()), seen, seed
        )
        | {"texts": "none", "weight": None, "guard": "", "kept": 0, "verdict": ""}
    ]
    writers: Mapping[str, Write] = {
        "template with the label's name": by_name,
        "template with another label's name": by_wrong_name(bench.task.labels),
        "garbled texts of other labels": nearly_copied(bench, known, np.random.default_rng(seed)),
    }
    for name, how in writers.items():
        with Writer(write=how) as writer:
            tasks = tasks_on(writer, bench.scheme)
            for weight in WEIGHTS:
                synthesis = Synthesis(tasks.write, bench.embedder.encode, n_per_label=N_PER_LABEL, weight=weight)
                made = synthesis.make(answers, bench.corpus(), [], number=1, rng=np.random.default_rng(seed))
                written = synthesis.training_set(made, bench.corpus())
                for guard in (None, Guard()):
                    mixture = Supervision(NoPseudo(), guard).mix(
                        view, answers, {}, np.random.default_rng(seed), written=written
                    )
                    measured = _measured(bench, mixture.training_set(bench.corpus()), seen, seed)
                    verdict = mixture.summary.reason.split("; ")[-1] if guard else ""
                    rows.append(
                        measured
                        | {
                            "texts": name,
                            "weight": weight,
                            "guard": "yes" if guard else "no",
                            "kept": mixture.summary.n_synthetic,
                            "verdict": verdict,
                        }
                    )
    return rows


def _measured(bench: Bench, training: TrainingSet, seen: NDArray[np.int64], seed: int) -> dict[str, Any]:
    truth, predicted = bench.task.test_gold, bench.tested(bench.fit(training, seed))
    every = np.arange(len(bench.task.labels))
    empty = np.setdiff1d(every, seen)

    def f1(labels: NDArray[np.int64]) -> float | None:
        return (
            float(f1_score(truth, predicted, labels=labels, average="macro", zero_division=0)) if len(labels) else None
        )

    return {
        "task": bench.task.name,
        "seed": seed,
        "empty labels": len(empty),
        "macro-F1": f1(every),
        "macro-F1 of empty labels": f1(empty),
        "macro-F1 of others": f1(seen),
        "accuracy": float((predicted == truth).mean()),
    }


# The script.


def mean_by(rows: Sequence[Mapping[str, Any]], keys: Sequence[str], values: Sequence[str]) -> list[dict[str, Any]]:
    """Return the means of some columns over seeds."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return [
        dict(zip(keys, key, strict=True))
        | {
            value: float(np.mean([row[value] for row in here])) if all(row[value] is not None for row in here) else None
            for value in values
        }
        | {"seeds": len(here)}
        for key, here in found.items()
    ]


def claims_of(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Claim]:
    """Return the claims that stand-ins can decide: the money adds up, and the guard keeps harm out."""
    claims = [
        Claim(
            "uses whose ledger equals the server's count",
            float(np.mean([r["ledger is server"] for r in rows["costs"]])),
            1.0,
            "higher",
            "share",
        )
    ]
    made = rows["synthetic"]
    without = {r["seed"]: r["accuracy"] for r in made if r["texts"] == "none"}
    for weight in WEIGHTS:
        guarded = [r for r in made if r["guard"] == "yes" and r["weight"] == weight]
        worst = min(r["accuracy"] - without[r["seed"]] for r in guarded)
        claims.append(
            Claim(
                f"worst change of accuracy by guarded synthetic texts of weight {weight}, any stand-in",
                worst,
                -0.02,
                "higher",
                "accuracy",
            )
        )
    return claims


def sections_of(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, str]:
    first = mean_by(rows["first"], ["task", "way", "k"], ["labels covered", "accuracy"])
    made = mean_by(
        rows["synthetic"],
        ["task", "texts", "weight", "guard"],
        ["kept", "macro-F1", "macro-F1 of empty labels", "macro-F1 of others", "accuracy"],
    )
    verdicts = [r for r in rows["synthetic"] if r["guard"] == "yes"]
    return {
        "What this does not show": NOT_MEASURED,
        f"Calls, tokens and dollars at the list price of {MODEL} ({PRICES_AS_OF})": _LENGTHS
        + table(rows["costs"], ["task", "use", "calls", "tokens in", "tokens out", "usd"]),
        "First examples: accuracy of a head on a frozen encoder, mean over seeds": table(
            first, ["task", "way", "k", "labels covered", "accuracy", "seeds"]
        ),
        "Synthetic texts for labels without an example, mean over seeds": _GUARDED
        + table(
            made,
            [
                "task",
                "texts",
                "weight",
                "guard",
                "kept",
                "macro-F1",
                "macro-F1 of empty labels",
                "macro-F1 of others",
                "accuracy",
                "seeds",
            ],
        ),
        "What the guard said": table(verdicts, ["texts", "weight", "seed", "verdict"]),
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with <dataset>/train.csv.gz and test.csv.gz")
    parser.add_argument("--datasets", nargs="+", default=["trec6", "banking77"], choices=["trec6", "banking77"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a smoke run on the sample; its figures mean nothing")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds = 1
    elif options.data is None:
        parser.error("--data is missing; give the folder of the data sets, or --quick for the sample project")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    tasks = [sample_task(80, 30)] if options.quick else [read_task(options.data, name) for name in options.datasets]
    rows: dict[str, list[dict[str, Any]]] = {"costs": [], "first": [], "synthetic": []}
    for task in tasks:
        bench = Bench.of(task, resolve("offline"), is_quick=options.quick)
        rows["costs"] += costs(bench, np.random.default_rng(0))
        for seed in range(options.seeds):
            rows["first"] += first_examples(bench, seed)
            if task.name != "trec6":
                rows["synthetic"] += synthetic(bench, seed)
            print(f"{task.name}, seed {seed}: done", flush=True)
    flat = [{"part": part, **row} for part, found in rows.items() for row in found]
    claims = claims_of(rows)
    path = write(options.out, NAME, claims=claims, rows=flat, sections=sections_of(rows))
    for claim in claims:
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.3f} (target {claim.target:.3f})")
    print(path)


if __name__ == "__main__":
    main()
