"""What reviewers settled, and what somebody wants to be looked at."""

import time
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from llm_al.store.database import Database
from llm_al.store.examples import ordinals_by_id
from llm_al.store.schema import examples, flags, rulings

__all__ = ["Flag", "Flags", "Ruling", "Rulings"]


@dataclass(frozen=True, slots=True)
class Ruling:
    """A label that a reviewer settled.

    Parameters
    ----------
    label : str
        Of the scheme, or `NONE_OF_THESE`.
    is_gold : bool
        Whether people may be checked with it.
    created_s : float
        Seconds since the epoch.
    """

    example_id: str
    label: str
    person: str
    note: str
    is_gold: bool
    created_s: float


class Rulings:
    """The `rulings` table: rows are appended, the newest of an example holds, one without a label withdraws it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, example_id: str, label: str | None, *, person: str, note: str = "", is_gold: bool = False) -> int:
        """Append one ruling and return its row id; a label of None withdraws what was ruled."""
        with self._database.writing() as connection:
            return self.append(connection, example_id, label, person=person, note=note, is_gold=is_gold)

    def append(
        self, connection: Connection, example_id: str, label: str | None, *, person: str, note: str, is_gold: bool
    ) -> int:
        """Append inside the caller's transaction; see `add`."""
        ordinal = ordinals_by_id(connection, [example_id])[example_id]
        values = {"ordinal": ordinal, "label": label, "person": person, "note": note, "is_gold": is_gold}
        statement = insert(rulings).values(**values, created_s=time.time()).returning(rulings.c.id)
        return int(connection.execute(statement).scalar_one())

    def standing(self) -> dict[str, Ruling]:
        """Return the rulings that hold, by example id."""
        newest = select(func.max(rulings.c.id)).group_by(rulings.c.ordinal)
        query = (
            select(rulings, examples.c.id.label("example_id"))
            .select_from(rulings.join(examples))
            .where(rulings.c.id.in_(newest), rulings.c.label.is_not(None))
            .order_by(rulings.c.id)
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return {
            row.example_id: Ruling(row.example_id, row.label, row.person, row.note, row.is_gold, row.created_s)
            for row in rows
        }


@dataclass(frozen=True, slots=True)
class Flag:
    """A text that somebody wants to be looked at."""

    example_id: str
    person: str
    note: str
    created_s: float
    row_id: int


class Flags:
    """The `flags` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, example_id: str, *, person: str, note: str = "") -> int:
        """Raise a flag and return its row id."""
        with self._database.writing() as connection:
            ordinal = ordinals_by_id(connection, [example_id])[example_id]
            values = {"ordinal": ordinal, "person": person, "note": note, "created_s": time.time()}
            return int(connection.execute(insert(flags).values(**values).returning(flags.c.id)).scalar_one())

    def open(self) -> list[Flag]:
        """Return the flags that nobody has settled, oldest first."""
        query = select(flags, examples.c.id.label("example_id")).select_from(flags.join(examples))
        with self._database.reading() as connection:
            rows = connection.execute(query.where(flags.c.settled_s.is_(None)).order_by(flags.c.id)).all()
        return [Flag(row.example_id, row.person, row.note, row.created_s, row.id) for row in rows]

    def settle(self, example_id: str, *, by: str) -> int:
        """Settle every open flag of an example and return how many there were."""
        with self._database.writing() as connection:
            ordinal = ordinals_by_id(connection, [example_id])[example_id]
            statement = update(flags).where(flags.c.ordinal == ordinal, flags.c.settled_s.is_(None))
            return connection.execute(statement.values(settled_by=by, settled_s=time.time())).rowcount
