"""Commands about the LLM: arguments into calls on `project.llm`, results into text. No decisions."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_al import console
from llm_al.cli_shell import HERE, ME, AsJson, Folder, clean, opened

__all__ = ["add_commands"]


def add_commands(app: typer.Typer) -> None:
    """Put the commands of this module beside the others."""
    app.command()(record)
    app.command()(choose)


@clean
def record(
    folder: Folder = HERE,
    to: Annotated[Path, typer.Option(help="File to write: .jsonl or .jsonl.gz.")] = Path("llm_answers.jsonl"),
) -> None:
    """Write every LLM answer to a file that can be replayed without paying again."""
    with opened(folder) as project:
        n_rows = project.llm.record(to)
    console.out.print(f"{n_rows} texts with LLM answers written to {to}", markup=False)


@clean
def choose(
    folder: Folder = HERE,
    labels: Annotated[int, typer.Option(help="Ask about so many texts at most.", min=1)] = 50,
    confidence: Annotated[float, typer.Option(help="Stop when the best is this certain.", max=1.0)] = 0.9,
    runs: Annotated[Path | None, typer.Option(help="Recorded answers in place of the project's own.")] = None,
    annotator: Annotated[str, typer.Option(help="Your name, kept with each answer.")] = ME,
    as_json: AsJson = False,
) -> None:
    """Find the model or prompt that labels best, with few answers of people.

    Shows for each candidate how many answers it had right and the probability of being the best that the method works
    with; the certainty counts only what people have answered.
    """
    step: Any = None
    with opened(folder) as project:
        given = {"max_labels": labels, "confidence": confidence, "runs": runs, "annotator": f"human:{annotator}"}
        for step in project.llm.choose(**given):
            if not as_json:
                leading = list(step.p_best)[:5]
                line = "; ".join(f"{run}: {step.n_right[run]} right, {step.p_best[run]:.3f}" for run in leading)
                console.out.print(f"{step.n_labels} labels, certainty {step.certainty:.2f} ({line})", markup=False)
    if as_json:
        console.print_json(asdict(step))
    else:
        console.out.print(f"best so far: {step.best}; to use it alone, in project.yaml: {step.advice}", markup=False)
