"""Arguments into calls on `Project`, results into text. No decisions.

Exit codes: 0 done, 2 wrong input or settings, 3 waiting for people or for a batch of LLM answers, 130 interrupted.
"""

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from llm_al import __version__, cli_distil, cli_llm, cli_propose, cli_serve, console
from llm_al.cli_shell import HERE, ME, WAITING, AsJson, Folder, clean, opened, polls
from llm_al.errors import DataError

__all__ = ["app", "main"]


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From raw texts and a list of labels to a labelled dataset and a small classifier.",
)

TOOL_NAMES = "argilla, doccano, label_studio, prodigy"

TextColumn = Annotated[str | None, typer.Option(help="Column with the texts; found by itself when it is clear.")]
IdColumn = Annotated[str | None, typer.Option(help="Column with the ids; made from the text when absent.")]
LabelColumn = Annotated[str | None, typer.Option(help="Column with the labels of the test split.")]
Dataset = Annotated[str | None, typer.Option(help="With an Argilla server: the dataset; made if it is not there.")]
Workspace = Annotated[str | None, typer.Option(help="With an Argilla server: the workspace, where it has several.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    if version:
        console.out.print(__version__)
        raise typer.Exit


@app.command()
@clean
def init(
    folder: Annotated[Path, typer.Argument(help="Folder to create.")],
    texts: Annotated[Path, typer.Option(help="CSV, TSV, JSONL, Parquet, .txt, or a saved dataset.")],
    labels: Annotated[Path, typer.Option(help="YAML, JSON or plain list of labels.")],
    test: Annotated[Path | None, typer.Option(help="Labelled file to measure on.")] = None,
    guidelines: Annotated[Path | None, typer.Option(help="Page for annotators; goes into every prompt.")] = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    label_column: LabelColumn = None,
    offline: Annotated[bool, typer.Option(help="Use the encoder of the `offline` extra, no model hub.")] = False,
) -> None:
    """Create a project from a file of texts and a list of labels."""
    from llm_al.project import Columns, Project

    settings = {"embedder": {"model": "offline"}} if offline else {}
    project = Project.create(
        folder,
        texts=texts,
        labels=labels,
        test=test,
        guidelines=guidelines,
        columns=Columns(text_column, id_column, label_column),
        settings=settings,
    )
    project.close()
    for note in project.notes:
        console.out.print(note, markup=False)
    console.out.print(
        f"created {folder}; next: edit {folder / 'project.yaml'}, then: llm-al run {folder}", markup=False
    )


@app.command()
@clean
def add(
    folder: Folder,
    texts: Annotated[Path, typer.Option(help="File with more texts.")],
    test: Annotated[bool, typer.Option("--test", help="Add to the test split; labels are needed.")] = False,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    label_column: LabelColumn = None,
) -> None:
    """Add more texts to a project."""
    from llm_al.project import Columns

    with opened(folder) as project:
        for note in project.add(texts, test=test, columns=Columns(text_column, id_column, label_column)):
            console.out.print(note, markup=False)


@app.command()
@clean
def run(
    folder: Folder = HERE,
    max_human_labels: Annotated[int | None, typer.Option(help="Replaces budget.human_labels.", min=1)] = None,
    max_usd: Annotated[float | None, typer.Option(help="Replaces budget.llm_usd.", min=0.0)] = None,
    max_rounds: Annotated[int | None, typer.Option(help="Replaces budget.rounds.", min=1)] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="With llm.batch: stay and look for answers until they are there.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Run rounds until a budget or the target is reached, or people have to answer."""
    limits = {"max_human_labels": max_human_labels, "max_usd": max_usd, "max_rounds": max_rounds}
    with opened(folder) as project:
        outcome = _run_rounds(project, limits, is_quiet=as_json, waits=polls() if wait else iter(()))
        if as_json:
            console.print_json({"outcome": str(outcome), **project.status().to_dict()})
        else:
            console.print_rows(project.status().round_rows(), title="Rounds")
    if outcome is not None and (outcome.n_waiting or outcome.n_llm_waiting):
        if outcome.n_waiting and not as_json:
            console.out.print(
                f"answer them with: llm-al serve {folder} (or: llm-al label {folder})   then: llm-al run {folder}",
                markup=False,
            )
        raise typer.Exit(WAITING)


def _run_rounds(project: Any, limits: dict[str, Any], *, is_quiet: bool, waits: Iterator[float]) -> Any:
    """Run until people have to answer or nothing is left to do; a person at the terminal is asked at once.

    LLM answers under way are looked for again after each of `waits`, in seconds, as long as there are any.
    """
    while True:
        outcome = None
        with console.reporting(quiet=is_quiet) as report:
            for outcome in project.run(**limits, progress=report):
                if not is_quiet:
                    console.out.print(str(outcome), markup=False)
        if outcome and outcome.n_llm_waiting and (seconds := next(waits, None)) is not None:
            time.sleep(seconds)
            continue
        is_asked_here = project.config.human.annotator == "terminal" and not is_quiet
        if not (outcome and outcome.n_waiting and is_asked_here and project.label_in_terminal(ME)):
            return outcome


@app.command()
@clean
def label(
    folder: Folder = HERE,
    annotator: Annotated[str, typer.Option(help="Your name, kept with each answer.")] = ME,
    limit: Annotated[int | None, typer.Option("-n", help="Stop after so many answers.", min=1)] = None,
) -> None:
    """Answer waiting texts in the terminal: one key each."""
    with opened(folder) as project:
        n_answered = project.label_in_terminal(annotator, limit=limit)
        n_left = project.n_waiting()
    console.out.print(f"{n_answered} answered, {n_left} waiting", markup=False)
    if not n_left:
        console.out.print(f"next: llm-al run {folder}", markup=False)


@app.command()
@clean
def status(
    folder: Folder = HERE,
    why: Annotated[str | None, typer.Option(help="Explain one example, by its id.")] = None,
    llm: Annotated[bool, typer.Option("--llm", help="How right the LLM is, and how honest its confidence.")] = False,
    people: Annotated[bool, typer.Option("--people", help="How far people agree, and how right they are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show how far a project is, why one example got its label, or how far the LLM or people can be believed."""
    if llm + people + (why is not None) > 1:
        raise DataError("--why, --llm and --people answer different questions; give one of them")
    if people:
        with opened(folder) as project:
            shown: Any = project.dashboard().to_dict() if as_json else project.people_text()
        console.print_json(shown) if as_json else console.out.print(shown, markup=False, soft_wrap=True)
        return
    if llm:
        with opened(folder) as project:
            quality = project.llm.quality()
        console.print_json(quality.to_dict()) if as_json else console.out.print(quality.text(), markup=False)
        return
    with opened(folder) as project:
        lines, state = (project.why(why), None) if why is not None else ([], project.status())
    if state is None:
        console.print_json(lines) if as_json else console.out.print("\n".join(lines), markup=False)
    elif as_json:
        console.print_json(state.to_dict())
    else:
        console.out.print(state.text(), markup=False)
        console.print_rows(state.round_rows(), title="Rounds")


@app.command()
@clean
def estimate(folder: Folder = HERE, as_json: AsJson = False) -> None:
    """Price the run before anything is paid."""
    with opened(folder) as project:
        forecast = project.estimate()
    console.print_json(asdict(forecast)) if as_json else console.out.print(str(forecast), markup=False)


@app.command()
@clean
def export(
    folder: Folder = HERE,
    to: Annotated[
        str | None, typer.Option(help=".csv, .jsonl, .parquet, a folder for `datasets`, or an Argilla server's URL.")
    ] = None,
    sources: Annotated[str, typer.Option(help="Which labels: human, llm, pseudo; or synthetic.")] = "human,llm,pseudo",
    spreadsheet_safe: Annotated[bool, typer.Option(help="Quote cells that a spreadsheet would run.")] = False,
    tool: Annotated[str | None, typer.Option("--format", help=f"All texts and answers, for {TOOL_NAMES}.")] = None,
    dataset: Dataset = None,
    workspace: Workspace = None,
) -> None:
    """Write the labels with their posterior and where they came from."""
    wanted = [source.strip() for source in sources.split(",")]
    name = _dataset_of(to, tool, dataset, workspace)
    path = None if to is None else Path(to)
    with opened(folder) as project:
        if tool is None:
            done: object = project.export(path, sources=wanted, spreadsheet_safe=spreadsheet_safe)
        elif to is not None and name is not None:
            from llm_al.argilla_server import push

            done = push(project, to, dataset=name, workspace=workspace)
        else:
            from llm_al.exchange import export_records

            done = export_records(project, tool, path)
    console.out.print(str(done), markup=False)


def _dataset_of(target: str | None, tool: str | None, dataset: str | None, workspace: str | None) -> str | None:
    """Return the dataset on a server that is meant; None for files."""
    is_server = target is not None and target.startswith(("http://", "https://"))
    if is_server and (tool != "argilla" or dataset is None):
        raise DataError("a URL is an Argilla server; give --format argilla and --dataset NAME with it")
    if not is_server and (dataset or workspace):
        raise DataError("--dataset and --workspace belong to an Argilla server; give its URL in place of a file")
    return dataset


@app.command("import")
@clean
def import_(
    folder: Folder,
    labels: Annotated[str, typer.Option(help="File with `id` and `label` columns, or an Argilla server's URL.")],
    annotator: Annotated[str, typer.Option(help="Who gave them, where the file does not say.")] = "import",
    tool: Annotated[str | None, typer.Option("--format", help=f"The file is one of {TOOL_NAMES}.")] = None,
    gold: Annotated[
        bool, typer.Option("--gold", help="They are settled, and people may be checked with them.")
    ] = False,
    dataset: Dataset = None,
    workspace: Workspace = None,
) -> None:
    """Take human labels from a file. All of it, or nothing when a row is wrong."""
    name = _dataset_of(labels, tool, dataset, workspace)
    if gold and tool is not None:
        raise DataError("--gold goes with a file of `id` and `label`; leave --format out")
    with opened(folder) as project:
        if tool is None:
            done = f"{project.import_labels(labels, annotator=annotator, is_gold=gold)} labels imported"
        elif name is not None:
            from llm_al.argilla_server import pull

            done = str(pull(project, labels, dataset=name, workspace=workspace))
        else:
            from llm_al.exchange import import_records

            done = str(import_records(project, Path(labels), tool, annotator=annotator))
    console.out.print(done, markup=False)


@app.command()
@clean
def predict(
    folder: Folder = HERE,
    text: Annotated[list[str] | None, typer.Argument(help="Texts to label.")] = None,
    texts: Annotated[Path | None, typer.Option(help="File with texts.")] = None,
    to: Annotated[Path | None, typer.Option(help="With --texts: where the labels go.")] = None,
    text_column: TextColumn = None,
    as_json: AsJson = False,
) -> None:
    """Label texts with the trained student."""
    if bool(text) == (texts is not None):
        raise DataError("give either texts after the folder, or --texts FILE")
    if texts is not None:
        with opened(folder) as project:
            console.out.print(str(project.predict_file(texts, to, text_column=text_column)), markup=False)
        return
    with opened(folder) as project:
        rows = project.predict(text or [])
    if as_json:
        console.print_json(rows)
        return
    for row in rows:
        console.out.print(f"{row['label']}\t{row['probability']:.3f}\t{row['text']}", markup=False)


@app.command()
@clean
def report(
    folder: Folder = HERE,
    pseudonyms: Annotated[bool, typer.Option("--pseudonyms", help="Numbers in place of people's names.")] = False,
) -> None:
    """Write `report.html`, one file with every figure."""
    with opened(folder) as project:
        console.out.print(str(project.report(is_pseudonymous=pseudonyms)), markup=False)


@app.command()
@clean
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to build the sample project.")] = Path("demo"),
    fresh: Annotated[bool, typer.Option(help="Start over when it is there already.")] = False,
    student: Annotated[
        str, typer.Option(help="head takes a minute or two, transformer fine-tunes for longer.")
    ] = "head",
) -> None:
    """Run the whole loop on the sample project: no key, no hub, no questions."""
    from llm_al import demo as sample

    with console.reporting() as progress:
        result = sample.run(folder, fresh=fresh, student=student, progress=progress, say=console.out.print)
    console.print_rows(result.rows, title="Rounds")
    for line in result.lines:
        console.out.print(line, markup=False)


cli_distil.add_commands(app)
cli_llm.add_commands(app)
cli_propose.add_commands(app)
cli_serve.add_commands(app)


def main() -> None:
    """Run the command line with quiet libraries and bounded threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    sys.exit(app())


if __name__ == "__main__":
    main()
