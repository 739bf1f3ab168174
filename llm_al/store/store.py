"""The one truth of a project: every table behind one object."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from llm_al.measures import RoundRecord, SpendingLine
from llm_al.store.annotations import AnnotationLog
from llm_al.store.assignments import Assignment, Assignments
from llm_al.store.database import Database
from llm_al.store.decisions import DecisionLog
from llm_al.store.examples import Examples
from llm_al.store.ledger import SqlLedger
from llm_al.store.migrations import migrate
from llm_al.store.rounds import Rounds, RoundState
from llm_al.store.texts import TextRows
from llm_al.types import Annotation, Decision, Example, Split

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
        self._assignments = Assignments(self.database)
        self._rounds = Rounds(self.database)
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
        candidates: Sequence[str] = (),
        is_blind: bool = False,
    ) -> int:
        """Ask people for labels and return how many questions are new.

        An example that waits already, or was asked in this round, is left alone. Higher `priority` is
        asked sooner; among equals the first queued.
        """
        return self._assignments.enqueue(
            example_ids, round=round, reason=reason, priority=priority, candidates=candidates, is_blind=is_blind
        )

    def pending(self) -> list[Assignment]:
        """Return the questions without an answer, leased or not, highest priority first."""
        return self._assignments.pending()

    def lease(
        self, annotator: str, *, n: int = 1, lease_s: float = 600.0, now: float | None = None
    ) -> list[Assignment]:
        """Give up to `n` questions to one person until ``now + lease_s``.

        What the person still holds comes first and is extended; nobody gets what another holds.
        `now` is in seconds since the epoch; None is the clock's.
        """
        return self._assignments.lease(annotator, n=n, lease_s=lease_s, now=time.time() if now is None else now)

    def complete(self, example_id: str) -> bool:
        """Take an example off the queue; False if it was not on it."""
        with self.database.writing() as connection:
            return self._assignments.complete(connection, example_id)

    def reopen(self, example_id: str) -> bool:
        """Put the last answered question of an example back on the queue; False if there is none."""
        with self.database.writing() as connection:
            return self._assignments.reopen(connection, example_id)

    def cancel(self, round: int) -> int:
        """Withdraw the questions of a round that still wait and return how many."""
        return self._assignments.cancel(round)

    def answer(self, annotation: Annotation) -> int:
        """Append a person's answer and take the example off the queue, together; return the row id."""
        with self.database.writing() as connection:
            (row_id,) = self._annotations.append(connection, [annotation])
            self._assignments.complete(connection, annotation.example_id)
        return row_id

    def take_back(self, row_id: int) -> Annotation:
        """Retract an answer and put its question back on the queue, together; return what was taken back."""
        with self.database.writing() as connection:
            taken = self._annotations.get(connection, row_id)
            retraction = Annotation(
                taken.example_id,
                None,
                taken.source,
                kind=taken.kind,
                model=taken.model,
                prompt=taken.prompt,
                round=taken.round,
                retracts=row_id,
            )
            self._annotations.append(connection, [retraction])
            self._assignments.reopen(connection, taken.example_id)
        return taken

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

    def round_records(self) -> list[RoundRecord]:
        """Return the records of finished rounds by number."""
        return self._rounds.records()
