"""Commands about the LLM: arguments into calls on `project.llm`, results into text. No decisions."""

from pathlib import Path
from typing import Annotated

import typer

from llm_al import console
from llm_al.cli_shell import HERE, Folder, clean, opened

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module beside the others."""
    app.command()(record)


@clean
def record(
    folder: Folder = HERE,
    to: Annotated[Path, typer.Option(help="File to write: .jsonl or .jsonl.gz.")] = Path("llm_answers.jsonl"),
) -> None:
    """Write every LLM answer to a file that can be replayed without paying again."""
    with opened(folder) as project:
        n_rows = project.llm.record(to)
    console.out.print(f"{n_rows} texts with LLM answers written to {to}", markup=False)
