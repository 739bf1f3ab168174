"""FreeAL on recorded answers: an LLM and a student teach each other, without a person.

python benchmarks/freeal.py --data DIR
"""

import argparse
import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _results import Claim, table, write
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al import registry
from llm_al.annotators.refinery import refined_demonstrations
from llm_al.formats.llm_runs import read_llm_runs
from llm_al.protocols import FittedStudent
from llm_al.pseudo_labels.small_loss import CLEAN, clean_probability
from llm_al.types import Proba, TrainingSet
from llm_al.weights import resolve

NAME = "freeal"
MISSING = -1
N_FOLDS = 3
_CANNOT_SHOW = (
    "What replay cannot show: the second pass is a recorded run with the demonstrations of whoever recorded it, not "
    "the ones that the student chose here. The number of saved queries and what the student and its clean list do to "
    "the labels are real; how much *our* demonstrations would have improved the LLM is not measured. On the open-set "
    "file `none of these` (oos) is a class of its own, and the first pass is the only other run of that model, five "
    "fixed examples a class, which failed on most texts.\n"
)


@dataclass(frozen=True)
class Plan:
    """A recorded file, and its runs that stand for the two passes of the LLM."""

    name: str
    file: str
    first: str
    second: str


PLANS = (
    Plan("banking77, zero-shot then few-shot", "banking77__llama3.2-3b-5prompts.jsonl.gz", "zs_enum", "fewshot_enum"),
    Plan(
        "banking77, zero-shot then grouped few-shot",
        "banking77__llama3.2-3b-5prompts.jsonl.gz",
        "zs_enum",
        "grouped_fewshot_enum",
    ),
    Plan(
        "banking77 open set, fixed then 5 nearest examples",
        "banking77-openset58b__qwen3-30b-fewshot.jsonl.gz",
        "llama3.2-3b_fs5perclass",
        "llama3.2-3b_fs5nearest",
    ),
)


@dataclass(frozen=True)
class Pass:
    """Texts with two passes of an LLM, as class indices; -1 is an answer outside the list."""

    name: str
    texts: list[str]
    gold: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    labels: tuple[str, ...]


def read_pass(folder: Path, plan: Plan) -> Pass:
    """Read the two runs of a recorded file."""
    rows = list(read_llm_runs(folder / plan.file))
    labels = tuple(sorted({str(row.gold) for row in rows}))
    index = {label: i for i, label in enumerate(labels)}

    def said(run: str) -> NDArray[np.int64]:
        return np.array([index.get(str(row.runs.get(run, {}).get("label")), MISSING) for row in rows])

    gold = np.array([index[str(row.gold)] for row in rows])
    return Pass(plan.name, [row.text for row in rows], gold, said(plan.first), said(plan.second), labels)


def sample_pass(n: int = 240) -> Pass:
    """Return made-up texts with two noisy passes, for a smoke run."""
    words = ("parcel courier late", "refund money card", "tent stove boots")
    rng = np.random.default_rng(0)
    gold = rng.integers(3, size=n)
    texts = [f"{' '.join(rng.permutation(words[g].split()))} {i}" for i, g in enumerate(gold)]
    first, second = (np.where(rng.random(n) < p, gold, rng.integers(3, size=n)) for p in (0.6, 0.8))
    return Pass("sample", texts, gold, first, second, ("a", "b", "c"))


def embed(texts: Sequence[str], cache: Path) -> NDArray[np.float32]:
    """Return the frozen sentence embeddings, from the cache where they are there."""
    key = hashlib.blake2b("\n".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    path = cache / f"minilm_{key}.npy"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        encoder = registry.make("embedder", "sentence", model=resolve("offline"))
        np.save(path, encoder.encode(texts))
    vectors: NDArray[np.float32] = np.load(path)
    return vectors


@dataclass(frozen=True)
class Lab:
    """Where a student learns on some rows and is tested on others."""

    data: Pass
    vectors: NDArray[np.float32]
    pool: NDArray[np.intp]
    test: NDArray[np.intp]

    def student(self, rows: NDArray[np.intp], labels: NDArray[np.int64]) -> FittedStudent:
        """Return a logistic head that learned the labels of some rows; those without a label are left out."""
        kept = rows[labels[rows] >= 0]
        targets = np.eye(len(self.data.labels))[labels[kept]]
        texts = [self.data.texts[i] for i in kept]
        training = TrainingSet(texts, targets, np.ones(len(kept)), self.vectors[kept])
        recipe = registry.make("student", "head", model="offline", n_folds=0)
        fitted: FittedStudent = recipe.fit(training, labels=self.data.labels, seed=0)
        return fitted

    def proba(self, fitted: FittedStudent, rows: NDArray[np.intp]) -> Proba:
        """Return what a student predicts of rows."""
        return fitted.predict_proba([self.data.texts[i] for i in rows], embeddings=self.vectors[rows])

    def accuracy(self, fitted: FittedStudent) -> float:
        """Return a student's accuracy on the test rows."""
        return float((self.proba(fitted, self.test).argmax(axis=1) == self.data.gold[self.test]).mean())

    def out_of_fold(self, labels: NDArray[np.int64], rng: np.random.Generator) -> Proba:
        """Return probabilities of the pool rows by students that did not see them, shape (n_pool, c)."""
        fold = rng.permutation(len(self.pool)) % N_FOLDS
        proba = np.zeros((len(self.pool), len(self.data.labels)))
        for k in range(N_FOLDS):
            proba[fold == k] = self.proba(self.student(self.pool[fold != k], labels), self.pool[fold == k])
        return proba

    def share_right(self, labels: NDArray[np.int64], rows: NDArray[np.intp] | None = None) -> float:
        """Return how many labels of pool rows are right; a missing one is wrong."""
        rows = self.pool if rows is None else rows
        return float((labels[rows] == self.data.gold[rows]).mean()) if len(rows) else 0.0


def refine(lab: Lab, seed: int) -> dict[str, Any]:
    """Run one refinery round and return every figure."""
    data, pool, rng = lab.data, lab.pool, np.random.default_rng(seed)
    proba = lab.out_of_fold(data.first, rng)
    clean = clean_probability(proba, data.first[pool], seed=seed) > CLEAN
    demonstrations = pool[refined_demonstrations(lab.vectors[pool], proba, data.first[pool], seed=seed)]
    refined = data.second.copy()
    refined[pool[clean]] = data.first[pool[clean]]
    after = lab.out_of_fold(refined, rng)
    clean_after = clean_probability(after, refined[pool], seed=seed) > CLEAN
    return {
        "plan": data.name,
        "seed": seed,
        "n_pool": len(pool),
        "n_test": len(lab.test),
        "llm first pass": lab.share_right(data.first),
        "llm second pass, all re-queried": lab.share_right(data.second),
        "llm second pass, clean kept": lab.share_right(refined),
        "clean labels right": lab.share_right(data.first, pool[clean]),
        "demonstrations right": lab.share_right(data.first, demonstrations),
        "n_demonstrations": len(demonstrations),
        "n_saved": int(clean.sum()),
        "share_saved": float(clean.mean()),
        "student warm-up": lab.accuracy(lab.student(pool, data.first)),
        "student on clean": lab.accuracy(lab.student(pool[clean], data.first)),
        "student after refinery": lab.accuracy(lab.student(pool, refined)),
        "student after refinery, clean": lab.accuracy(lab.student(pool[clean_after], refined)),
        "student, all re-queried": lab.accuracy(lab.student(pool, data.second)),
        "student on people's labels": lab.accuracy(lab.student(pool, data.gold)),
    }


def measure(data: Pass, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return one row a seed; a seed draws which rows are the pool."""
    vectors, rows = embed(data.texts, options.cache), []
    for seed in range(options.seeds):
        order = np.random.default_rng([seed, 7]).permutation(len(data.texts))
        n_test = len(order) // 4
        with threadpool_limits(limits=1, user_api="blas"):
            rows.append(refine(Lab(data, vectors, order[n_test:][: options.pool], order[:n_test]), seed))
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in rows[-1].items()})
    return rows


FIGURES = (
    "llm first pass",
    "llm second pass, clean kept",
    "llm second pass, all re-queried",
    "clean labels right",
    "share_saved",
    "student warm-up",
    "student on clean",
    "student after refinery",
    "student after refinery, clean",
    "student, all re-queried",
    "student on people's labels",
)


def _means(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    plans = dict.fromkeys(row["plan"] for row in rows)
    own = {plan: [row for row in rows if row["plan"] == plan] for plan in plans}
    return [{"plan": p, **{key: float(np.mean([row[key] for row in own[p]])) for key in FIGURES}} for p in plans]


def claims_of(rows: Sequence[dict[str, Any]]) -> list[Claim]:
    """Compare what the loop gives with its first pass and with asking everything again."""
    claims = []
    for mean in _means(rows):
        pairs = (
            ("accuracy of the clean labels against all of the first pass", "clean labels right", "llm first pass"),
            ("student against the LLM labels it learned from", "student warm-up", "llm first pass"),
            ("student after the refinery against warm-up", "student after refinery", "student warm-up"),
            (
                "LLM labels with the clean list kept against all re-queried",
                "llm second pass, clean kept",
                "llm second pass, all re-queried",
            ),
        )
        claims += [
            Claim(f"{mean['plan']}: {what}", mean[key], mean[peer], "higher", "accuracy") for what, key, peer in pairs
        ]
    return claims


def sections_of(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """Return the means over seeds, figures down and plans across."""
    means = _means(rows)
    lines = [{"figure": key, **{mean["plan"]: mean[key] for mean in means}} for key in FIGURES]
    return {
        f"Means over {len({row['seed'] for row in rows})} seeds": table(lines, ["figure", *(m["plan"] for m in means)]),
        "How to read": _CANNOT_SHOW,
    }


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the recorded answers")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pool", type=int, default=None, help="at most so many rows are labelled by the LLM")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "llm_al_benchmarks")
    parser.add_argument("--quick", action="store_true", help="made-up texts, under a minute")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.seeds = 1
    elif options.data is None:
        parser.error("--data is missing; give the folder of the recorded answers, or --quick")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    data = [sample_pass()] if options.quick else [read_pass(options.data, plan) for plan in PLANS]
    rows: list[dict[str, Any]] = []
    for each in data:
        rows += measure(each, options)
        path = write(options.out, NAME, claims=claims_of(rows), rows=rows, sections=sections_of(rows))
    for claim in claims_of(rows):
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.3f} (against {claim.target:.3f})")
    print(path)


if __name__ == "__main__":
    main()
