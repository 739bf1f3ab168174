"""Recorded answers in little memory: columns of numbers, found by the digest of an id or a text."""

import hashlib
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import DataError

ABSENT = -2
NO_LABEL = -1

_KEPT = ("signals", "proba", "reason")


class Recorded(Protocol):
    """A row of recorded answers; see `Replay`."""

    @property
    def id(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def runs(self) -> Mapping[str, Mapping[str, Any]]: ...
    @property
    def main(self) -> str: ...
    @property
    def main_answer(self) -> Mapping[str, Any] | None: ...


@dataclass
class Column:
    """One run: the label's number and the confidence of each row, and what few rows have beside."""

    label: "array[int]" = field(default_factory=lambda: array("i"))
    confidence: "array[float]" = field(default_factory=lambda: array("d"))
    more: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    model: str | None = None
    prompt: str | None = None
    has_signals: bool = False
    """Whether the recording names its signals, so that a missing one is unknown."""
    is_sample: bool = False

    def put(self, row: int, label: int, answer: Mapping[str, Any]) -> None:
        """Write row number `row`; rows that were left out since the last one are absent."""
        gap = row - len(self.label)
        self.label.extend([ABSENT] * gap + [label])
        confidence = answer.get("confidence")
        self.confidence.extend([float("nan")] * gap + [float("nan") if confidence is None else float(confidence)])
        if kept := {key: answer[key] for key in _KEPT if answer.get(key)}:
            self.more[row] = kept
        self.model = answer.get("model") or self.model
        self.prompt = answer.get("prompt") or self.prompt
        self.has_signals = self.has_signals or "signals" in answer

    def get(self, row: int) -> int:
        """Return the label's number, `NO_LABEL` or `ABSENT`."""
        return self.label[row] if row < len(self.label) else ABSENT


def digest(text: str) -> int:
    """Return 64 bits of a hash of `text`, ends trimmed."""
    return int.from_bytes(hashlib.blake2b(text.strip().encode("utf-8", "surrogatepass"), digest_size=8).digest())


class Tape:
    """Recorded answers of a file; about 50 bytes an example and 12 an answer, unless runs have signals of their own.

    Parameters
    ----------
    rows : iterable of Recorded
        Read once.

    Raises
    ------
    DataError
        If an id comes twice.
    """

    def __init__(self, rows: Iterable[Recorded]) -> None:
        self.columns: dict[str, Column] = {}
        self.labels: list[str] = []
        self.mains: dict[str, None] = {}
        self._codes: dict[str, int] = {}
        ids, texts = array("Q"), array("Q")
        for number, row in enumerate(rows):
            ids.append(digest(row.id))
            texts.append(digest(row.text) if row.text else 0)
            self._put(number, row)
        self._ids, self._texts = _Index(ids), _Index(texts)
        self._text_of = np.frombuffer(texts, dtype=np.uint64)
        if (twice := self._ids.first_twice) is not None:
            raise DataError(f"the recorded answers hold the id of row {twice + 1} twice; keep one row an example")

    def __len__(self) -> int:
        return len(self._text_of)

    def __repr__(self) -> str:
        return f"<{len(self)} recorded examples, runs: {', '.join(self.columns)}>"

    def find(self, id_: str, text: str) -> int | None:
        """Return the row with this id and text, else the one with this text, else None.

        A row of this id that holds another text is another example; one without a text is found by its id.
        """
        wanted, row = digest(text), self._ids.find(digest(id_))
        if row is not None and self._text_of[row] in (0, wanted):
            return row
        return self._texts.find(wanted)

    def _put(self, number: int, row: Recorded) -> None:
        for name, answer in row.runs.items():
            self._column(name).is_sample = True
            self._column(name).put(number, self._code(answer.get("label")), answer)
        self.mains[row.main] = None
        if row.main_answer is not None and row.main not in row.runs:
            self._column(row.main).put(number, self._code(row.main_answer.get("label")), row.main_answer)

    def _column(self, name: str) -> Column:
        return self.columns.setdefault(name, Column())

    def _code(self, label: str | None) -> int:
        if label is None:
            return NO_LABEL
        code = self._codes.setdefault(label, len(self._codes))
        if code == len(self.labels):
            self.labels.append(label)
        return code


class _Index:
    """Row numbers by digest; of equal digests the first row."""

    def __init__(self, digests: "array[int]") -> None:
        values: NDArray[np.uint64] = np.frombuffer(digests, dtype=np.uint64) if digests else np.zeros(0, np.uint64)
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    @property
    def first_twice(self) -> int | None:
        """A row whose digest an earlier row has; None when all differ."""
        same = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        return int(self._order[same[0] + 1]) if len(same) else None

    def find(self, wanted: int) -> int | None:
        """Return the first row of a digest."""
        place = int(np.searchsorted(self._sorted, np.uint64(wanted)))
        if place == len(self._sorted) or int(self._sorted[place]) != wanted:
            return None
        return int(self._order[place])
