"""What every command shares: arguments, exit codes, errors in one line, an open project."""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_al import console
from llm_al.errors import LLMALError

__all__ = ["HERE", "INTERRUPTED", "ME", "WAITING", "AsJson", "Folder", "clean", "opened", "polls"]

WAITING = 3
INTERRUPTED = 130
HERE = Path()
ME = os.environ.get("USER", "me")

Folder = Annotated[Path, typer.Argument(help="Project folder.", show_default="the current folder")]
AsJson = Annotated[bool, typer.Option("--json", help="Write one JSON document instead of text.")]


def clean(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors that were raised on purpose into one line and an exit code."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LLMALError as exc:
            console.err.print(f"error: {exc}", style="red", markup=False)
            raise typer.Exit(2) from exc
        except OSError as exc:
            where = f": {exc.filename}" if exc.filename else ""
            console.err.print(f"error: {exc.strerror or exc}{where}", style="red", markup=False)
            raise typer.Exit(2) from exc
        except KeyboardInterrupt:
            console.err.print("interrupted; everything that was answered is saved - run the same command to go on")
            raise typer.Exit(INTERRUPTED) from None

    return run


def polls() -> Iterator[float]:
    """Yield seconds between looks at something that takes minutes to a day: from 10 on, growing to 10 minutes.

    Examples
    --------
    >>> [next(waits) for waits in [polls()] for _ in range(3)]
    [10.0, 15.0, 22.5]
    """
    seconds = 10.0
    while True:
        yield seconds
        seconds = min(1.5 * seconds, 600.0)


@contextmanager
def opened(folder: Path) -> Iterator[Any]:
    """Open a project, and say at the end what happened to its files."""
    from llm_al.project import Project

    with Project.open(folder) as project:
        try:
            yield project
        finally:
            for note in project.notes:
                console.err.print(f"note: {note}", style="yellow", markup=False)
