"""The one truth of a project: every table behind one object."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from llm_al.measures import AnswerTime, Check, RoundRecord, SpendingLine
from llm_al.phrasing import Phrasing
from llm_al.store.annotations import AnnotationLog
from llm_al.store.answer_times import AnswerTimes
from llm_al.store.assignments import Assignment, Assignments
from llm_al.store.database import Database
from llm_al.store.decisions import DecisionLog
from llm_al.store.examples import Examples, ordinals_by_id
from llm_al.store.ledger import SqlLedger
from llm_al.store.migrations import migrate
from llm_al.store.people import People
from llm_al.store.rounds import Rounds, RoundState
from llm_al.store.rulings import Flags, Rulings
from llm_al.store.texts import TextRows
from llm_al.store.tickets import Handed, Tickets
from llm_al.types import SKIP, Annotation, Decision, Example, Split

__all__ = ["SqlStore"]


class SqlStore:
    """A project's store on SQLite or PostgreSQL.

    Every method is a transaction of its own and may be called from any thread. An id that was merged
    into an example (see `add_aliases`) stands for that example wherever an id is taken.

    Parameters
    ----------
    location : str or Path
        A path, which becomes an SQLite file, or a database URL. Tables are made or migrated.

    Attributes
    ----------
    ledger : SqlLedger
        LLM calls and their money.
    database : Database
        The connection.
    assignments, tickets : Assignments, Tickets
        The human queue, and who holds what of it.
    rulings, flags : Rulings, Flags
        What reviewers settled, and what somebody wants to be looked at.
    people : People
        Who may come in.

    Raises
    ------
    StoreError
        If it cannot be opened, is no database, is newer than this program or is another program's.
    """

    def __init__(self, location: str | Path) -> None:
        self.database = Database(location)
        self.ledger = SqlLedger(self.database)
        self._examples = Examples(self.database)
        self._annotations = AnnotationLog(self.database)
        self._decisions = DecisionLog(self.database)
        self.assignments = Assignments(self.database)
        self._rounds = Rounds(self.database)
        self.tickets = Tickets()
        self.rulings = Rulings(self.database)
        self.flags = Flags(self.database)
        self.people = People(self.database)
        self._answer_times = AnswerTimes(self.database, self.rulings)
        try:
            migrate(self.database)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SqlStore({self.database.name!r})"

    def close(self) -> None:
        """Close every connection."""
        self.database.close()

    def add_examples(self, examples: Iterable[Example], *, chunk: int = 10_000, is_atomic: bool = False) -> int:
        """Append examples and return how many were new.

        Ordinals are given here, dense from 0 in order of insertion; `Example.ordinal` is not read. A
        `group` of -1 becomes the example's own ordinal. Ids under ``meta["duplicate_ids"]`` stand for the
        example from then on. An id that is known with the same text is left alone, so that an
        interrupted call can be made again.

        Parameters
        ----------
        examples : iterable of Example
            Read once, `chunk` at a time.
        chunk : int
            Examples in a transaction.
        is_atomic : bool
            One transaction for all: an error anywhere, also in the iterable, leaves nothing behind.

        Raises
        ------
        DataError
            If an id comes with two different texts.
        StorageFullError
            If the disk is full; the chunk at hand was not kept.
        """
        return self._examples.add(examples, chunk=chunk, is_atomic=is_atomic)

    def examples(self, ordinals: Sequence[int]) -> list[Example]:
        """Return examples in the order of `ordinals`; an unknown one is a `DataError`."""
        return self._examples.by_ordinal(ordinals)

    def examples_by_id(self, ids: Sequence[str]) -> list[Example]:
        """Return examples in the order of `ids`; an unknown one is a `DataError`."""
        return self._examples.by_id(ids)

    def iter_examples(self, split: Split | None = None, *, chunk: int = 10_000) -> Iterator[list[Example]]:
        """Yield lists of up to `chunk` examples in ordinal order."""
        return self._examples.stream(split, chunk=chunk)

    def n_examples(self, split: Split | None = None) -> int:
        """Return the number of examples; over all splits it is also the next ordinal."""
        return self._examples.count(split)

    def ordinals(self, split: Split | None = None) -> NDArray[np.int64]:
        """Return ordinals in ascending order, shape (n,)."""
        return self._examples.numbers(split)

    def ordinals_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the ordinals of `ids`, shape (n,); an unknown id is a `DataError`."""
        return self._examples.ordinals_of(ids)

    def groups(self, split: Split | None = None) -> NDArray[np.int64]:
        """Return near-duplicate groups in ordinal order, shape (n,)."""
        return self._examples.numbers(split, is_group=True)

    def set_groups(self, groups: Mapping[int, int]) -> None:
        """Overwrite the near-duplicate group of some ordinals, in one transaction."""
        self._examples.set_groups(groups)

    def texts(self, split: Split | None = None) -> TextRows:
        """Return the texts of a split as a lazy sequence in ordinal order, as they are at this moment."""
        return TextRows(self._examples, self._examples.numbers(split))

    def find_digests(self, digests: Iterable[bytes]) -> dict[bytes, str]:
        """Return ids of examples by the SHA-256 digest of their UTF-8 text, for digests that are known."""
        return self._examples.find_digests(digests)

    def find_ids(self, ids: Iterable[str]) -> dict[str, str]:
        """Return, for those of `ids` that are known, the id of the example that each stands for."""
        return self._examples.known_ids(ids)

    def add_aliases(self, merged: Iterable[tuple[str, str]]) -> None:
        """Record pairs of (merged id, id of the example with the same text); known pairs are left alone.

        The example lists its merged ids, sorted, under ``meta["duplicate_ids"]``.
        """
        self._examples.add_aliases(merged)

    def ids_merged_into(self, example_id: str) -> list[str]:
        """Return the ids merged into an example, sorted."""
        return self._examples.aliases_of(example_id)

    def add_annotations(self, annotations: Iterable[Annotation]) -> list[int]:
        """Append in one transaction and return row ids in order.

        Raises
        ------
        DataError
            If an example id is unknown.
        StoreError
            If `retracts` names anything but a standing row of the same example.
        """
        return self._annotations.add(annotations)

    def annotations(self, *, ids: Sequence[str] | None = None, round: int | None = None) -> list[Annotation]:
        """Return standing annotations in row order: neither retractions nor what they take back."""
        return self._annotations.standing(ids=ids, round=round)

    def annotation_history(self, example_id: str) -> list[Annotation]:
        """Return every annotation row of an example, with retractions and what they take back."""
        return self._annotations.history(example_id)

    def annotation(self, connection: Connection, row_id: int) -> Annotation:
        """Return one annotation row inside the caller's transaction."""
        return self._annotations.get(connection, row_id)

    def notes_of(self, row_ids: Sequence[int]) -> dict[int, str]:
        """Return what annotators noted (`Annotation.reason`), by row id."""
        return self._annotations.reasons(row_ids)

    def add_decisions(self, decisions: Iterable[Decision]) -> None:
        """Append in one transaction; a repeated (example, round, stage, outcome) keeps the first row."""
        self._decisions.add(decisions)

    def decisions(self, *, example_id: str | None = None, round: int | None = None) -> list[Decision]:
        """Return decisions in the order they were written."""
        return self._decisions.read(example_id=example_id, round=round)

    def enqueue(
        self,
        example_ids: Sequence[str],
        *,
        round: int,
        reason: str,
        priority: float = 0.0,
        is_blind: bool = False,
        n_wanted: int = 1,
        phrasing: Mapping[str, Phrasing] | None = None,
    ) -> int:
        """Ask people for labels and return how many questions are new.

        An example that waits already, or was asked in this round, is left alone. Higher `priority` is
        asked sooner; among equals the first queued. `n_wanted` people are to answer; `phrasing` says by
        example id how a question is put.
        """
        return self.assignments.enqueue(
            example_ids,
            round=round,
            reason=reason,
            priority=priority,
            is_blind=is_blind,
            n_wanted=n_wanted,
            phrasing=phrasing,
        )

    def pending(self) -> list[Assignment]:
        """Return the questions that still want answers, leased or not, highest priority first."""
        return self.assignments.read(is_waiting=True)

    def questions(self) -> list[Assignment]:
        """Return every question, whatever became of it."""
        return self.assignments.read()

    def lease(self, annotator: str, *, n: int = 1, lease_s: float = 600.0, now: float | None = None) -> list[Handed]:
        """Give up to `n` questions to one person until ``now + lease_s``.

        What the person still holds comes first and is extended; nobody gets what enough others hold, nor what
        they have answered or skipped before. `now` is in seconds since the epoch; None is the clock's.
        """
        now = time.time() if now is None else now
        until = now + lease_s
        with self.database.writing() as connection:
            held = [ticket.id for ticket in self.tickets.held(connection, annotator, now)][:n]
            self.tickets.renew(connection, annotator, held, expires_s=until, now=now)
            self.tickets.draw(connection, annotator, n=n - len(held), expires_s=until, now=now)
            return self.tickets.held(connection, annotator, now)[:n]

    def complete(self, example_id: str) -> bool:
        """Take an example off the queue; False if it was not on it."""
        with self.database.writing() as connection:
            return self.assignments.complete(connection, example_id)

    def reopen(self, example_id: str) -> bool:
        """Put the last answered question of an example back on the queue; False if there is none."""
        with self.database.writing() as connection:
            return self.assignments.reopen(connection, example_id)

    def cancel(self, round: int) -> int:
        """Withdraw the questions of a round that still wait and return how many."""
        return self.assignments.cancel(round)

    def answer(self, annotation: Annotation) -> int:
        """Append a person's answer and take the example off the queue, together; return the row id."""
        with self.database.writing() as connection:
            return self.write_answer(connection, annotation)

    def write_answer(
        self,
        connection: Connection,
        annotation: Annotation,
        *,
        ticket: Handed | None = None,
        max_skips: int = 1,
        now: float | None = None,
    ) -> int:
        """Append a person's answer and count it towards its question; return the row id.

        Parameters
        ----------
        ticket : Handed, optional
            Through which it came; None finds the waiting question of the example, if there is one.
        max_skips : int
            People who may skip a question before nobody is asked any more.
        """
        (row_id,) = self._annotations.append(connection, [annotation])
        now = time.time() if now is None else now
        assignment, number = (ticket.assignment, ticket.id) if ticket is not None else (None, None)
        if ticket is None:
            (ordinal,) = ordinals_by_id(connection, [annotation.example_id]).values()
            waiting = self.assignments.waiting(connection, ordinal)
            if waiting is not None:
                assignment = waiting.id
                number = self.tickets.settle_other(
                    connection, waiting.id, ordinal, annotator=annotation.source, now=now
                )
        if assignment is None or number is None:
            return row_id
        label, is_skip = annotation.label or SKIP, annotation.label in (None, SKIP)
        self.tickets.settle(connection, number, label=label, is_skip=is_skip, annotation=row_id, now=now)
        if self.tickets.is_closed(connection, assignment, max_skips):
            self.assignments.close(connection, assignment)
        return row_id

    def take_back(self, row_id: int) -> Annotation:
        """Retract an answer and put its question back on the queue, together; return what was taken back."""
        with self.database.writing() as connection:
            return self.write_retraction(connection, row_id)

    def write_retraction(
        self, connection: Connection, row_id: int, *, expires_s: float = 0.0, now: float | None = None
    ) -> Annotation:
        """Retract an answer; its question waits again, until `expires_s` for the person who had it."""
        taken = self._annotations.get(connection, row_id)
        retraction = replace(
            Annotation(taken.example_id, None, taken.source, kind=taken.kind, model=taken.model),
            prompt=taken.prompt,
            round=taken.round,
            retracts=row_id,
        )
        self._annotations.append(connection, [retraction])
        ticket = self.tickets.of_annotation(connection, row_id)
        if ticket is None:
            self.assignments.reopen(connection, taken.example_id)
        else:
            self.tickets.reopen(connection, ticket, expires_s=expires_s, now=time.time() if now is None else now)
        return taken

    def answer_times(self) -> list[AnswerTime]:
        """Return every standing answer of a person with what was asked, in row order."""
        return self._answer_times.read()

    def checks(self) -> list[Check]:
        """Return the answers to questions that checked a person, oldest first."""
        return self._answer_times.checks()

    def spending(self) -> list[SpendingLine]:
        """Return settled LLM calls by model, prompt and round."""
        return self.ledger.spending()

    def spent_nanousd(self) -> int:
        """Return what has been settled, plus what is reserved and still open."""
        return self.ledger.spent_nanousd()

    def begin_round(self, number: int, *, config_fingerprint: str, seed_state: Any) -> RoundState:
        """Begin a round, or return it as it stands (with its first seed) if it was begun before."""
        return self._rounds.begin(number, config_fingerprint=config_fingerprint, seed_state=seed_state)

    def reach(self, number: int, step: str) -> None:
        """Record that a step of a begun round is complete."""
        self._rounds.reach(number, step)

    def current_round(self) -> RoundState | None:
        """Return the last round if it is not finished."""
        return self._rounds.current()

    def note(self, number: int, key: str, value: Any) -> None:
        """Keep a JSON value (numbers, text, lists, mappings, arrays as lists) under a key of a begun round."""
        self._rounds.note(number, key, value)

    def read_note(self, number: int, key: str) -> Any | None:
        """Return what `note` kept, or None."""
        return self._rounds.read_note(number, key)

    def rounds(self) -> list[Mapping[str, Any]]:
        """Return every round by number: the fields of `RoundState` and `record`, as parsed JSON or None."""
        return self._rounds.rows()

    def finish_round(self, record: RoundRecord) -> None:
        """Keep the record and close the round."""
        self._rounds.finish(record)

    def n_rounds_finished(self) -> int:
        """Return the number of the last finished round, 0 before the first."""
        return self._rounds.n_finished()

    def round_records(self) -> list[RoundRecord]:
        """Return the records of finished rounds by number."""
        return self._rounds.records()
