"""The annotation log: rows are appended; an undo is a row that retracts."""

import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, exists, func, insert, select

from llm_al.errors import StoreError
from llm_al.store._batches import batches
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_keep
from llm_al.store.examples import ordinals_by_id
from llm_al.store.schema import annotations, annotators, examples
from llm_al.types import Annotation, AnnotatorKind

__all__ = ["IS_STANDING", "AnnotationLog"]

_later = annotations.alias("later")
_EVERYTHING = select(
    annotations,
    examples.c.id.label("example_id"),
    annotators.c.name,
    annotators.c.kind,
    annotators.c.model,
    annotators.c.prompt,
).select_from(annotations.join(examples).join(annotators))
# Not `is null`: SQLite would take the unique index of that column for the best way in and read every label there is.
IS_STANDING = and_(
    func.coalesce(annotations.c.retracts, 0) == 0,
    ~exists(select(_later.c.id).where(_later.c.retracts == annotations.c.id)),
)
_STANDING = _EVERYTHING.where(IS_STANDING)


def _annotator_key(annotation: Annotation) -> str:
    return json.dumps([annotation.source, annotation.kind.value, annotation.model, annotation.prompt])


def _annotation(row: Row[Any]) -> Annotation:
    return Annotation(
        example_id=row.example_id,
        label=row.label,
        source=row.name,
        kind=AnnotatorKind(row.kind),
        model=row.model,
        prompt=row.prompt,
        confidence=row.confidence,
        proba=None if row.proba is None else tuple(json.loads(row.proba)),
        signals={} if row.signals is None else json.loads(row.signals),
        round=row.round,
        request_hash=row.request_hash,
        n_tokens_in=row.n_tokens_in,
        n_tokens_out=row.n_tokens_out,
        cost_nanousd=row.cost_nanousd,
        duration_s=row.duration_s,
        is_suggestion_shown=row.is_suggestion_shown,
        form=row.form,
        reason=row.reason,
        retracts=row.retracts,
        row_id=row.id,
    )


def _values(annotation: Annotation, *, ordinal: int, annotator: int, created_s: float) -> dict[str, Any]:
    proba = annotation.proba
    return {
        "ordinal": ordinal,
        "annotator": annotator,
        "label": annotation.label,
        "confidence": None if annotation.confidence is None else float(annotation.confidence),
        "proba": None if proba is None else json.dumps([float(p) for p in proba]),
        "signals": json.dumps({str(k): float(v) for k, v in annotation.signals.items()})
        if annotation.signals
        else None,
        "round": annotation.round,
        "request_hash": annotation.request_hash,
        "n_tokens_in": annotation.n_tokens_in,
        "n_tokens_out": annotation.n_tokens_out,
        "cost_nanousd": annotation.cost_nanousd,
        "duration_s": annotation.duration_s,
        "is_suggestion_shown": annotation.is_suggestion_shown,
        "form": annotation.form,
        "reason": annotation.reason,
        "retracts": annotation.retracts,
        "created_s": created_s,
    }


class AnnotationLog:
    """The `annotations` and `annotators` tables.

    An annotator is one row for each (name, kind, model, prompt): when the model behind a name changes,
    older annotations keep saying which model gave them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Iterable[Annotation]) -> list[int]:
        """Append in one transaction and return row ids in order."""
        with self._database.writing() as connection:
            return self.append(connection, list(rows))

    def append(self, connection: Connection, rows: Sequence[Annotation]) -> list[int]:
        """Append inside the caller's transaction and return row ids in order."""
        if not rows:
            return []
        ordinals = ordinals_by_id(connection, (row.example_id for row in rows))
        by_key = self._annotator_ids(connection, rows)
        self._check_retractions(connection, rows, ordinals)
        now = time.time()
        values = [
            _values(row, ordinal=ordinals[row.example_id], annotator=by_key[_annotator_key(row)], created_s=now)
            for row in rows
        ]
        statement = insert(annotations).returning(annotations.c.id, sort_by_parameter_order=True)
        return list(connection.execute(statement, values).scalars())

    def _annotator_ids(self, connection: Connection, rows: Sequence[Annotation]) -> dict[str, int]:
        by_key = {_annotator_key(row): row for row in rows}
        values = [
            {"key": key, "name": row.source, "kind": row.kind.value, "model": row.model, "prompt": row.prompt}
            for key, row in by_key.items()
        ]
        connection.execute(insert_or_keep(connection, annotators), values)
        found: dict[str, int] = {}
        for batch in batches(by_key):
            query = select(annotators.c.key, annotators.c.id).where(annotators.c.key.in_(batch))
            found.update(connection.execute(query).all())
        return found

    def _check_retractions(self, connection: Connection, rows: Sequence[Annotation], ordinals: dict[str, int]) -> None:
        taken_back: set[int] = set()
        for row in rows:
            if row.retracts is None:
                continue
            query = select(annotations.c.ordinal).where(annotations.c.id == row.retracts, IS_STANDING)
            target = connection.execute(query).scalar_one_or_none()
            if target != ordinals[row.example_id] or row.retracts in taken_back:
                raise StoreError(
                    f"annotation row {row.retracts} cannot be taken back for example {row.example_id!r}: it is no "
                    "standing label of that example; take back a standing one; to restore a label, append it again"
                )
            taken_back.add(row.retracts)

    def standing(self, *, ids: Sequence[str] | None = None, round: int | None = None) -> list[Annotation]:
        """Return annotations in row order that neither retract nor are retracted."""
        query = _STANDING if round is None else _STANDING.where(annotations.c.round == round)
        with self._database.reading() as connection:
            if ids is None:
                return self._read(connection, query)
            ordinals = sorted(set(ordinals_by_id(connection, ids).values()))
            found = [
                annotation
                for batch in batches(ordinals)
                for annotation in self._read(connection, query.where(annotations.c.ordinal.in_(batch)))
            ]
        return sorted(found, key=lambda annotation: annotation.row_id or 0)

    def history(self, example_id: str) -> list[Annotation]:
        """Return every row of an example in row order, with retractions and what they take back."""
        with self._database.reading() as connection:
            ordinal = ordinals_by_id(connection, [example_id])[example_id]
            return self._read(connection, _EVERYTHING.where(annotations.c.ordinal == ordinal))

    def reasons(self, row_ids: Sequence[int]) -> dict[int, str]:
        """Return the reason or note of some rows by row id."""
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            for batch in batches(row_ids):
                query = select(annotations.c.id, annotations.c.reason).where(annotations.c.id.in_(batch))
                found.update(connection.execute(query).all())
        return found

    def get(self, connection: Connection, row_id: int) -> Annotation:
        """Return one row.

        Raises
        ------
        StoreError
            If there is no such row.
        """
        found = self._read(connection, _EVERYTHING.where(annotations.c.id == row_id))
        if not found:
            raise StoreError(f"there is no annotation row {row_id}; take a row id that the store gave out")
        return found[0]

    def _read(self, connection: Connection, query: Select[Any]) -> list[Annotation]:
        return [_annotation(row) for row in connection.execute(query.order_by(annotations.c.id))]
