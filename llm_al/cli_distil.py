"""The command that makes a small student of a project's last round. No decisions."""

from typing import Annotated

import typer

from llm_al import console
from llm_al.cli_shell import HERE, AsJson, Folder, clean, opened

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module beside the others."""
    app.command()(distil)


@clean
def distil(
    folder: Folder = HERE,
    student: Annotated[str, typer.Option(help="What the small student is: transformer or head.")] = "transformer",
    model: Annotated[str | None, typer.Option(help="Its encoder; the project's otherwise.")] = None,
    layers: Annotated[int | None, typer.Option(help="Keep so many layers of that encoder.", min=1)] = None,
    teacher_model: Annotated[str | None, typer.Option(help="A larger encoder for the teachers.")] = None,
    teachers: Annotated[int, typer.Option(help="So many teachers.", min=1, max=50)] = 3,
    max_rows: Annotated[int, typer.Option(help="Soft labels, at most; drawn at random.", min=1)] = 20_000,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the exported student.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """Distil the last round into a small student, export it to ONNX with int8 weights, and compare them."""
    options = {
        "student": student,
        "model": model,
        "n_layers": layers,
        "teacher_model": teacher_model,
        "n_teachers": teachers,
        "max_rows": max_rows,
        "n_threads": threads,
    }
    with opened(folder) as project, console.reporting(quiet=as_json) as progress:
        report = project.distil(progress=progress, **options)
    if as_json:
        console.print_json(report.to_json())
        return
    console.print_rows(report.rows(), title=f"{report.project}, distilled after round {report.round}")
    for line in report.lines():
        console.out.print(line, markup=False)
    console.out.print(report.folder, markup=False)
