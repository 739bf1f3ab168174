"""Data sets in which several people answered each text, and draws of some of their answers."""

import csv
import gzip
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from llm_al.embedders.cached import Cached
from llm_al.protocols import Embedder
from llm_al.types import Annotation, AnnotatorKind

N_FOLDS = 5
C = 1.0
"""Of the logistic regression, chosen by held-back votes of md_agreement's train and dev texts."""
FLOOR = 1e-6


@dataclass(frozen=True)
class Crowd:
    """Texts that several people answered.

    Parameters
    ----------
    name : str
    labels : tuple of str, length c
    texts : tuple of str, length n
    votes : tuple of n lists of (person, label index)
        A person is "" where the data set does not tell people apart.
    gold : ndarray of shape (n,), or None
        Label indices from elsewhere.
    """

    name: str
    labels: tuple[str, ...]
    texts: tuple[str, ...]
    votes: tuple[list[tuple[str, int]], ...]
    gold: NDArray[np.int64] | None = None

    def rows(self, kept: NDArray[np.intp]) -> "Crowd":
        """Return some of the texts."""
        gold = None if self.gold is None else self.gold[kept]
        return replace(
            self, texts=tuple(self.texts[i] for i in kept), votes=tuple(self.votes[i] for i in kept), gold=gold
        )


@dataclass(frozen=True)
class Draw:
    """Some votes that a consensus is made of, and the others, which judge it.

    Parameters
    ----------
    annotations : list of Annotation
    drawn, held : ndarray of shape (n, c)
        Counts of the votes drawn and held back.
    """

    crowd: Crowd
    annotations: list[Annotation]
    drawn: NDArray[np.float64]
    held: NDArray[np.float64]


def _table(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_md_agreement(folder: Path, split: str) -> Crowd:
    """Read five identified people a text."""
    labels = ("not_offensive", "offensive")
    rows = _table(folder / "md_agreement" / f"{split}.csv.gz")
    votes = tuple([(v["annotator"], labels.index(v["label"])) for v in json.loads(row["annotations"])] for row in rows)
    return Crowd("md_agreement", labels, tuple(row["text"] for row in rows), votes)


def read_davidson(folder: Path, split: str) -> Crowd:
    """Read three or more people a text, of whom only counts are told."""
    labels = ("hate_speech", "neither", "offensive_language")
    rows = _table(folder / "davidson_hate" / f"{split}.csv.gz")
    counts = [json.loads(row["annotations"]) for row in rows]
    votes = tuple([("", k) for k, label in enumerate(labels) for _ in range(count[label])] for count in counts)
    return Crowd("davidson_hate", labels, tuple(row["text"] for row in rows), votes)


def read_agnews(folder: Path) -> Crowd:
    """Read three groups of people and the gold label."""
    path = folder / "llm_annotations" / "agnews__3humans-noisyag.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    labels = tuple(sorted({row["gold"] for row in rows}))
    votes = tuple([(who, labels.index(label)) for who, label in row["llm_samples"].items()] for row in rows)
    gold = np.array([labels.index(row["gold"]) for row in rows])
    return Crowd("agnews", labels, tuple(row["text"] for row in rows), votes, gold)


def draw_votes(crowd: Crowd, n_votes: int, rng: np.random.Generator) -> Draw:
    """Draw `n_votes` of each text's votes without putting back; a text with fewer gives all of them.

    Votes of people who are not told apart are given to as many made-up people as votes are drawn: the first vote of
    each text to the first, and so on. Each of these is a mixture of the crowd.
    """
    shape = (len(crowd.texts), len(crowd.labels))
    annotations, drawn, held = [], np.zeros(shape), np.zeros(shape)
    for i, votes in enumerate(crowd.votes):
        for place, j in enumerate(rng.permutation(len(votes))):
            who, k = votes[j]
            if place >= n_votes:
                held[i, k] += 1
                continue
            drawn[i, k] += 1
            source = f"human:{who or f'place {place + 1}'}"
            annotations.append(Annotation(str(i), crowd.labels[k], source, AnnotatorKind.HUMAN))
    return Draw(crowd, annotations, drawn, held)


def embed(crowd: Crowd, embedder: Embedder, cache: Path, split: str) -> NDArray[np.float64]:
    """Return the embeddings of the texts, kept in a folder."""
    cached = Cached(embedder, cache, name=f"consensus-{crowd.name}-{split}")
    return np.asarray(cached.encode_pool(crowd.texts), dtype=np.float64)


def out_of_fold(draw: Draw, x: NDArray[np.float64], rng: np.random.Generator, *, c: float = C) -> NDArray[np.float64]:
    """Return the probabilities, shape (n, c), of logistic regressions that learned from the drawn votes of other texts.

    Each drawn vote is a training example of its own.
    """
    n, n_classes = draw.drawn.shape
    fold = rng.permutation(n) % N_FOLDS
    proba = np.full((n, n_classes), FLOOR)
    for k in range(N_FOLDS):
        rows, labels = np.nonzero(draw.drawn * (fold != k)[:, None])
        model = LogisticRegression(C=c, max_iter=1000).fit(x[rows], labels, sample_weight=draw.drawn[rows, labels])
        proba[np.ix_(fold == k, model.classes_)] = model.predict_proba(x[fold == k])
    return proba / proba.sum(axis=1, keepdims=True)
