"""Rows that passed the check, ready to be stored."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from llm_al.intake.report import IntakeReport, Reason
from llm_al.intake.skipped import MAX_LISTED, SkippedRows
from llm_al.intake.spool import Entry, Spool
from llm_al.types import Example, Split

__all__ = ["Checked", "GivenLabel"]


class GivenLabel(NamedTuple):
    """A label that came with a text."""

    number: int
    example_id: str
    label: str


class _Settings(Protocol):
    @property
    def split(self) -> Split: ...
    @property
    def chunk(self) -> int: ...


class Checked:
    """New examples of one intake, in chunks, with the report.

    Use it in a ``with`` statement, and iterate inside one transaction of the store.

    Attributes
    ----------
    report : IntakeReport
        Complete before the first chunk.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        skipped: SkippedRows,
        first_text: NDArray[np.int64],
        is_other_split: NDArray[np.bool_],
        groups: NDArray[np.int64],
        settings: _Settings,
    ) -> None:
        self._spool = spool
        self._skipped = skipped
        self._first = first_text
        self._groups = groups
        self._settings = settings
        self._n_existing = len(is_other_split)
        self._other_ids: dict[int, list[str]] = {}
        self._given: dict[int, GivenLabel] = {}
        self._conflicts: list[str] = []
        self._n_conflicts = 0
        self._merge()
        self.report = self._report(is_other_split)

    def _new_positions(self) -> NDArray[np.int64]:
        is_new = self._first == np.arange(len(self._first))
        return np.flatnonzero(is_new[self._n_existing :]) + self._n_existing

    def _duplicate_positions(self) -> NDArray[np.int64]:
        is_merged = self._first != np.arange(len(self._first))
        return np.flatnonzero(is_merged[self._n_existing :]) + self._n_existing

    def _merge(self) -> None:
        """Give what duplicates carry (ids, labels) to the examples they are merged into."""
        kept_id, kept_at = "", -1
        for position in self._duplicate_positions().tolist():
            first = int(self._first[position])
            entry = self._spool.entry(position)
            if kept_at != first:
                kept_id, kept_at = self._spool.entry(first).id, first
            if entry.is_id_given and entry.id != kept_id:
                ids = self._other_ids.setdefault(first, [])
                if entry.id not in ids:
                    ids.append(entry.id)
            self._merge_label(first, kept_id, entry)
            self._skipped.add(entry.number, entry.id, Reason.DUPLICATE, f"same text as {kept_id!r}")

    def _merge_label(self, first: int, kept_id: str, entry: Entry) -> None:
        if entry.label is None:
            return
        held = self._spool.entry(first).label or (self._given[first].label if first in self._given else None)
        if held is None:
            self._given[first] = GivenLabel(entry.number, kept_id, entry.label)
        elif held != entry.label:
            self._n_conflicts += 1
            if len(self._conflicts) < MAX_LISTED:
                self._conflicts.append(
                    f"row {entry.number}: label {entry.label!r}, but the same text {kept_id!r} has {held!r}"
                )

    def _report(self, is_other_split: NDArray[np.bool_]) -> IntakeReport:
        new, merged = self._new_positions(), self._first[self._duplicate_positions()]
        counts = self._skipped.counts
        ordinals = np.arange(self._n_existing, len(self._groups))
        return IntakeReport(
            n_rows=len(new) + counts.total(),
            n_added=len(new),
            n_exact_duplicates=counts[Reason.DUPLICATE],
            n_near_duplicates=int((self._groups[self._n_existing :] != ordinals).sum()),
            n_empty=counts[Reason.EMPTY],
            n_too_long=counts[Reason.TOO_LONG],
            n_undecodable=counts[Reason.UNDECODABLE],
            n_other_split=int(is_other_split[merged[merged < self._n_existing]].sum()),
            n_label_conflicts=self._n_conflicts,
            listed=self._skipped.listed,
            conflicts=tuple(self._conflicts),
        )

    def __iter__(self) -> Iterator[list[Example]]:
        """Yield new examples in row order; ordinals go on from the existing examples."""
        positions = self._new_positions()
        for start in range(0, len(positions), self._settings.chunk):
            part = positions[start : start + self._settings.chunk].tolist()
            yield [self._example(p, self._n_existing + start + i) for i, p in enumerate(part)]

    def _example(self, position: int, ordinal: int) -> Example:
        entry = self._spool.entry(position)
        meta: dict[str, Any] = dict(entry.meta)
        if position in self._other_ids:
            meta["duplicate_ids"] = self._other_ids[position]
        group = int(self._groups[ordinal])
        return Example(entry.id, entry.text, ordinal, self._settings.split, group, meta)

    def labels(self) -> Iterator[GivenLabel]:
        """Yield the label of each example that came with one, also of existing examples; one an example."""
        for position in self._new_positions().tolist():
            entry = self._spool.entry(position)
            if entry.label is not None:
                yield GivenLabel(entry.number, entry.id, entry.label)
        yield from self._given.values()

    def save_skipped(self, path: Path) -> None:
        """Write every row that gave no new example to a CSV file (row, id, reason, detail).

        Raises
        ------
        StorageFullError
            If it does not fit on the disk.
        """
        self._skipped.save(path)

    def close(self) -> None:
        """Delete the temporary files."""
        self._spool.close()
        self._skipped.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
