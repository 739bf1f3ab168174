"""Read the data sets of the benchmarks."""

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import llm_al

_SAMPLE = Path(llm_al.__file__).parent / "sample"


@dataclass(frozen=True)
class Task:
    """A pool whose labels a simulated human knows, and a test split."""

    name: str
    labels: tuple[str, ...]
    texts: list[str]
    gold: NDArray[np.int64]
    test_texts: list[str]
    test_gold: NDArray[np.int64]


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise SystemExit(f"{path} does not exist; give the folder of the data sets with --data")
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_task(folder: Path, name: str) -> Task:
    """Read `folder`/`name`/train.csv.gz and test.csv.gz, with columns text and label; exact duplicates are merged."""
    train, test = (_rows(folder / name / f"{split}.csv.gz") for split in ("train", "test"))
    labels = tuple(sorted({row["label"] for row in train}))
    merged = {row["text"]: labels.index(row["label"]) for row in train}
    gold, test_gold = list(merged.values()), [labels.index(row["label"]) for row in test]
    return Task(name, labels, list(merged), np.array(gold), [row["text"] for row in test], np.array(test_gold))


def sample_task(n_pool: int = 200, n_test: int = 60) -> Task:
    """Return the first rows of the package's sample project whose gold label is in its list."""
    gold = {row["id"]: row["label"] for row in _rows(_SAMPLE / "gold.csv")}
    pool = [row for row in _rows(_SAMPLE / "pool.csv") if row["id"] in gold]
    test = _rows(_SAMPLE / "test.csv")
    named = {row["label"] for row in test} | {gold[row["id"]] for row in pool}
    labels = tuple(sorted(label for label in named if label != "none_of_these"))
    kept = [(row["text"], labels.index(gold[row["id"]])) for row in pool if gold[row["id"]] in labels][:n_pool]
    tested = [(row["text"], labels.index(row["label"])) for row in test if row["label"] in labels][:n_test]
    (texts, indices), (test_texts, test_indices) = zip(*kept, strict=True), zip(*tested, strict=True)
    return Task("sample", labels, list(texts), np.array(indices), list(test_texts), np.array(test_indices))
