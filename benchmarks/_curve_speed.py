"""Seconds of one round against small-text, and texts a second against sentence-transformers."""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch
from _curve import Run
from _curve_ours import Learner, Recipe
from _place import Place
from _results import Claim, machine
from _small_text import Economy, SmallText
from numpy.typing import NDArray

from llm_al.types import TrainingSet

N_THREADS = 2
"""Of both sides."""
_AT, _PER_QUERY = 130, 10
_N_TEXTS, _N_LABELS, _N_REPEATS, _BATCH_SIZE = 1500, 100, 3, 32


@dataclass(frozen=True)
class Figure:
    """A claim that is measured apart from the curves, with what it is made of."""

    claim: Claim
    details: Mapping[str, float] = field(default_factory=dict)
    machine: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what is kept in the results."""
        return {"figure": asdict(self.claim), "details": dict(self.details), "machine": self.machine}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Figure":
        """Read what `to_json` wrote."""
        return cls(Claim(**row["figure"]), row["details"], row["machine"])


def one_round(place: Place, options: argparse.Namespace) -> Figure:
    """Time one round at 130 labels on both sides: predict the pool, select, train.

    The peer runs in float32 on the whole pool. Both have learned from the same labels before, untimed, and both are
    asked for ten more.
    """
    torch.set_num_threads(N_THREADS)
    at, per_query = (20, 5) if options.quick else (_AT, _PER_QUERY)
    first = place.first(at - per_query, options.first_seed, options.cold_start)
    student, strategy, self_training = options.students[0], options.strategies[0], options.self_training[0]
    recipe = Recipe(student, strategy, self_training, cold_start=options.cold_start, options=options.options)
    run, other = (Run(place.task.name, "timing", name, options.first_seed) for name in (recipe.name, "small-text"))
    ours = _seconds_of_round(Learner(place, recipe, run), run, first, per_query)
    peer = SmallText(
        place.task, place.folder, other, strategy="breaking ties", economy=Economy(epochs=options.economy.epochs)
    )
    theirs = _seconds_of_round(peer, other, first, per_query)
    name = f"{place.task.name}: one round at {at} labels, {recipe.name}, as a share of small-text's seconds"
    details = {f"ours, {k} s": v for k, v in ours.items()} | {f"small-text, {k} s": v for k, v in theirs.items()}
    share = sum(ours.values()) / sum(theirs.values())
    return Figure(Claim(name, share, 0.2, "lower", "share"), details, machine())


def _seconds_of_round(learner: Any, run: Run, first: NDArray[np.intp], per_query: int) -> dict[str, float]:
    learner.learn(first)
    run.seconds.clear()
    learner.learn(learner.ask(per_query))
    return dict(run.seconds)


def prediction_speed(place: Place, options: argparse.Namespace) -> list[Figure]:
    """Compare a trained transformer's pool prediction with `encode` in float32, in turn, three times."""
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(N_THREADS)
    texts = place.task.texts[: 60 if options.quick else _N_TEXTS]
    encoder = SentenceTransformer(place.folder, device="cpu")
    fitted = _trained(place, options)
    sides: dict[str, Callable[[], Any]] = {
        "ours": lambda: fitted.predict_proba(texts),
        "sentence-transformers": lambda: encoder.encode(texts, batch_size=_BATCH_SIZE),
    }
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(1 if options.quick else _N_REPEATS):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            seconds[name].append(time.perf_counter() - start)
    rate = {f"{name}, texts/s": len(texts) / median(taken) for name, taken in seconds.items()}
    ratio = rate["ours, texts/s"] / rate["sentence-transformers, texts/s"]
    changed = float((fitted.predict_proba(texts).argmax(axis=1) != _in_float32(fitted, texts)).mean())
    what = f"{place.task.name}, {len(texts)} texts, {N_THREADS} threads: "
    return [
        Figure(
            Claim(f"{what}pool prediction, times sentence-transformers", ratio, 2.5, "higher", "x"), rate, machine()
        ),
        Figure(Claim(f"{what}predictions changed against float32", changed, 0.002, "lower", "share"), {}, machine()),
    ]


def _trained(place: Place, options: argparse.Namespace) -> Any:
    rows = place.first(20 if options.quick else _N_LABELS, options.first_seed, options.cold_start)
    recipe = Recipe("transformer", "random", "none", options=options.options)
    texts, targets = [place.task.texts[int(row)] for row in rows], np.eye(len(place.task.labels))[place.task.gold[rows]]
    training = TrainingSet(texts, targets, np.ones(len(rows)), place.vectors[rows])
    return recipe.make_student(place.folder).fit(training, labels=place.task.labels, seed=options.first_seed)


def _in_float32(fitted: Any, texts: list[str]) -> NDArray[np.intp]:
    """Return predictions of the same network without any shortcut: one precision, plain batches."""
    predicted = np.zeros(len(texts), dtype=np.intp)
    network = fitted.network.float().eval()
    order = np.argsort([len(text) for text in texts], kind="stable")
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH_SIZE):
            rows = order[start : start + _BATCH_SIZE]
            chosen = [texts[int(row)] for row in rows]
            batch = fitted.tokenizer(
                chosen, padding=True, truncation=True, max_length=fitted.max_tokens, return_tensors="pt"
            )
            logits = network(batch["input_ids"], batch["attention_mask"])
            predicted[rows] = logits.argmax(dim=1).cpu().numpy()
    return predicted
