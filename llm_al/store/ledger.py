"""LLM calls: the cache of answers, the money ledger and the resume point in one."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, case, func, or_, select, update
from sqlalchemy.sql.dml import Insert

from llm_al.errors import StoreError
from llm_al.measures import SpendingLine
from llm_al.money import Entry, PastCall, Release, Reservation, Settlement, Verdict
from llm_al.store._batches import batches
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_replace
from llm_al.store.schema import ledger_totals, llm_calls, llm_facts
from llm_al.types import NANO_PER_USD

__all__ = ["SqlLedger"]


class _State(StrEnum):
    RESERVED = "reserved"
    SETTLED = "settled"
    RELEASED = "released"


def _usd(nanousd: int) -> str:
    whole, rest = divmod(nanousd, NANO_PER_USD)
    return f"${whole}." + f"{rest:09d}".rstrip("0").ljust(2, "0")


@dataclass(frozen=True, slots=True)
class _Call:
    """One row of `llm_calls`, without its response."""

    request_hash: str
    model: str
    prompt: str
    round: int
    state: str = _State.RELEASED
    reserved_nanousd: int = 0
    cost_nanousd: int = 0
    lost_nanousd: int = 0
    n_tokens_in: int = 0
    n_tokens_out: int = 0
    reason: str = ""
    n_bytes: int = 0
    n_messages: int = 0
    duration_s: float | None = None


# Built once: at hundreds of calls a second, building a statement would cost more than running it.
# The lock on the one row of totals puts writers in line on a server; SQLite has one writer anyway.
_READ_TOTALS = select(ledger_totals.c.settled_nanousd, ledger_totals.c.reserved_nanousd).with_for_update()
_WRITE_TOTALS = update(ledger_totals).values(
    settled_nanousd=bindparam("settled"), reserved_nanousd=bindparam("reserved")
)
_IS_AMONG_KEYS = llm_calls.c.request_hash.in_(bindparam("keys", expanding=True))
_READ_CALLS = select(*(llm_calls.c[name] for name in _Call.__slots__)).where(_IS_AMONG_KEYS)
_READ_ANSWERS = select(llm_calls.c.request_hash, llm_calls.c.response).where(_IS_AMONG_KEYS)
_WRITE_ANSWER = (
    update(llm_calls)
    .where(llm_calls.c.request_hash == bindparam("b_request_hash"))
    .values(
        {
            **{name: bindparam(f"b_{name}") for name in (*_Call.__slots__[1:], "changed_s")},
            # The first answer of a call stays.
            "response": func.coalesce(llm_calls.c.response, bindparam("b_response")),
        }
    )
)


@lru_cache(maxsize=2)
def _write_call(dialect: str) -> Insert:
    """Return the statement that writes a call and leaves its response alone."""
    return insert_or_replace(dialect, llm_calls, kept=("response",))


class SqlLedger:
    """The `llm_calls` table; every method is one transaction, from any thread or process.

    A call is *reserved* at its highest possible price before it is sent, and then *settled* at its real
    price together with its answer, or *released* when it cost nothing. A reservation that is left open,
    by a killed process or a try whose answer never arrived, keeps counting, since it may have been paid:
    when the same request is reserved again it is booked as *lost* at its maximum. Where the server turns
    out to charge repeated requests once, the lost amount is given back.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def cached(self, request_hash: str) -> str | None:
        """Return the paid answer of a request, or None."""
        query = select(llm_calls.c.response).where(
            llm_calls.c.request_hash == request_hash, llm_calls.c.state == _State.SETTLED.value
        )
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none()

    def post(self, entries: Sequence[Entry], *, cap_nanousd: int | None = None) -> list[Verdict]:
        """Book entries in their order, in one transaction; see `money.Ledger`.

        An answer that comes after its release is settled all the same. If two processes paid for one
        request, the first answer stays and both prices count.

        Raises
        ------
        StoreError
            If a call is settled that was never reserved; then nothing is booked.
        """
        if not entries:
            return []
        with self._database.writing() as connection:
            page = _Page.read(connection, entries)
            verdicts = [verdict for entry in entries if (verdict := page.book(entry, cap_nanousd)) is not None]
            page.write(connection)
        return verdicts

    def spent_nanousd(self) -> int:
        """Return what has been settled or lost, plus what is reserved and still open."""
        with self._database.reading() as connection:
            query = select(ledger_totals.c.settled_nanousd + ledger_totals.c.reserved_nanousd)
            return int(connection.execute(query).scalar_one())

    def spending(self) -> list[SpendingLine]:
        """Return money by model, prompt and round, in that order; the sum is `spent_nanousd`.

        Calls and tokens are those that were answered; lost and open calls count with their highest price.
        """
        keys = (llm_calls.c.model, llm_calls.c.prompt, llm_calls.c.round)
        amount = llm_calls.c.cost_nanousd + llm_calls.c.lost_nanousd + llm_calls.c.reserved_nanousd
        is_answered = case((llm_calls.c.state == _State.SETTLED.value, 1), else_=0)
        counted = (is_answered, llm_calls.c.n_tokens_in, llm_calls.c.n_tokens_out, amount)
        query = select(*keys, *map(func.sum, counted)).where(or_(is_answered == 1, amount > 0))
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(*keys).order_by(*keys)).all()
        # PostgreSQL sums big integers to decimals.
        return [SpendingLine(model, prompt, round_, *(int(n) for n in rest)) for model, prompt, round_, *rest in rows]

    def history(self, model: str, prompt: str, *, limit: int = 1_000) -> list[PastCall]:
        """Return the latest answered calls of a prompt whose size is known, newest first."""
        names = ("n_bytes", "n_messages", "n_tokens_in", "n_tokens_out", "duration_s")
        query = select(*(llm_calls.c[name] for name in names)).where(
            llm_calls.c.model == model,
            llm_calls.c.prompt == prompt,
            llm_calls.c.state == _State.SETTLED.value,
            llm_calls.c.n_bytes > 0,
        )
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(llm_calls.c.changed_s.desc()).limit(limit)).all()
        return [PastCall(*row) for row in rows]

    def recall(self, key: str) -> str | None:
        """Return what was remembered under a key; None if nothing was."""
        with self._database.reading() as connection:
            return connection.execute(select(llm_facts.c.value).where(llm_facts.c.key == key)).scalar_one_or_none()

    def remember(self, key: str, value: str) -> None:
        """Keep a value, in place of an older one."""
        with self._database.writing() as connection:
            connection.execute(insert_or_replace(connection.dialect.name, llm_facts), {"key": key, "value": value})


class _Page:
    """The rows and totals that some entries touch, inside one transaction."""

    def __init__(self, calls: dict[str, _Call], responses: dict[str, str], settled: int, reserved: int) -> None:
        self._calls = calls
        self._stored = frozenset(calls)
        self._responses = responses
        self._settled = settled
        self._reserved = reserved
        self._before = (settled, reserved)
        self._changed: dict[str, str | None] = {}
        """Request hash -> response to write; None keeps what is there."""

    @classmethod
    def read(cls, connection: Connection, entries: Iterable[Entry]) -> "_Page":
        settled, reserved = connection.execute(_READ_TOTALS).one()
        calls: dict[str, _Call] = {}
        for batch in batches({entry.request_hash for entry in entries}):
            calls |= {row[0]: _Call(*row) for row in connection.execute(_READ_CALLS, {"keys": batch})}
        wanted = [entry.request_hash for entry in entries if isinstance(entry, Reservation)]
        paid = [key for key in wanted if key in calls and calls[key].state == _State.SETTLED]
        responses: dict[str, str] = {}
        for batch in batches(paid):
            responses |= {row[0]: row[1] for row in connection.execute(_READ_ANSWERS, {"keys": batch})}
        return cls(calls, responses, settled, reserved)

    def book(self, entry: Entry, cap_nanousd: int | None) -> Verdict | None:
        if isinstance(entry, Reservation):
            return self._reserve(entry, cap_nanousd)
        self._settle(entry) if isinstance(entry, Settlement) else self._release(entry)
        return None

    def write(self, connection: Connection) -> None:
        now = time.time()
        rows = [_row(self._calls[key], response, now) for key, response in self._changed.items()]
        if new := [row for row in rows if row["response"] is None or row["request_hash"] not in self._stored]:
            connection.execute(_write_call(connection.dialect.name), new)
        if answered := [row for row in rows if row["response"] is not None]:
            connection.execute(_WRITE_ANSWER, [{f"b_{name}": value for name, value in row.items()} for row in answered])
        if (self._settled, self._reserved) != self._before:
            connection.execute(_WRITE_TOTALS, {"settled": self._settled, "reserved": self._reserved})

    def _reserve(self, entry: Reservation, cap: int | None) -> Verdict:
        key, price = entry.request_hash, entry.max_cost_nanousd
        call = self._calls.get(key) or _Call(key, entry.model, entry.prompt, entry.round)
        if call.state == _State.SETTLED:
            return Verdict(self._responses[key])
        if cap is not None and self._settled + self._reserved + price > cap:
            return Verdict(refusal=self._refusal(entry, cap))
        lost = call.lost_nanousd + call.reserved_nanousd
        opened = replace(call, state=_State.RESERVED, reserved_nanousd=price, lost_nanousd=lost, reason="")
        opened = replace(opened, n_bytes=entry.n_bytes, n_messages=entry.n_messages)
        self._put(replace(opened, model=entry.model, prompt=entry.prompt, round=entry.round))
        return Verdict()

    def _settle(self, entry: Settlement) -> None:
        call = self._calls.get(entry.request_hash)
        if call is None:
            raise StoreError(f"LLM call {entry.request_hash} was never reserved; reserve it before it is sent")
        paid = replace(
            call,
            state=_State.SETTLED,
            reserved_nanousd=0,
            cost_nanousd=call.cost_nanousd + entry.cost_nanousd,
            lost_nanousd=0 if entry.is_idempotent else call.lost_nanousd,
            n_tokens_in=call.n_tokens_in + entry.n_tokens_in,
            n_tokens_out=call.n_tokens_out + entry.n_tokens_out,
            reason="",
            duration_s=entry.duration_s,
        )
        self._put(paid, self._responses.setdefault(entry.request_hash, entry.response))

    def _release(self, entry: Release) -> None:
        call = self._calls.get(entry.request_hash)
        if call is not None and call.state == _State.RESERVED:
            self._put(replace(call, state=_State.RELEASED, reserved_nanousd=0, reason=entry.reason))

    def _put(self, call: _Call, response: str | None = None) -> None:
        before = self._calls.get(call.request_hash)
        self._settled += _booked(call) - (_booked(before) if before else 0)
        self._reserved += call.reserved_nanousd - (before.reserved_nanousd if before else 0)
        self._calls[call.request_hash] = call
        self._changed[call.request_hash] = response if response is not None else self._changed.get(call.request_hash)

    def _refusal(self, entry: Reservation, cap: int) -> str:
        return (
            f"the LLM cap of {_usd(cap)} does not allow one more call to {entry.model!r}, which may cost "
            f"{_usd(entry.max_cost_nanousd)}: {_usd(self._settled)} is spent and {_usd(self._reserved)} is reserved; "
            "raise budget.llm_usd, or go on without the LLM"
        )


def _booked(call: _Call) -> int:
    return call.cost_nanousd + call.lost_nanousd


def _row(call: _Call, response: str | None, changed_s: float) -> dict[str, Any]:
    values = {name: getattr(call, name) for name in _Call.__slots__}
    return {**values, "state": str(call.state), "response": response, "changed_s": changed_s}
