"""Full supervision: what a student reaches with every label of the pool."""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from _curve import Run
from _curve_store import Runs
from _place import Place

from llm_al import registry
from llm_al.types import TrainingSet

FULL = "full"
"""Protocol of these runs."""
_PLAIN = {"head": {"n_folds": 0}, "transformer": {"temperature": 1.0}}
"""Nothing is asked, so nothing has to be calibrated."""


def full_runs(place: Place, options: argparse.Namespace, known: Runs) -> Iterator[Run]:
    """Fit the frozen head, and with --full a fine-tuned encoder, on all labels; not when only peers are run."""
    names = ("head", "transformer") if options.full else ("head",) if options.students else ()
    for name in names:
        run = Run(place.task.name, FULL, f"llm_al {name}, all labels", 0)
        if run not in known:
            yield _fitted(name, place, run, dict(options.options.get(name, {})))


def _fitted(name: str, place: Place, run: Run, options: dict[str, Any]) -> Run:
    task, n = place.task, len(place.task.texts)
    student = registry.make("student", name, **{"model": place.folder, **_PLAIN[name], **options})
    training = TrainingSet(task.texts, np.eye(len(task.labels))[task.gold], np.ones(n), place.vectors)
    with run.timed("fit"):
        fitted = student.fit(training, labels=task.labels, seed=run.seed)
    with run.timed("test"):
        predicted = fitted.predict_proba(task.test_texts, embeddings=place.test_vectors).argmax(axis=1)
    run.score(n, predicted, task.test_gold)
    return run
