"""A project's texts and answers on their way to other annotation tools, and people's answers on their way back."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from llm_al.errors import ConfigError, DataError
from llm_al.formats import argilla, doccano, label_studio, prodigy
from llm_al.formats.records import Answer, Flag, Record, Suggestion
from llm_al.intake.digests import text_id
from llm_al.store.lock import ProjectLock
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Example, Split

if TYPE_CHECKING:
    from llm_al.project import Project

__all__ = ["TOOLS", "Imported", "export_records", "import_records", "project_records", "take_records"]

_CHUNK = 1_000
_READERS = {
    "argilla": argilla.read,
    "doccano": doccano.read,
    "label_studio": label_studio.read,
    "prodigy": prodigy.read,
}
_SUFFIXES = {"argilla": ".json", "doccano": "", "label_studio": ".json", "prodigy": ".jsonl"}
TOOLS = tuple(_READERS)
"""Names of the tools whose files are read and written."""


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Parameters
    ----------
    n_labels : int
        Answers that were taken.
    n_known : int
        Answers that the project had already.
    n_passed_over : int
        Answers that are no label of a person: drafts, those of machines, bare rejects of single labels, repeats.
    """

    n_labels: int
    n_known: int = 0
    n_passed_over: int = 0

    def __str__(self) -> str:
        line = f"{self.n_labels} labels imported"
        line += f", {self.n_known} were there already" if self.n_known else ""
        what = "drafts, answers of machines, rejects of single labels, repeats"
        return line + (f", {self.n_passed_over} passed over ({what})" if self.n_passed_over else "")


def _known(tool: str) -> str:
    if tool not in TOOLS:
        raise ConfigError(f"unknown tool {tool!r}; choose a format from: {', '.join(TOOLS)}")
    return tool


def import_records(project: "Project", path: Path, tool: str, *, annotator: str = "import") -> Imported:
    """Take people's answers from a tool's file: all of it, or nothing when a record is wrong.

    A text is found by its id, else by its wording. Answers that stand in the project already are not doubled, and
    another answer of the same person takes the earlier one back, so that a file may come in again after more work.

    Parameters
    ----------
    annotator : str
        Who answered where the file does not say.

    Raises
    ------
    ConfigError
        If the tool is unknown.
    DataError
        If the file is broken, a label or a text is unknown, or an answer holds several labels.
    """
    records = _READERS[_known(tool)](Path(path), labels=project.scheme.names)
    return take_records(project, records, path, annotator=annotator)


def take_records(
    project: "Project", records: Iterable[Record], origin: object, *, annotator: str = "import"
) -> Imported:
    """Take people's answers and flags from records, as `import_records` does.

    Parameters
    ----------
    records : iterable of Record
        Read once, while the project is locked.
    origin : object
        Where they come from, for messages.

    Raises
    ------
    DataError
        If a text is unknown, or an answer holds several labels.
    """
    with ProjectLock(project.folder):
        votes: dict[tuple[str, str], Annotation] = {}
        flags: dict[tuple[str, str, str], None] = {}
        n_given = 0
        for part, ids in _with_ids(project, iter(records), origin):
            for record, id_ in zip(part, ids, strict=True):
                n_given += len(record.annotations)
                given = (_annotation(answer, id_, annotator, origin) for answer in record.annotations)
                _collect(votes, [vote for vote in given if vote is not None], origin)
                flags.update(((id_, flag.person, flag.note), None) for flag in record.flags)
        new, withdrawn = _compared(project, votes)
        _write(project, new, withdrawn)
        _raise_flags(project, flags)
    return Imported(len(new), len(votes) - len(new), n_given - len(votes))


def _write(project: "Project", new: Sequence[Annotation], withdrawn: Sequence[Annotation]) -> None:
    """Append answers and take earlier ones back, in one transaction; each counts towards its question."""
    store = project.store
    with store.database.writing() as connection:
        for old in withdrawn:
            if old.row_id is not None:
                store.write_retraction(connection, old.row_id)
        for vote in new:
            store.write_answer(connection, vote)


def _raise_flags(project: "Project", flags: Iterable[tuple[str, str, str]]) -> None:
    known = {(flag.example_id, flag.person, flag.note) for flag in project.store.flags.open()}
    for id_, person, note in flags:
        if (id_, person, note) not in known:
            project.store.flags.add(id_, person=person, note=note)


def _collect(votes: dict[tuple[str, str], Annotation], given: Sequence[Annotation], origin: object) -> None:
    for vote in given:
        first = votes.setdefault((vote.example_id, vote.source), vote)
        if first.label != vote.label:
            raise DataError(
                f"{origin}: {vote.source!r} gives {vote.example_id!r} both {first.label!r} and {vote.label!r}; "
                "nothing was imported; keep one of them"
            )


def _compared(
    project: "Project", votes: Mapping[tuple[str, str], Annotation]
) -> tuple[list[Annotation], list[Annotation]]:
    """Return the votes that the project has not, and what the same people said before."""
    said: dict[tuple[str, str], list[Annotation]] = {}
    for old in project.store.annotations(ids=sorted({id_ for id_, _ in votes})):
        if old.kind.is_human:
            said.setdefault((old.example_id, old.source), []).append(old)
    new = [vote for key, vote in votes.items() if vote.label not in [old.label for old in said.get(key, ())]]
    return new, [old for vote in new for old in said.get((vote.example_id, vote.source), ())]


def _with_ids(
    project: "Project", records: Iterator[Record], origin: object
) -> Iterator[tuple[list[Record], list[str]]]:
    """Yield chunks of records with the project's ids of their texts."""
    while part := list(islice(records, _CHUNK)):
        candidates = [(record.id, text_id(record.text)) for record in part]
        found = project.store.find_ids([id_ for pair in candidates for id_ in pair if id_])
        ids = [next((found[id_] for id_ in pair if id_ in found), None) for pair in candidates]
        for record, id_ in zip(part, ids, strict=True):
            if id_ is None:
                raise DataError(
                    f"{origin}: the project has no text with the id {record.id!r}, nor one with the same wording; "
                    "nothing was imported; add the text first or correct the id"
                )
        yield part, [id_ for id_ in ids if id_ is not None]


def _annotation(answer: Answer, id_: str, annotator: str, origin: object) -> Annotation | None:
    """Return the vote of a person, or None for what is none."""
    is_person = answer.kind in (AnnotatorKind.HUMAN, AnnotatorKind.SIMULATED)
    is_bare_reject = answer.status == "submitted" and not answer.labels
    if not is_person or answer.status == "draft" or is_bare_reject:
        return None
    if answer.status == "submitted" and len(answer.labels) > 1:
        raise DataError(
            f"{origin}: {answer.annotator or annotator!r} gives {id_!r} several labels: {', '.join(answer.labels)}; "
            "a project has one label a text; nothing was imported; keep one of them"
        )
    return Annotation(
        id_,
        answer.labels[0] if answer.status == "submitted" else SKIP,
        answer.annotator or annotator,
        kind=AnnotatorKind(answer.kind),
        confidence=answer.confidence,
        duration_s=answer.seconds,
        is_suggestion_shown=bool(answer.seen_suggestion),
        form=answer.form,
        reason=answer.notes,
    )


def export_records(project: "Project", tool: str, target: Path | None = None) -> Path:
    """Write every text of the pool for a tool, with people's answers, and LLM answers as suggestions.

    Texts that wait for a blind answer (audits) go out without a suggestion.

    Parameters
    ----------
    target : path, optional
        Absent: in the project's folder ``exports``. For doccano, a name without suffix is a folder of members' files.

    Returns
    -------
    Path
        What was written.

    Raises
    ------
    ConfigError
        If the tool is unknown.
    """
    path = target or project.folder / "exports" / f"{_known(tool)}{_SUFFIXES[tool]}"
    writers: Mapping[str, Callable[[Iterable[Record], Path], None]] = {
        "argilla": argilla.write,
        "doccano": doccano.write if path.suffix else doccano.write_folder,
        "label_studio": label_studio.write,
        "prodigy": partial(prodigy.write, layout=prodigy.Layout(options=project.scheme.names)),
    }
    writers[_known(tool)](project_records(project), path)
    return path


def project_records(project: "Project", *, ids: Collection[str] | None = None) -> Iterator[Record]:
    """Yield the texts of the pool with people's answers, LLM answers as suggestions, and open flags.

    Texts that wait for a blind answer (audits) come without a suggestion.

    Parameters
    ----------
    ids : collection of str, optional
        Only these, in the order of the pool.
    """
    store = project.store
    blind = {question.example_id for question in store.pending() if question.is_blind}
    flags: dict[str, list[Flag]] = {}
    for flag in store.flags.open():
        flags.setdefault(flag.example_id, []).append(Flag(flag.person, flag.note))
    for examples in store.iter_examples(Split.POOL, chunk=_CHUNK):
        chosen = [example for example in examples if ids is None or example.id in ids]
        given: dict[str, list[Annotation]] = {}
        for annotation in store.annotations(ids=[example.id for example in chosen]):
            given.setdefault(annotation.example_id, []).append(annotation)
        for example in chosen:
            record = _record(example, given.get(example.id, ()), is_blind=example.id in blind)
            yield replace(record, flags=tuple(flags.get(example.id, ())))


def _record(example: Example, given: Sequence[Annotation], *, is_blind: bool) -> Record:
    said = [annotation for annotation in given if annotation.label is not None]
    proposed = [a for a in said if not a.kind.is_human and a.label not in (SKIP, NONE_OF_THESE)]
    return Record(
        example.id,
        example.text,
        example.meta,
        tuple(_answer(annotation) for annotation in said if annotation.kind.is_human),
        () if is_blind else tuple(Suggestion((str(a.label),), a.confidence, a.source) for a in proposed),
    )


def _answer(annotation: Annotation) -> Answer:
    is_skip = annotation.label == SKIP
    return Answer(
        annotation.source,
        str(annotation.kind),
        () if is_skip else (str(annotation.label),),
        status="skipped" if is_skip else "submitted",
        confidence=annotation.confidence,
        seconds=annotation.duration_s,
        seen_suggestion=annotation.is_suggestion_shown,
        notes=annotation.reason,
        form=annotation.form,
    )
