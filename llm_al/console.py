"""What the command line shows: tables, progress bars and one-line errors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from llm_al.protocols import Progress as Report

__all__ = ["err", "out", "print_json", "print_rows", "reporting"]

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_rows(rows: Sequence[Mapping[str, str]], *, title: str | None = None) -> None:
    """Write rows with the same keys as a table; nothing for no rows."""
    if not rows:
        return
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for number, column in enumerate(rows[0]):
        table.add_column(column, no_wrap=True, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row.values())
    Console(highlight=False).print(table)


@contextmanager
def reporting(*, quiet: bool = False) -> Iterator[Report]:
    """Show one live bar for each kind of work, on a terminal only; yields the function that steps report to."""
    columns = (TextColumn("{task.description:<24}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=quiet or not err.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for old in tasks.values():
                    bars.update(old, visible=False)
                tasks[what] = bars.add_task(what, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None, visible=True)
            if total and done >= total:
                bars.update(tasks.pop(what), visible=False)

        yield report
