"""Rows that gave no example: all of them on disk, the first few of each kind in memory."""

import csv
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

from llm_al.intake.report import Reason, SkippedRow
from llm_al.intake.spool import full_disk_refused

__all__ = ["MAX_LISTED", "SkippedRows"]

MAX_LISTED = 20


class SkippedRows:
    """A list of skipped rows of any length, to be saved as CSV."""

    def __init__(self) -> None:
        with full_disk_refused("the list of skipped rows"):
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - lives as long as self
                "w+", encoding="utf-8", errors="backslashreplace", newline="", prefix="llm_al-skipped-"
            )
        self._writer = csv.writer(self._file, lineterminator="\r\n")
        self._writer.writerow(["row", "id", "reason", "detail"])
        self.counts: Counter[Reason] = Counter()
        self._listed: dict[Reason, list[SkippedRow]] = {}

    def add(self, number: int, id_: str | None, reason: Reason, detail: str) -> None:
        """Count one row, list it if it is among the first, and write it down."""
        self.counts[reason] += 1
        listed = self._listed.setdefault(reason, [])
        if len(listed) < MAX_LISTED:
            listed.append(SkippedRow(number, id_, reason, detail))
        with full_disk_refused("the list of skipped rows"):
            self._writer.writerow([number, id_ or "", reason.value, detail])

    @property
    def listed(self) -> dict[Reason, tuple[SkippedRow, ...]]:
        """The first `MAX_LISTED` rows of each kind."""
        return {reason: tuple(rows) for reason, rows in self._listed.items()}

    def summary(self) -> str:
        """Return the counts and the first row of each kind in one line."""
        parts = [f"{count:,} {reason}" for reason, count in sorted(self.counts.items())]
        first = min((rows[0] for rows in self._listed.values()), key=lambda row: row.number)
        return f"{', '.join(parts)}; row {first.number}: {first.detail}"

    def save(self, path: Path) -> None:
        """Write all rows to a CSV file (row, id, reason, detail), whole or not at all.

        Raises
        ------
        StorageFullError
            If it does not fit on the disk.
        """
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with full_disk_refused(str(path)):
                self._file.seek(0)
                with temporary.open("w", encoding="utf-8", newline="") as target:
                    shutil.copyfileobj(self._file, target)
                temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Delete the temporary file."""
        self._file.close()
