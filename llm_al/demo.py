"""The sample project, run from raw texts to labels, student and report without a key or a question."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from llm_al.creation import CONFIG_NAME
from llm_al.errors import ConfigError
from llm_al.evaluation.metrics import evaluate
from llm_al.loop import Loop
from llm_al.measures import Metrics
from llm_al.project import Project
from llm_al.protocols import Progress
from llm_al.store.files import write_atomically
from llm_al.types import NONE_OF_THESE, TrainingSet

__all__ = ["SETTINGS", "DemoResult", "run"]

_SAMPLE = "sample"
_MARK = "demo"
_REFERENCE = "reference"

SETTINGS: dict[str, Any] = {
    "name": _MARK,
    "embedder": {"model": "offline"},
    "strategy": {"initial": 30, "human_per_round": 22, "llm_per_round": 170},
    "llm": {"annotator": "zero_shot"},
    "human": {"annotator": "simulated", "gold": "gold.csv"},
    "routing": {"max_error": 0.1, "audit_rate": 0.12},
    "budget": {"human_labels": 140, "llm_usd": 0.0},
    "stop": {"kappa": None},
}
"""A fifth of the pool answered by a simulated person; zero-shot embedding similarity in place of an LLM."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo shows at the end."""

    rows: list[dict[str, str]]
    lines: list[str]
    share_of_full: float
    seconds: float


def run(folder: Path, *, fresh: bool, student: str, progress: Progress, say: Callable[[str], object]) -> DemoResult:
    """Create the sample project in `folder`, or go on with it, and run it to the end.

    Raises
    ------
    ConfigError
        If the folder holds another project.
    """
    started = time.perf_counter()
    project = _project(folder, fresh=fresh, student=student)
    with project:
        say("1,000 customer messages, 10 labels; a simulated person answers, embedding similarity stands in for an LLM")
        for outcome in project.run(progress=progress):
            say(str(outcome))
        loop = project.loop()
        ours, full = _compare(project, loop, progress)
        share = ours.macro_f1 / full.macro_f1
        n_human = project.status().records[-1].n_human
        facts = [
            ("macro-F1 with all 700 gold labels of the pool", f"{full.macro_f1:.3f}"),
            ("macro-F1 of this run", f"{ours.macro_f1:.3f}, {share:.1%} of that"),
            ("pool texts answered by the simulated person", f"{n_human} of 700 ({n_human / 700:.1%})"),
        ]
        paths = [
            ("labels", project.export()),
            ("student", project.student_folder),
            ("report", project.report(facts=facts)),
        ]
        seconds = time.perf_counter() - started
        lines = [*(f"{name}: {value}" for name, value in facts), *(f"{name}: {path}" for name, path in paths)]
        return DemoResult(project.status().round_rows(), [*lines, f"done in {seconds:.0f} s"], share, seconds)


def _project(folder: Path, *, fresh: bool, student: str) -> Project:
    sample = files("llm_al") / _SAMPLE
    if (folder / CONFIG_NAME).exists():
        project = Project.open(folder)
        if project.config.name != _MARK or project.config.human.annotator != "simulated":
            raise ConfigError(f"{folder} holds another project; give a new folder: llm-al demo FOLDER")
        if not fresh:
            _put_gold(folder)
            return project
        project.close()
        _remove(folder)
    with as_file(sample) as source:
        project = Project.create(
            folder,
            texts=source / "pool.csv",
            test=source / "test.csv",
            labels=source / "labels.yaml",
            guidelines=source / "guidelines.md",
            settings={**SETTINGS, "student": {"name": student}},
        )
    _put_gold(folder)
    return project


def _put_gold(folder: Path) -> None:
    """Give the simulated person its answers; a kill may have come between the project and this file."""
    gold = folder / "gold.csv"
    if not gold.exists():
        data = (files("llm_al") / _SAMPLE / "gold.csv").read_bytes()
        write_atomically(gold, lambda file: file.write(data))


def _remove(folder: Path) -> None:
    """Delete what a demo made, and nothing else."""
    import shutil

    for name in ("cache", "models", "exports"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in [folder / CONFIG_NAME, folder / "report.html", folder / "gold.csv", *folder.glob("project.db*")]:
        path.unlink(missing_ok=True)


def _compare(project: Project, loop: Loop, progress: Progress) -> tuple[Metrics, Metrics]:
    """Return the metrics of this run, and of the same student trained on every gold label of the pool."""
    corpus, ours = loop.corpus, project.status().records[-1].metrics
    gold = loop.steps.human.annotate(project.store.examples_by_id(list(corpus.ids)))
    known = [(corpus.position_of[a.example_id], a.label) for a in gold if a.label not in (None, NONE_OF_THESE)]
    rows = np.array([position for position, _ in known], dtype=np.intp)
    targets = np.eye(len(corpus.scheme))[[corpus.scheme.index(str(label)) for _, label in known]]
    texts = corpus.texts_at(rows)
    training = TrainingSet(texts, targets, np.ones(len(rows)), np.asarray(corpus.vectors[rows], dtype=np.float32))
    progress("reference: all gold labels", 0, 0)
    folder = loop.students.folder / _REFERENCE
    if not folder.exists():
        fitted = loop.students.student.fit(training, labels=corpus.scheme.names, seed=loop.plan.seed)
        fitted.save(folder)
    progress("reference: all gold labels", 1, 1)
    if corpus.test is None or ours is None:
        raise ConfigError("the demo's test split is missing; start over with: llm-al demo --fresh")
    proba = loop.students.load(folder).predict_proba(corpus.test.texts, embeddings=corpus.test.vectors)
    return ours, evaluate(corpus.test.labels, proba, corpus.scheme.names)
