"""Read recorded LLM answers (one JSON object a line) as annotations of the product."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Example, Signal

OUTSIDE = "oos"
"""How the files call a text that no label fits."""
MAIN = "main"


@dataclass(frozen=True)
class Source:
    """A recorded file, and how its runs are read.

    Parameters
    ----------
    name : str
    file : str
    signal : Signal or None
        What the recorded confidence is.
    one_model : bool
        Whether all runs are prompts of one model.
    prompt_marks : tuple of str
        What separates a run's model from its prompt.
    """

    name: str
    file: str
    signal: Signal | None = None
    one_model: bool = False
    prompt_marks: tuple[str, ...] = ()

    def model_of(self, run: str, main: str) -> str:
        """Return the model of a run."""
        if self.one_model:
            return main
        cuts = [run.index(mark) for mark in self.prompt_marks if mark in run]
        return run[: min(cuts)] if cuts else run


SOURCES = (
    Source("banking77, 5 prompts", "banking77__llama3.2-3b-5prompts.jsonl.gz", Signal.VERBALISED, one_model=True),
    Source("banking77 open set, 6 models", "banking77-openset58__6llm-zeroshot.jsonl.gz", Signal.VERBALISED),
    Source("clinc150, 1 run", "clinc150__llama3.2-3b.jsonl.gz", Signal.VERBALISED),
    Source("babe, 13 models", "babe-media-bias__13llm-9prompts.jsonl.gz", prompt_marks=("|",)),
    Source("banking77-500, 3 models", "banking77-500__gpt5-claude45-6runs.jsonl", prompt_marks=("_plain", "_miprov2")),
    Source(
        "synthetic sentiment, 1 run",
        "synthetic-sentiment__llama3.1-8b-logprob.jsonl",
        Signal.TOKEN_PROBABILITY,
        one_model=True,
    ),
)


@dataclass(frozen=True)
class Recorded:
    """Texts with the answers of people and of LLM runs.

    Parameters
    ----------
    name : str
    labels : tuple of str
        The scheme; `none_of_these` is outside of it.
    examples : list of Example, length n
    human : ndarray of shape (n,), int64
        Class index of the gold label; -1 where it lies outside the scheme.
    annotations : list of Annotation
    main : list of str or None, length n
        Label of the file's main run, where it is in the scheme.
    groups : ndarray of shape (n,)
        Number of the text, alike for equal texts.
    """

    name: str
    labels: tuple[str, ...]
    examples: list[Example]
    human: NDArray[np.int64]
    annotations: list[Annotation]
    main: list[str | None]
    groups: NDArray[np.int64]

    def is_correct(self, rows: NDArray[np.intp], labels: Sequence[str | None]) -> NDArray[np.bool_]:
        """Return whether people say the same as `labels` about some rows."""
        said = [self.labels[i] if i >= 0 else NONE_OF_THESE for i in self.human[rows]]
        return np.array([word == label for word, label in zip(said, labels, strict=True)], dtype=np.bool_)


def read_recorded(folder: Path, source: Source) -> Recorded:
    """Read one file. What is not in the scheme is an abstention, as the product takes it."""
    path = folder / source.file
    if not path.is_file():
        raise SystemExit(f"{path} does not exist; give the folder of the data sets with --data")
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    return recorded(source, [json.loads(line) for line in text.splitlines() if line])


def recorded(source: Source, rows: Sequence[Mapping[str, Any]]) -> Recorded:
    """Turn the lines of a file into annotations."""
    labels = tuple(sorted({str(row["gold"]) for row in rows} - {OUTSIDE}))
    index = {name: i for i, name in enumerate(labels)}
    annotations = [a for number, row in enumerate(rows) for a in _annotations(source, str(number), row, index)]
    texts = [str(row["text"]) for row in rows]
    return Recorded(
        source.name,
        labels,
        [Example(str(number), text) for number, text in enumerate(texts)],
        np.array([index.get(str(row["gold"]), -1) for row in rows], dtype=np.int64),
        annotations,
        [row["llm_label"] if row["llm_label"] in index else None for row in rows],
        np.unique(texts, return_inverse=True)[1].astype(np.int64),
    )


def _annotations(source: Source, id_: str, row: Mapping[str, Any], index: Mapping[str, int]) -> list[Annotation]:
    main = {"label": row["llm_label"], "confidence": row.get("llm_confidence")}
    runs: Mapping[str, Any] = row.get("llm_samples") or {MAIN: main}
    found = []
    for run, said in runs.items():
        answer = said if isinstance(said, dict) else {"label": said}
        label, confidence = answer["label"], answer.get("confidence")
        kept = label if label in index else NONE_OF_THESE if label == OUTSIDE else None
        annotation = Annotation(
            id_, kept, run, AnnotatorKind.LLM, model=source.model_of(run, row["llm"]), confidence=confidence
        )
        if confidence is not None and source.signal is not None:
            annotation = replace(annotation, signals={str(source.signal): confidence})
        found.append(annotation)
    return found


def made_up(n: int = 240, seed: int = 0) -> Recorded:
    """Return a tiny file of three runs over two labels, for a smoke run."""
    rng = np.random.default_rng(seed)
    words = {"pets": ("cat", "dog", "bird", "fish"), "food": ("bread", "soup", "rice", "cake")}
    rows = []
    for number in range(n):
        gold = ("pets", "food")[number % 2]
        text = f"I like {words[gold][int(rng.integers(4))]} and {words[gold][int(rng.integers(4))]} number {number}"
        other = "food" if gold == "pets" else "pets"
        runs = {}
        for run in ("a|p1", "a|p2", "b|p1"):
            is_right = rng.random() < 0.75
            sure = float(np.clip(rng.normal(0.8 if is_right else 0.65, 0.15), 0.05, 0.99))
            runs[run] = {"label": gold if is_right else other, "confidence": sure}
        rows.append({"text": text, "gold": gold, "llm_label": runs["a|p1"]["label"], "llm_samples": runs, "llm": "a"})
    return recorded(Source("made up", "", Signal.VERBALISED, prompt_marks=("|",)), rows)
