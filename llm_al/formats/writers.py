"""Text exports: CSV and JSON Lines."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

__all__ = ["COLUMNS", "Exported", "values_of", "write_csv", "write_jsonl"]

COLUMNS = (
    "id",
    "text",
    "label",
    "posterior",
    "source",
    "annotators",
    "round",
    "agreement",
    "reason",
    "split",
    "proba",
    "votes",
)
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class Exported(Protocol):
    """Anything with the fields of an export row."""

    @property
    def annotators(self) -> tuple[str, ...]:
        """Who answered."""
        ...

    @property
    def proba(self) -> Mapping[str, float]:
        """Probability of every label."""
        ...

    @property
    def votes(self) -> Mapping[str, float]:
        """Shares of the labels that people gave."""
        ...


def values_of(row: Exported) -> dict[str, Any]:
    """Return the fields of a row in column order, as plain values."""
    values = {name: getattr(row, name) for name in COLUMNS}
    values["annotators"] = list(row.annotators)
    values["proba"] = {name: float(p) for name, p in row.proba.items()}
    values["votes"] = {name: float(share) for name, share in row.votes.items()}
    return {name: str(v) if isinstance(v, str) else v for name, v in values.items()}


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def _defused(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def write_csv(rows: Iterable[Exported], target: Path, *, is_spreadsheet_safe: bool = False) -> int:
    """Write UTF-8 CSV; `annotators`, `proba` and `votes` are JSON inside their cells."""
    count = 0
    with target.open("w", encoding="utf-8-sig" if is_spreadsheet_safe else "utf-8", newline="") as stream:
        # Lines end as RFC 4180 wants; with "\n" the module leaves a lone carriage return unquoted.
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for row in rows:
            count += 1
            cells = [_cell(value) for value in values_of(row).values()]
            writer.writerow([_defused(cell) for cell in cells] if is_spreadsheet_safe else cells)
        stream.flush()
        os.fsync(stream.fileno())
    return count


def write_jsonl(rows: Iterable[Exported], target: Path) -> int:
    """Write JSON Lines in UTF-8."""
    count = 0
    with target.open("w", encoding="utf-8", newline="\n") as stream:
        for row in rows:
            count += 1
            stream.write(json.dumps(values_of(row), ensure_ascii=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return count
