"""Answers of people on their way into the store: typed, given one by one, or from a file."""

from dataclasses import replace
from pathlib import Path

from llm_al.annotators.terminal import Terminal, Undo
from llm_al.formats.annotations import read_annotations
from llm_al.phrasing import Form
from llm_al.store.store import SqlStore
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, LabelScheme

__all__ = ["ask_in_terminal", "import_answers", "person_name", "record_answer"]

_LEASE_S = 3600.0


def person_name(person: str) -> str:
    """Return the name under which a person's answers stand in the store.

    Examples
    --------
    >>> person_name("ann")
    'human:ann'
    """
    return f"human:{person}"


def ask_in_terminal(store: SqlStore, scheme: LabelScheme, annotator: str, *, limit: int | None) -> int:
    """Ask one person about waiting texts; return how many answers stand at the end."""
    name = person_name(annotator)
    leased = store.lease(name, n=limit or max(len(store.pending()), 1), lease_s=_LEASE_S)
    rounds = {question.example_id: question.round for question in leased}
    examples = store.examples_by_id([question.example_id for question in leased])
    rows: dict[str, int] = {}
    for event in Terminal(scheme, name=name).answers(examples):
        if isinstance(event, Undo):
            store.take_back(rows.pop(event.example_id))
            continue
        answer = event.annotation
        rows[answer.example_id] = store.answer(replace(answer, round=rounds[answer.example_id], form=Form.LIST))
    return len(rows)


def record_answer(
    store: SqlStore, scheme: LabelScheme, answer: tuple[str, str], *, annotator: str, is_suggestion_shown: bool
) -> int:
    """Append one answer, an (example id, label) pair, in the round that is under way; return its row id."""
    example_id, label = answer
    if label not in (NONE_OF_THESE, SKIP):
        scheme.index(label)
    state = store.current_round()
    return store.answer(
        Annotation(
            example_id,
            label,
            annotator,
            kind=AnnotatorKind.HUMAN,
            round=state.number if state else 0,
            is_suggestion_shown=is_suggestion_shown,
        )
    )


def import_answers(store: SqlStore, scheme: LabelScheme, path: Path, *, annotator: str, is_gold: bool = False) -> int:
    """Take a file of ids and labels, all or nothing; return how many there were.

    Parameters
    ----------
    is_gold : bool
        The labels are settled, and people may be checked with them.
    """
    given = read_annotations(path, scheme, known_ids=lambda ids: set(store.find_ids(ids)))
    rows = [Annotation(row.id, row.label, row.annotator or annotator, kind=AnnotatorKind.HUMAN) for row in given]
    with store.database.writing() as connection:
        for row in rows:
            store.write_answer(connection, row)
            if is_gold and row.label not in (None, SKIP):
                store.rulings.append(
                    connection, row.example_id, row.label, person=row.source, note="imported", is_gold=True
                )
    return len(rows)
