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

_WIDEST_FIGURE = 24
_NARROWEST_TEXT = 12


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=str))


def print_rows(rows: Sequence[Mapping[str, str]], *, title: str | None = None) -> None:
    """Write rows with the same keys as a table; nothing for no rows."""
    if not rows:
        return
    console = Console(highlight=False)
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    widest = {column: max(len(cell) for cell in (column, *(row[column] for row in rows))) for column in rows[0]}
    for column, width in _fitted(widest, console.width - 2 * len(widest) - 2).items():
        is_figure = width <= _WIDEST_FIGURE and column != next(iter(widest))
        table.add_column(column, no_wrap=True, justify="right" if is_figure else "left", width=width)
    for row in rows:
        table.add_row(*row.values())
    console.print(table)


def _fitted(widest: Mapping[str, int], available: int) -> dict[str, int]:
    """Return a width for each column: figures are never cut, texts share what is left, the shorter ones first."""
    widths = {column: width for column, width in widest.items() if width <= _WIDEST_FIGURE}
    rest = available - sum(widths.values())
    texts = sorted((column for column in widest if column not in widths), key=lambda column: widest[column])
    for n_left, column in zip(range(len(texts), 0, -1), texts, strict=True):
        widths[column] = max(min(widest[column], rest // n_left), _NARROWEST_TEXT)
        rest -= widths[column]
    return {column: widths[column] for column in widest}


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
