"""What intake did with every row: added, merged or skipped, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = ["IntakeReport", "Reason", "SkippedRow"]


class Reason(StrEnum):
    """Why a row gave no new example."""

    EMPTY = "empty"
    TOO_LONG = "too long"
    UNDECODABLE = "undecodable"
    DUPLICATE = "exact duplicate"


@dataclass(frozen=True, slots=True)
class SkippedRow:
    """One row that gave no new example."""

    number: int
    id: str | None
    reason: Reason
    detail: str = ""


@dataclass(frozen=True)
class IntakeReport:
    """Counts of one intake.

    ``n_rows == n_added + n_exact_duplicates + n_empty + n_too_long + n_undecodable``, always.
    Near-duplicates are added; they only share a group.

    Parameters
    ----------
    n_other_split : int
        Exact duplicates of examples that are in the project's other split; they stay there.
    n_label_conflicts : int
        Merged rows with another label than the row they were merged into; the first label holds.
    listed : mapping of Reason to tuple of SkippedRow
        The first few rows of each kind.
    conflicts : tuple of str
        The first few label conflicts, one line each.
    """

    n_rows: int = 0
    n_added: int = 0
    n_exact_duplicates: int = 0
    n_near_duplicates: int = 0
    n_empty: int = 0
    n_too_long: int = 0
    n_undecodable: int = 0
    n_other_split: int = 0
    n_label_conflicts: int = 0
    listed: Mapping[Reason, tuple[SkippedRow, ...]] = field(default_factory=dict)
    conflicts: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as lines of text, only with what happened.

        Examples
        --------
        >>> IntakeReport(n_rows=3, n_added=2, n_empty=1).lines()
        ['3 rows: 2 added', '1 empty']
        """
        texts = [f"{self.n_rows:,} rows: {self.n_added:,} added"]
        counts = {
            Reason.DUPLICATE: self.n_exact_duplicates,
            Reason.EMPTY: self.n_empty,
            Reason.TOO_LONG: self.n_too_long,
            Reason.UNDECODABLE: self.n_undecodable,
        }
        for reason, count in counts.items():
            rows = ", ".join(str(row.number) for row in self.listed.get(reason, ()))
            if count:
                texts.append(f"{count:,} {reason}" + (f" (rows {rows}{', ...' if count > 20 else ''})" if rows else ""))
        if self.n_other_split:
            texts.append(f"{self.n_other_split:,} of the duplicates are already in the other split and stay there")
        if self.n_near_duplicates:
            texts.append(f"{self.n_near_duplicates:,} near-duplicates of earlier texts, grouped with them")
        if self.n_label_conflicts:
            texts.append(f"{self.n_label_conflicts:,} duplicates with another label; the first one holds")
        return texts + list(self.conflicts)
