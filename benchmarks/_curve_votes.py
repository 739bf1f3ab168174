"""Recorded LLM answers as votes on the rows of a pool, and the one place where they enter a round."""

import gzip
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _data import Task
from _place import Place
from _recorded import OUTSIDE
from numpy.typing import NDArray

from llm_al.answers import Answers
from llm_al.llm_votes import LLMVotes
from llm_al.pool import PoolView
from llm_al.supervision import Mixture, Supervision
from llm_al.types import Positions, Source


@dataclass(frozen=True)
class Replay:
    """What prompts or models said about a pool.

    Parameters
    ----------
    name : str
        Enters the name of the learner.
    votes : LLMVotes
        On pool rows only.
    alone : mapping of voter to accuracy
        Of its own answers to the texts of the test split; shown, never learned from.
    usd : float
        Recorded price of the answers.
    """

    name: str
    votes: LLMVotes
    alone: Mapping[str, float]
    usd: float = 0.0

    def at(self, rows: Positions) -> LLMVotes:
        """Return the votes on some pool rows (ascending), by their place among them."""
        place = np.searchsorted(rows, self.votes.positions)
        is_there = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == self.votes.positions)
        return LLMVotes(place[is_there], self.votes.votes[is_there], self.votes.names)

    def only(self, voter: str) -> "Replay":
        """Return the answers of one voter."""
        column = self.votes.names.index(voter)
        votes = LLMVotes(self.votes.positions, self.votes.votes[:, [column]], (voter,))
        return Replay(f"LLM {voter}", votes, {voter: self.alone[voter]}, self.usd / len(self.votes.names))


def _said(row: Mapping[str, Any]) -> dict[str, Any]:
    runs = row.get("llm_samples") or {str(row["llm"]): row["llm_label"]}
    return {run: said["label"] if isinstance(said, dict) else said for run, said in runs.items()}


def _plain(text: str) -> str:
    """Return a text without differences in spaces: the files were made from another copy of the data."""
    return " ".join(text.split())


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a recorded file."""
    if not path.is_file():
        raise SystemExit(f"{path} does not exist; give a recorded file with --llm-replay")
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def narrowed(place: Place, path: Path) -> Place:
    """Return the part of a data set whose labels the LLMs were offered: all, or the known ones of an open set."""
    task, named = place.task, {str(row["gold"]) for row in lines_of(path)} - {OUTSIDE}
    kept = np.array([i for i, label in enumerate(task.labels) if label in named], dtype=np.intp)
    if len(kept) < 2:
        raise SystemExit(f"{path.name} has {len(kept)} labels of {task.name}; give a file of that data set")
    return place.keeping(kept)


def without(place: Place, labels: Sequence[str]) -> Place:
    """Return a data set without the rows of some labels."""
    unknown = sorted(set(labels) - set(place.task.labels))
    if unknown:
        raise SystemExit(f"{place.task.name} has no label {unknown[0]!r}; give some of its own with --without")
    kept = np.array([i for i, label in enumerate(place.task.labels) if label not in labels], dtype=np.intp)
    if len(kept) < 2:
        raise SystemExit(f"--without leaves {len(kept)} labels of {place.task.name}; leave at least 2")
    return place.keeping(kept)


def read_replay(path: Path, task: Task) -> Replay:
    """Match a recorded file with a task by text; what is off the label list is no answer."""
    by_text: dict[str, Mapping[str, Any]] = {}
    for row in lines_of(path):
        by_text.setdefault(_plain(str(row["text"])), row)
    voters = tuple(sorted({run for row in by_text.values() for run in _said(row)}))
    index = {label: i for i, label in enumerate(task.labels)}

    def votes(texts: Sequence[str]) -> tuple[Positions, NDArray[np.int64]]:
        found = [i for i, text in enumerate(texts) if _plain(text) in by_text]
        said = [[index.get(_said(by_text[_plain(texts[i])]).get(voter), -1) for voter in voters] for i in found]
        return np.array(found, dtype=np.intp), np.array(said, dtype=np.int64).reshape(len(found), len(voters))

    positions, on_pool = votes(task.texts)
    tested, on_test = votes(task.test_texts)
    if not len(positions):
        raise SystemExit(f"{path.name} knows no text of {task.name}; give a file of that data set")
    right = (on_test == task.test_gold[tested, None]).mean(axis=0) if len(tested) else np.full(len(voters), np.nan)
    usd = sum(float(by_text[_plain(task.texts[i])].get("cost_usd", 0.0)) for i in positions)
    alone = {voter: float(share) for voter, share in zip(voters, right, strict=True)}
    return Replay(f"LLM x{len(voters)}", LLMVotes(positions, on_pool, voters), alone, usd)


def mix_with_votes(
    supervision: Supervision,
    view: PoolView,
    votes: LLMVotes | None,
    rng: np.random.Generator,
    in_use: Collection[Source] = (),
) -> Mixture:
    """Return the training rows of a round; the one place where LLM votes enter."""
    return supervision.mix(view, _answers(view), {}, rng, votes=votes, in_use=in_use)


def _answers(view: PoolView) -> Answers:
    nothing = np.zeros(len(view), dtype=np.bool_)
    return Answers(
        human=view.labels,
        is_asked=view.is_labeled,
        is_outside=nothing,
        is_llm=nothing,
        llm={},
        everyone={},
        quality=(),
        by_example={},
    )
