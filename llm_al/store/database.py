"""The connection: opens SQLite or PostgreSQL, begins transactions and explains what went wrong."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from llm_al.errors import MissingExtraError, StoreError
from llm_al.store.dialects import prepare_sqlite
from llm_al.store.files import storage_full

__all__ = ["Database"]

_POSTGRES_DISK_FULL = "53100"


def _as_url(location: str | Path) -> URL:
    if isinstance(location, Path) or "://" not in location:
        return URL.create("sqlite", database=str(location))
    try:
        url = make_url(location)
    except ArgumentError as exc:
        raise StoreError(
            "the store's database URL cannot be read; use a path or postgresql://user@server/database"
        ) from exc
    if url.get_backend_name() in {"postgresql", "postgres"}:
        return url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() != "sqlite":
        raise StoreError(
            f"the store cannot use a {url.get_backend_name()!r} database; "
            "use a path, sqlite:///path or postgresql://user@server/database"
        )
    return url


def _connect(url: URL) -> Engine:
    try:
        return create_engine(url)
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            'a PostgreSQL store needs an extra package; install it with: pip install "llm_al[postgres]"'
        ) from exc


class Database:
    """A project's database, ready for transactions from any thread.

    Parameters
    ----------
    location : str or Path
        A path (SQLite, made when absent) or a URL.

    Raises
    ------
    StoreError
        If the URL is unreadable, of another database, or names a database in memory.
    MissingExtraError
        If PostgreSQL is asked for and psycopg is not installed.
    """

    def __init__(self, location: str | Path) -> None:
        url = _as_url(location)
        self.is_sqlite = url.get_backend_name() == "sqlite"
        if self.is_sqlite and (not url.database or ":memory:" in url.database):
            raise StoreError("the store cannot live in memory, every thread would see its own; give it a file")
        self.name = url.database or "" if self.is_sqlite else url.render_as_string(hide_password=True)
        self.engine = _connect(url)
        if self.is_sqlite:
            prepare_sqlite(self.engine)
        self._writer = self.engine.execution_options(is_writing=True)
        # SQLite makes writers wait in growing naps; threads of one process queue up here instead, in turn.
        self._turn = threading.Lock() if self.is_sqlite else nullcontext()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Run a block on one consistent view of the data."""
        with self._explaining(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Run a block as one transaction: all of it is kept, or none."""
        with self._explaining(), self._turn, self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection; the database can be used again and reconnects."""
        self.engine.dispose()

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as exc:
            raise self._translate(exc) from exc

    def _translate(self, error: DBAPIError) -> StoreError:
        problem = str(error.orig)
        if "disk is full" in problem or getattr(error.orig, "sqlstate", None) == _POSTGRES_DISK_FULL:
            return storage_full(Path(self.name).parent if self.is_sqlite else Path(self.name))
        if "not a database" in problem or "malformed" in problem:
            return StoreError(f"{self.name} is not a database, or is corrupt ({problem}); restore it from a backup")
        if "unable to open" in problem:
            return StoreError(f"{self.name} cannot be opened; check that its folder exists and may be written to")
        if "is locked" in problem:
            return StoreError(f"{self.name} is being written to by another process; try again when it is done")
        return StoreError(f"{self.name} refused: {problem}")
