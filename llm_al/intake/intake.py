"""Rows in, examples out: every row is checked before the first example is given out."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError, DataError
from llm_al.intake.checked import Checked
from llm_al.intake.digests import Digests, first_positions, id_digest, text_digest
from llm_al.intake.near_duplicates import NearDuplicates
from llm_al.intake.report import Reason
from llm_al.intake.skipped import SkippedRows
from llm_al.intake.spool import Entry, Spool
from llm_al.types import Example, Split

__all__ = ["MAX_CHARS", "InputRow", "Intake"]

MAX_CHARS = 100_000
"""About 30 pages; what is longer is rarely one text."""


class InputRow(Protocol):
    """What intake needs of a row; readers give such rows."""

    @property
    def number(self) -> int:
        """Line or position in the source, counted from 1."""
        ...

    @property
    def id(self) -> str | None:
        """The user's id; None makes one from the text."""
        ...

    @property
    def text(self) -> str | None:
        """The text as it was written."""
        ...

    @property
    def label(self) -> str | None:
        """A label that came with the text."""
        ...

    @property
    def meta(self) -> Mapping[str, Any]:
        """Everything else, as JSON values."""
        ...

    @property
    def problem(self) -> str:
        """``"kind: detail"``, kind ``undecodable`` or ``too long``; empty for a good row."""
        ...


@dataclass(frozen=True)
class Intake:
    """Turns rows into examples with stable ids.

    Texts that differ only in Unicode form and white space are one example: the first one, as it was
    written. Ids of the others go into ``meta["duplicate_ids"]``. A row without an id gets one from its
    text. Empty, too long and undecodable rows are counted and listed.

    Parameters
    ----------
    max_chars : int
        Longer texts are refused and listed; they are never cut.
    split : Split
        Split of the new examples.
    near_duplicates : NearDuplicates or None
        How near-duplicates are grouped; None leaves every example in a group of its own.
    chunk : int
        Examples given out at once.
    """

    max_chars: int = MAX_CHARS
    split: Split = Split.POOL
    near_duplicates: NearDuplicates | None = field(default_factory=NearDuplicates)
    chunk: int = 10_000

    def __post_init__(self) -> None:
        if self.max_chars < 1 or self.chunk < 1:
            raise ConfigError(f"max_chars is {self.max_chars} and chunk {self.chunk}; both have to be at least 1")

    def run(self, rows: Iterable[InputRow], existing: Iterable[Example] = ()) -> Checked:
        """Check all rows; the result gives out the new examples in chunks.

        Rows are spooled to a temporary file, so 1,000,000 of them need about 250 MB of memory and
        nothing is given out, hence nothing stored, while a later row could still be wrong.

        Parameters
        ----------
        rows : iterable of InputRow
            Read once.
        existing : iterable of Example
            All examples of the project, pool and test, in ordinal order.

        Returns
        -------
        Checked
            A context manager and iterable of lists of examples; close it.

        Raises
        ------
        DataError
            If there is no row, no row can be used, or one id stands for two texts.
        StorageFullError
            If the temporary file does not fit on the disk.
        """
        pass_ = _Checking(self)
        try:
            pass_.add_existing(existing)
            pass_.add_rows(rows)
            return pass_.finish()
        except BaseException:
            pass_.close()
            raise


class _Checking:
    """The first pass: spool good rows, list bad ones, keep digests."""

    def __init__(self, settings: Intake) -> None:
        self._settings = settings
        self._spool = Spool()
        self._skipped = SkippedRows()
        self._texts = Digests()
        self._ids = Digests()
        # Ids of rows that were merged into existing examples: taken, though no example has them.
        self._alias_ids = Digests()
        self._alias_texts = Digests()
        self._splits = array("b")
        self._groups = array("q")
        self._n_rows = 0

    def close(self) -> None:
        self._spool.close()
        self._skipped.close()

    def add_existing(self, existing: Iterable[Example]) -> None:
        for ordinal, example in enumerate(existing):
            self._add(Entry(0, example.id, example.text, None, {}, True), text_digest(example.text))
            self._splits.append(example.split is not self._settings.split)
            self._groups.append(example.group if example.group >= 0 else ordinal)
            for other_id in example.meta.get("duplicate_ids", ()):
                self._alias_ids.append(id_digest(other_id))
                self._alias_texts.append(text_digest(example.text))

    def add_rows(self, rows: Iterable[InputRow]) -> None:
        for row in rows:
            self._n_rows += 1
            refusal = self._refusal(row)
            if refusal is not None:
                self._skipped.add(row.number, row.id, *refusal)
                continue
            text = row.text or ""
            digest = text_digest(text)
            id_ = row.id or digest.hex()[:16]
            self._add(Entry(row.number, id_, text, row.label, row.meta, row.id is not None), digest)

    def _refusal(self, row: InputRow) -> tuple[Reason, str] | None:
        if row.problem:
            kind, _, detail = row.problem.partition(": ")
            return (Reason.TOO_LONG if kind == Reason.TOO_LONG else Reason.UNDECODABLE), detail
        text = row.text or ""
        if not text.strip():
            return Reason.EMPTY, "no text"
        if len(text) > self._settings.max_chars:
            return Reason.TOO_LONG, f"{len(text):,} characters; at most {self._settings.max_chars:,} are allowed"
        try:
            f"{row.id or ''}{text}".encode()
        except UnicodeEncodeError:
            return Reason.UNDECODABLE, "half a surrogate pair in the text or the id"
        return None

    def _add(self, entry: Entry, digest: bytes) -> None:
        self._spool.append(entry)
        self._texts.append(digest)
        # Ids are compared as they are: no folding.
        self._ids.append(id_digest(entry.id))

    def finish(self) -> Checked:
        if not self._n_rows:
            raise DataError("there is no row to add; give at least one text")
        self._spool.flush()
        n_existing = len(self._groups)
        if len(self._spool) == n_existing:
            raise DataError(f"none of the {self._n_rows:,} rows can be used: {self._skipped.summary()}; correct them")
        first_text = first_positions(self._texts.array())
        self._refuse_shared_ids()
        return Checked(
            spool=self._spool,
            skipped=self._skipped,
            first_text=first_text,
            is_other_split=np.frombuffer(self._splits, dtype=np.int8).astype(bool),
            groups=self._group(first_text),
            settings=self._settings,
        )

    def _refuse_shared_ids(self) -> None:
        first_id = first_positions(np.concatenate([self._ids.array(), self._alias_ids.array()]))
        first_text = first_positions(np.concatenate([self._texts.array(), self._alias_texts.array()]))
        conflicts = np.flatnonzero(first_text != first_text[first_id])
        if not len(conflicts):
            return
        later, earlier = int(conflicts[0]), int(first_id[conflicts[0]])
        if later >= len(self._spool):
            later, earlier = earlier, 0
        row, other = self._spool.entry(later), self._spool.entry(earlier)
        is_row = earlier >= len(self._groups)
        where = f"rows {other.number} and {row.number}" if is_row else f"an existing example and row {row.number}"
        more = f" (and {len(conflicts) - 1:,} more such rows)" if len(conflicts) > 1 else ""
        raise DataError(
            f"{where} have the same id {row.id!r} and different texts{more}; nothing was added; "
            "give every text its own id, or name another column with --id-column"
        )

    def _group(self, first_text: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the group ordinal of each example, existing ones first, then new ones in order."""
        known = np.frombuffer(self._groups, dtype=np.int64)
        is_new = first_text == np.arange(len(first_text))
        is_new[: len(known)] = True
        positions = np.flatnonzero(is_new)
        if self._settings.near_duplicates is None:
            return np.concatenate([known, np.arange(len(known), len(positions))])
        return self._settings.near_duplicates.group(_Picked(self._spool, positions), known=known)


@dataclass(frozen=True)
class _Picked:
    """Texts of some positions of the spool."""

    spool: Spool
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, position: int) -> str:
        return self.spool[int(self.positions[position])]
