# How do I choose the texts to ask about in my own way?
"""Plug a scorer of your own into an `ActiveLearner`.

A strategy is any object with `query`; a scorer any object with `score` (higher means ask sooner). This one
prefers uncertain texts as margin does, but counts short ones more: they cost people less time.
"""

import csv
from dataclasses import dataclass
from importlib.resources import files

import numpy as np

import llm_al
from llm_al.strategies.combined import Combined
from llm_al.strategies.selectors.top_k import TopK
from llm_al.types import Scores


@dataclass(frozen=True)
class UncertainAndShort:
    """Uncertainty for each second of reading."""

    characters_a_second: float = 25.0
    seconds_to_answer: float = 3.0

    def score(self, view: llm_al.PoolView, rng: np.random.Generator) -> Scores:
        """Return one number a text."""
        seconds = self.seconds_to_answer + np.array([len(text) for text in view.texts]) / self.characters_a_second
        if view.proba is None:  # before the first labels there is no student
            uncertainty = rng.random(len(view.texts))
        else:
            runner_up, best = np.partition(view.proba, -2, axis=1)[:, -2:].T
            uncertainty = 1.0 - (best - runner_up)
        scores: Scores = uncertainty / seconds
        return scores


def main() -> None:
    sample = files("llm_al") / "sample"
    rows = csv.DictReader((sample / "gold.csv").read_text(encoding="utf-8").splitlines())
    gold = {row["id"]: row["label"] for row in rows if row["label"] != "none_of_these"}
    pool = csv.DictReader((sample / "pool.csv").read_text(encoding="utf-8").splitlines())
    label_of = {row["text"]: gold[row["id"]] for row in list(pool)[:100] if row["id"] in gold}

    strategy = Combined(UncertainAndShort(), TopK())
    learner = llm_al.ActiveLearner(sorted(set(gold.values())), student="head", strategy=strategy, encoder="offline")
    for _ in range(3):
        query = learner.query(list(label_of), k=15)
        learner.teach(query, [label_of[text] for text in query.texts])
        print(
            f"{learner.n_labels} labels; asked about {np.mean([len(text) for text in query.texts]):.0f} characters each"
        )


if __name__ == "__main__":
    main()
