"""What a small exported student costs in accuracy and brings in speed, against the ensemble that taught it.

python benchmarks/distillation.py --data DIR --datasets trec6
"""

import argparse
import csv
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _data import Task, read_task, sample_task
from _results import Claim, table, write

from llm_al import Project
from llm_al.distillation.report import DistilReport

NAME = "distillation"
MOST_LOST = 0.01
LEAST_SPEED_UP = 4.0
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "transformer": {},
    "transformer, 3 layers": {"n_layers": 3},
    "head": {"student": "head"},
}
QUICK_STUDENT: Mapping[str, Any] = {"epochs": 1, "max_steps": 2, "max_tokens": 32}
QUICK_VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "transformer, 1 layer": {"n_layers": 1, "options": {**QUICK_STUDENT, "min_steps": 0}}
}


@dataclass(frozen=True)
class Plan:
    """How a project is run before it is distilled.

    Parameters
    ----------
    n_labels : int
        Asked for in one round.
    n_teachers, max_rows, n_threads : int
        As in `DistilSettings`.
    student : mapping
        Settings of the project's student.
    """

    n_labels: int
    n_teachers: int
    max_rows: int
    n_threads: int
    student: Mapping[str, Any]


def build(folder: Path, task: Task, plan: Plan, seed: int) -> Project:
    """Return a project whose simulated person has answered, with a student trained on it."""
    folder.mkdir(parents=True)
    pool = [{"id": f"p{i}", "text": text} for i, text in enumerate(task.texts)]
    test = [
        {"id": f"t{i}", "text": text, "label": task.labels[int(label)]}
        for i, (text, label) in enumerate(zip(task.test_texts, task.test_gold, strict=True))
    ]
    settings = {
        "seed": seed,
        "embedder": {"model": "offline"},
        "student": {"name": "transformer", "options": dict(plan.student)},
        "strategy": {"initial": plan.n_labels, "cold_start": "centres"},
        "pseudo_labels": {"name": "none"},
        "human": {"annotator": "simulated", "gold": "gold.csv"},
        "budget": {"human_labels": plan.n_labels, "rounds": 1},
    }
    project = Project.create(folder / "project", texts=pool, labels=list(task.labels), test=test, settings=settings)
    with (project.folder / "gold.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label"])
        rows.writerows((f"p{i}", task.labels[int(label)]) for i, label in enumerate(task.gold))
    list(project.run())
    return project


def measure(task: Task, plan: Plan, seed: int, variants: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each of teacher, small student and exported student, for each kind of small student."""
    rows = []
    common = {"n_teachers": plan.n_teachers, "max_rows": plan.max_rows, "n_threads": plan.n_threads}
    with tempfile.TemporaryDirectory() as folder, build(Path(folder) / "data", task, plan, seed) as project:
        for name, options in variants.items():
            report = project.distil(**{**common, **options})
            rows += rows_of(report, {"dataset": task.name, "seed": seed, "small": name})
            print(task.name, seed, name, *(f"{each}" for each in report.rows()), sep="\n  ", flush=True)
    return rows


def rows_of(report: DistilReport, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what is kept of a report; the files lay in a folder that is gone."""
    told = {"n_human": report.n_human, "n_soft": report.n_soft, "n_teachers": report.n_teachers}
    return [
        {
            **facts,
            **told,
            "student": each.name,
            "accuracy": each.accuracy,
            "macro_f1": each.macro_f1,
            "as_teacher": each.agreement,
            "texts_per_s": each.texts_per_s,
            "mb": each.n_bytes / 1e6,
            "seconds": report.seconds,
        }
        for each in report.results
    ]


def means(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return one row a data set, kind of small student and student: means over seeds."""
    figures = ("accuracy", "macro_f1", "as_teacher", "texts_per_s", "mb")
    groups: dict[tuple[str, str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["dataset"], row["small"], row["student"]), []).append(row)
    return [
        {
            **dict(zip(("dataset", "small", "student"), key, strict=True)),
            "seeds": len(group),
            **{name: float(np.mean([row[name] for row in group])) for name in figures},
        }
        for key, group in groups.items()
    ]


def claims_of(rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """Return accuracy lost and speed gained by the first kind of small student of each data set."""
    found = {(row["dataset"], row["small"], row["student"]): row for row in means(rows)}
    claims = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        small = next(row["small"] for row in rows if row["dataset"] == dataset)
        teacher, int8 = found[dataset, small, "teacher"], found[dataset, small, "int8"]
        lost, gained = teacher["accuracy"] - int8["accuracy"], int8["texts_per_s"] / teacher["texts_per_s"]
        what = f"{dataset}: {small}, int8, against its teachers"
        claims.append(Claim(f"{what}: accuracy lost", lost, MOST_LOST, "lower", "accuracy"))
        claims.append(Claim(f"{what}: texts a second", gained, LEAST_SPEED_UP, "higher", "times"))
    return claims


def sections_of(rows: Sequence[Mapping[str, Any]], plan: Plan) -> dict[str, str]:
    """Return the figures as a Markdown table, and how to read them."""
    columns = ("dataset", "small", "student", "seeds", "accuracy", "macro_f1", "as_teacher", "texts_per_s", "mb")
    how = (
        f"A project asks a perfect simulated person for {plan.n_labels} labels in one round and trains a transformer. "
        f"Then {plan.n_teachers} teachers (that one, and others with other seeds) say what they hold of at most "
        f"{plan.max_rows:,} pool texts, and the small student learns that. `student` is the small one in float32, "
        "`int8` its ONNX export. Accuracy and macro-F1 are those of the test split; `as_teacher` is the share of "
        "held-out pool texts on which it says what the teachers say. Speed is measured in batches of 32 with "
        f"{plan.n_threads} CPU thread{'s' if plan.n_threads > 1 else ''}, tokenising included, in turn; the teachers' "
        "is that of one of them over their number.\n"
    )
    return {"Figures": table(means(rows), columns), "How to read": how}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with one folder a data set")
    parser.add_argument("--datasets", nargs="+", default=["trec6"])
    parser.add_argument("--seeds", type=int, default=1, help="so many runs, seeds 0, 1, ...")
    parser.add_argument("--labels", type=int, default=130)
    parser.add_argument("--teachers", type=int, default=2)
    parser.add_argument("--max-rows", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--small", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--quick", action="store_true", help="a minute on the sample project")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args(arguments)
    if not options.quick and options.data is None:
        parser.error("--data is missing; give the folder of the data sets, or --quick")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    plan = Plan(options.labels, options.teachers, options.max_rows, options.threads, {})
    tasks, variants = [], {name: VARIANTS[name] for name in options.small}
    if options.quick:
        plan = Plan(20, 1, 40, 1, QUICK_STUDENT)
        tasks, variants = [sample_task(80, 30)], dict(QUICK_VARIANTS)
    else:
        tasks = [read_task(options.data, name) for name in options.datasets]
    seeds = range(1 if options.quick else options.seeds)
    rows = [row for task in tasks for seed in seeds for row in measure(task, plan, seed, variants)]
    claims = claims_of(rows)
    path = write(options.out, NAME, claims=claims, rows=rows, sections=sections_of(rows, plan))
    for claim in claims:
        print(f"{'met' if claim.is_met else 'NOT MET'}: {claim.claim}: {claim.value:.3f} ({claim.target:g})")
    print(path)


if __name__ == "__main__":
    main()
