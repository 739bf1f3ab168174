"""Commands about what an LLM proposes and finds: arguments into calls on `project.llm`, results into text."""

from pathlib import Path
from typing import Annotated

import typer

from llm_al import console
from llm_al.cli_shell import HERE, AsJson, Folder, clean, opened

__all__ = ["add_commands"]

propose = typer.Typer(no_args_is_help=True, help="Let the LLM propose descriptions of labels or guidelines.")


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module beside the others."""
    app.add_typer(propose, name="propose")
    app.command()(explore)


def _listed(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


@propose.command()
@clean
def descriptions(
    folder: Folder = HERE,
    accept: Annotated[str | None, typer.Option(help="Take over proposals: label names with commas, or all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Propose a description of each label from texts that people have labelled; with --accept, take them over."""
    with opened(folder) as project:
        if accept is not None:
            lines = project.llm.accept_descriptions(_listed(accept))
            console.print_json(lines) if as_json else console.out.print("\n".join(lines), markup=False)
            return
        found = project.llm.describe()
    console.print_json(found.to_dict()) if as_json else console.out.print(found.text(), markup=False)


@propose.command()
@clean
def guidelines(
    folder: Folder = HERE,
    accept: Annotated[str | None, typer.Option(help="Add proposed rules to the guidelines: numbers.")] = None,
    as_json: AsJson = False,
) -> None:
    """Propose rules for what annotators disagree about; with --accept, add them to the guidelines."""
    with opened(folder) as project:
        if accept is not None:
            lines = project.llm.accept_rules(_listed(accept))
            console.print_json(lines) if as_json else console.out.print("\n".join(lines), markup=False)
            return
        found = project.llm.critique()
    console.print_json(found.to_dict()) if as_json else console.out.print(found.text(), markup=False)


@clean
def explore(
    folder: Folder = HERE,
    clusters: Annotated[int, typer.Option(help="So many groups.", min=1, max=1000)] = 12,
    no_llm: Annotated[bool, typer.Option("--no-llm", help="Name groups by their keywords, free of charge.")] = False,
    to: Annotated[Path | None, typer.Option(help="Page to write; explore.html in the project otherwise.")] = None,
    as_json: AsJson = False,
) -> None:
    """Group the texts and name the groups, before anybody knows the labels."""
    with opened(folder) as project, console.reporting(quiet=as_json) as progress:
        found = project.llm.explore(clusters, use_llm=not no_llm, progress=progress)
        if not as_json:
            path = project.llm.write_overview(found, to)
    if as_json:
        console.print_json(found.to_dict())
        return
    console.print_rows(found.rows(), title=f"{found.n:,} texts in {len(found.clusters)} groups")
    for note in found.notes:
        console.out.print(f"note: {note}", markup=False)
    console.out.print(str(path), markup=False)
