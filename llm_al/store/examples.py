"""Examples: dense ordinals, the user's ids, and the ids merged into an example."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, bindparam, func, insert, select, update

from llm_al.errors import DataError
from llm_al.store._batches import batches
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_keep
from llm_al.store.schema import aliases, examples
from llm_al.types import Example, Split

__all__ = ["Examples", "ordinals_by_id", "text_digest"]

_MERGED = "duplicate_ids"
"""Key of `Example.meta` under which the ids of merged texts stand."""

_ROWS: Select[Any] = select(
    examples.c.ordinal,
    examples.c.id,
    examples.c.text,
    examples.c.meta,
    examples.c.split,
    examples.c.duplicate_group,
)


def text_digest(text: str) -> bytes:
    """Return the SHA-256 of the UTF-8 text, 32 bytes; equal texts and no others share it.

    Raises
    ------
    DataError
        If the text holds half of a surrogate pair, which is no text.
    """
    try:
        return hashlib.sha256(text.encode()).digest()
    except UnicodeEncodeError as exc:
        raise DataError(f"a text holds an invalid character at position {exc.start}; decode its file again") from exc


def ordinals_by_id(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """Look ordinals up; an id that was merged into an example stands for it.

    Raises
    ------
    DataError
        If an id is unknown.
    """
    wanted = dict.fromkeys(ids)
    found: dict[str, int] = {}
    for batch in batches(wanted):
        for table in (examples, aliases):
            rows = connection.execute(select(table.c.id, table.c.ordinal).where(table.c.id.in_(batch)))
            found.update((id_, ordinal) for id_, ordinal in rows)
    if missing := [id_ for id_ in wanted if id_ not in found]:
        raise DataError(
            f"unknown example id {missing[0]!r} ({len(missing)} of {len(wanted)} ids are unknown); "
            "use the ids that the texts were added with"
        )
    return found


def _example(row: Row[Any]) -> Example:
    return Example(
        id=row.id,
        text=row.text,
        ordinal=row.ordinal,
        split=Split(row.split),
        group=row.duplicate_group,
        meta=json.loads(row.meta),
    )


def _values(example: Example, ordinal: int) -> dict[str, Any]:
    return {
        "ordinal": ordinal,
        "id": example.id,
        "text": example.text,
        "meta": json.dumps(dict(example.meta), ensure_ascii=False),
        "split": example.split.value,
        "duplicate_group": ordinal if example.group < 0 else example.group,
        "digest": text_digest(example.text),
    }


def _known_digests(connection: Connection, ids: Sequence[str]) -> dict[str, bytes]:
    known: dict[str, bytes] = {}
    for batch in batches(ids):
        known.update(connection.execute(select(examples.c.id, examples.c.digest).where(examples.c.id.in_(batch))).all())
        merged = select(aliases.c.id, examples.c.digest).join_from(aliases, examples).where(aliases.c.id.in_(batch))
        known.update(connection.execute(merged).all())
    return known


def _merged_ids(meta: str) -> list[str]:
    # Nearly no row has any; parsing every one of a million would show.
    if f'"{_MERGED}"' not in meta:
        return []
    # A user's own column may have this name and hold anything.
    ids = json.loads(meta).get(_MERGED)
    return [id_ for id_ in ids if isinstance(id_, str)] if isinstance(ids, list) else []


class Examples:
    """The `examples` and `aliases` tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, rows: Iterable[Example], *, chunk: int, is_atomic: bool) -> int:
        """Append what is new and return how many; see `SqlStore.add_examples`."""
        n_new = 0
        with self._database.writing() if is_atomic else nullcontext() as outer:
            for batch in batches(rows, chunk):
                with nullcontext(outer) if outer is not None else self._database.writing() as connection:
                    n_new += self._add_chunk(connection, batch)
        return n_new

    def _add_chunk(self, connection: Connection, batch: Sequence[Example]) -> int:
        digests = _known_digests(connection, [example.id for example in batch])
        first = self._next_ordinal(connection)
        new: list[dict[str, Any]] = []
        for example in batch:
            row = _values(example, first + len(new))
            if example.id not in digests:
                digests[example.id] = row["digest"]
                new.append(row)
            elif digests[example.id] != row["digest"]:
                raise DataError(
                    f"example id {example.id!r} is used for two different texts; an id names one text for good; "
                    "give the new text another id"
                )
        if new:
            connection.execute(insert(examples), new)
        if merged := [{"id": id_, "ordinal": row["ordinal"]} for row in new for id_ in _merged_ids(row["meta"])]:
            connection.execute(insert_or_keep(connection, aliases), merged)
        return len(new)

    def _next_ordinal(self, connection: Connection) -> int:
        last = connection.execute(select(func.max(examples.c.ordinal))).scalar()
        return 0 if last is None else last + 1

    def by_ordinal(self, ordinals: Sequence[int] | NDArray[np.int64]) -> list[Example]:
        """Return the examples of `ordinals`, in that order.

        Raises
        ------
        DataError
            If there is no such ordinal.
        """
        wanted = [int(ordinal) for ordinal in ordinals]
        found: dict[int, Example] = {}
        with self._database.reading() as connection:
            for batch in batches(dict.fromkeys(wanted)):
                rows = connection.execute(_ROWS.where(examples.c.ordinal.in_(batch)))
                found.update((row.ordinal, _example(row)) for row in rows)
        if missing := [ordinal for ordinal in wanted if ordinal not in found]:
            raise DataError(f"there is no example {missing[0]}; ordinals run from 0 to {self.count(None) - 1}")
        return [found[ordinal] for ordinal in wanted]

    def by_id(self, ids: Sequence[str]) -> list[Example]:
        """Return the examples that `ids` stand for, in that order."""
        return self.by_ordinal([int(ordinal) for ordinal in self.ordinals_of(ids)])

    def ordinals_of(self, ids: Sequence[str]) -> NDArray[np.int64]:
        """Return the ordinals that `ids` stand for, shape (n,)."""
        with self._database.reading() as connection:
            found = ordinals_by_id(connection, ids)
        return np.array([found[id_] for id_ in ids], dtype=np.int64)

    def stream(self, split: Split | None, *, chunk: int) -> Iterator[list[Example]]:
        """Yield lists of examples in ordinal order; no transaction stays open between them."""
        last = -1
        while True:
            query = _ROWS.where(examples.c.ordinal > last).order_by(examples.c.ordinal).limit(chunk)
            if split is not None:
                query = query.where(examples.c.split == split.value)
            with self._database.reading() as connection:
                batch = [_example(row) for row in connection.execute(query)]
            if not batch:
                return
            yield batch
            last = batch[-1].ordinal

    def count(self, split: Split | None) -> int:
        """Return the number of examples."""
        query = select(func.count()).select_from(examples)
        if split is not None:
            query = query.where(examples.c.split == split.value)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one()

    def numbers(self, split: Split | None, *, is_group: bool = False) -> NDArray[np.int64]:
        """Return ordinals, or near-duplicate groups, in ordinal order, shape (n,)."""
        column = examples.c.duplicate_group if is_group else examples.c.ordinal
        query = select(column).order_by(examples.c.ordinal)
        if split is not None:
            query = query.where(examples.c.split == split.value)
        with self._database.reading() as connection:
            return np.fromiter(connection.execute(query).scalars(), dtype=np.int64)

    def texts(self, ordinals: NDArray[np.int64]) -> list[str]:
        """Return the texts of existing ordinals, in that order; a dense run is read in one go."""
        if len(ordinals) == 0:
            return []
        query = select(examples.c.ordinal, examples.c.text)
        first, last = int(ordinals.min()), int(ordinals.max())
        found: dict[int, str] = {}
        with self._database.reading() as connection:
            if last - first < 2 * len(ordinals):
                found.update(connection.execute(query.where(examples.c.ordinal.between(first, last))).all())
            else:
                for batch in batches(ordinals.tolist()):
                    found.update(connection.execute(query.where(examples.c.ordinal.in_(batch))).all())
        return [found[ordinal] for ordinal in ordinals.tolist()]

    def set_groups(self, groups: Mapping[int, int]) -> None:
        """Overwrite the near-duplicate group of some ordinals."""
        statement = update(examples).where(examples.c.ordinal == bindparam("o")).values(duplicate_group=bindparam("g"))
        with self._database.writing() as connection:
            for batch in batches(groups.items(), 10_000):
                connection.execute(statement, [{"o": ordinal, "g": group} for ordinal, group in batch])

    def find_digests(self, digests: Iterable[bytes]) -> dict[bytes, str]:
        """Return the ids of examples whose `text_digest` is among `digests`."""
        found: dict[bytes, str] = {}
        with self._database.reading() as connection:
            for batch in batches(digests):
                query = select(examples.c.digest, examples.c.id).where(examples.c.digest.in_(batch))
                rows = connection.execute(query.order_by(examples.c.ordinal.desc()))
                found.update((bytes(digest), id_) for digest, id_ in rows)
        return found

    def add_aliases(self, merged: Iterable[tuple[str, str]]) -> None:
        """Record pairs of (merged id, id of the example it went into); a pair recorded before is left alone."""
        with self._database.writing() as connection:
            for batch in batches(merged):
                ordinals = ordinals_by_id(connection, [id_ for _, id_ in batch])
                rows = [{"id": alias, "ordinal": ordinals[id_]} for alias, id_ in batch]
                connection.execute(insert_or_keep(connection, aliases), rows)
                self._list_in_meta(connection, sorted(set(ordinals.values())))

    def _list_in_meta(self, connection: Connection, ordinals: Sequence[int]) -> None:
        query = select(aliases.c.ordinal, aliases.c.id).where(aliases.c.ordinal.in_(ordinals)).order_by(aliases.c.id)
        ids: dict[int, list[str]] = {}
        for ordinal, id_ in connection.execute(query):
            ids.setdefault(ordinal, []).append(id_)
        metas = connection.execute(select(examples.c.ordinal, examples.c.meta).where(examples.c.ordinal.in_(list(ids))))
        changed = [
            {"o": ordinal, "m": json.dumps({**json.loads(meta), _MERGED: ids[ordinal]}, ensure_ascii=False)}
            for ordinal, meta in metas
        ]
        statement = update(examples).where(examples.c.ordinal == bindparam("o")).values(meta=bindparam("m"))
        if changed:
            connection.execute(statement, changed)

    def aliases_of(self, example_id: str) -> list[str]:
        """Return the ids merged into an example, sorted."""
        with self._database.reading() as connection:
            ordinal = ordinals_by_id(connection, [example_id])[example_id]
            query = select(aliases.c.id).where(aliases.c.ordinal == ordinal).order_by(aliases.c.id)
            return list(connection.execute(query).scalars())

    def known_ids(self, ids: Iterable[str]) -> dict[str, str]:
        """Return, for those of `ids` that are known, the id of the example that each stands for."""
        known: dict[str, str] = {}
        merged = select(aliases.c.id, examples.c.id).join_from(aliases, examples)
        with self._database.reading() as connection:
            for batch in batches(ids):
                known.update(
                    (id_, id_)
                    for id_ in connection.execute(select(examples.c.id).where(examples.c.id.in_(batch))).scalars()
                )
                known.update(connection.execute(merged.where(aliases.c.id.in_(batch))).all())
        return known
