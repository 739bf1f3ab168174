"""LLM calls: the cache of answers, the money ledger and the resume point in one."""

import time
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, func, select, update

from llm_al.errors import BudgetError, StoreError
from llm_al.store.database import Database
from llm_al.store.dialects import insert_or_replace
from llm_al.store.schema import ledger_totals, llm_calls
from llm_al.types import NANO_PER_USD, SpendingLine

__all__ = ["SqlLedger"]


class _State(StrEnum):
    RESERVED = "reserved"
    SETTLED = "settled"
    RELEASED = "released"


def _usd(nanousd: int) -> str:
    whole, rest = divmod(nanousd, NANO_PER_USD)
    return f"${whole}." + f"{rest:09d}".rstrip("0").ljust(2, "0")


class SqlLedger:
    """The `llm_calls` table; every method is one transaction, from any thread or process.

    A call is *reserved* at its highest possible price before it is sent, and then *settled* at its real
    price together with its answer, or *released* when it cost nothing. A process that is killed in
    between leaves a reservation open: it keeps counting against the cap, since the call may have been
    paid, until the same request is reserved again and settled.
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

    def reserve(
        self,
        request_hash: str,
        *,
        model: str,
        prompt: str,
        round: int,
        max_cost_nanousd: int,
        cap_nanousd: int | None,
    ) -> None:
        """Set money aside for one call, so that settled and reserved together never pass the cap.

        Reserving an open reservation again replaces it; it is not counted twice.

        Parameters
        ----------
        max_cost_nanousd : int
            Highest possible price of the call, at least 0.
        cap_nanousd : int or None
            Cap on all calls of the project; None is no cap.

        Raises
        ------
        BudgetError
            If the cap does not allow it; nothing is reserved.
        StoreError
            If the request is settled already; its answer is in `cached`.
        """
        with self._database.writing() as connection:
            totals = self._totals(connection)
            call = self._call(connection, request_hash)
            if call is not None and call.state == _State.SETTLED.value:
                raise StoreError(f"LLM call {request_hash} is paid already; read its answer with cached()")
            held = _held(call)
            if cap_nanousd is not None:
                _check_cap(totals, held=held, price=max_cost_nanousd, cap=cap_nanousd, model=model)
            row = {
                "request_hash": request_hash,
                "model": model,
                "prompt": prompt,
                "round": round,
                "state": _State.RESERVED.value,
                "reserved_nanousd": max_cost_nanousd,
                "cost_nanousd": 0,
                "n_tokens_in": 0,
                "n_tokens_out": 0,
                "reason": "",
                "changed_s": time.time(),
            }
            connection.execute(insert_or_replace(connection, llm_calls), row)
            self._move(connection, reserved=max_cost_nanousd - held)

    def settle(
        self, request_hash: str, *, response: str, n_tokens_in: int, n_tokens_out: int, cost_nanousd: int
    ) -> None:
        """Keep a paid answer and its real price; on disk when this returns.

        A call that was released is settled all the same: its answer came late, but it came. If two
        processes paid for one request, the first answer stays and both prices count.

        Raises
        ------
        StoreError
            If the call was never reserved.
        """
        with self._database.writing() as connection:
            self._totals(connection)
            call = self._call(connection, request_hash)
            if call is None:
                raise StoreError(f"LLM call {request_hash} was never reserved; reserve it before it is sent")
            changes = {
                "state": _State.SETTLED.value,
                "reserved_nanousd": 0,
                "cost_nanousd": call.cost_nanousd + cost_nanousd,
                "n_tokens_in": call.n_tokens_in + n_tokens_in,
                "n_tokens_out": call.n_tokens_out + n_tokens_out,
                "response": response if call.response is None else call.response,
                "reason": "",
            }
            self._change(connection, request_hash, changes)
            self._move(connection, settled=cost_nanousd, reserved=-_held(call))

    def release(self, request_hash: str, *, reason: str) -> None:
        """Give the money of a call back that cost nothing; without an open reservation nothing happens."""
        with self._database.writing() as connection:
            self._totals(connection)
            call = self._call(connection, request_hash)
            if call is None or call.state != _State.RESERVED.value:
                return
            changes = {"state": _State.RELEASED.value, "reserved_nanousd": 0, "reason": reason}
            self._change(connection, request_hash, changes)
            self._move(connection, reserved=-_held(call))

    def spent_nanousd(self) -> int:
        """Return what has been settled, plus what is reserved and still open."""
        with self._database.reading() as connection:
            query = select(ledger_totals.c.settled_nanousd + ledger_totals.c.reserved_nanousd)
            return int(connection.execute(query).scalar_one())

    def spending(self) -> list[SpendingLine]:
        """Return settled calls by model, prompt and round, in that order."""
        keys = (llm_calls.c.model, llm_calls.c.prompt, llm_calls.c.round)
        sums = [func.sum(llm_calls.c[name]) for name in ("n_tokens_in", "n_tokens_out", "cost_nanousd")]
        query = select(*keys, func.count(), *sums).where(llm_calls.c.state == _State.SETTLED.value)
        with self._database.reading() as connection:
            rows = connection.execute(query.group_by(*keys).order_by(*keys)).all()
        # PostgreSQL sums big integers to decimals.
        return [SpendingLine(model, prompt, round_, *(int(n) for n in rest)) for model, prompt, round_, *rest in rows]

    def _totals(self, connection: Connection) -> Row[Any]:
        # The lock on this one row puts reservations in line on a server; SQLite has one writer anyway.
        return connection.execute(select(ledger_totals).with_for_update()).one()

    def _call(self, connection: Connection, request_hash: str) -> Row[Any] | None:
        return connection.execute(select(llm_calls).where(llm_calls.c.request_hash == request_hash)).one_or_none()

    def _change(self, connection: Connection, request_hash: str, changes: dict[str, Any]) -> None:
        statement = update(llm_calls).where(llm_calls.c.request_hash == request_hash)
        connection.execute(statement.values(changed_s=time.time(), **changes))

    def _move(self, connection: Connection, *, settled: int = 0, reserved: int = 0) -> None:
        statement = update(ledger_totals).values(
            settled_nanousd=ledger_totals.c.settled_nanousd + settled,
            reserved_nanousd=ledger_totals.c.reserved_nanousd + reserved,
        )
        connection.execute(statement)


def _held(call: Row[Any] | None) -> int:
    return 0 if call is None else int(call.reserved_nanousd)


def _check_cap(totals: Row[Any], *, held: int, price: int, cap: int, model: str) -> None:
    settled, reserved = totals.settled_nanousd, totals.reserved_nanousd - held
    if settled + reserved + price <= cap:
        return
    raise BudgetError(
        f"the LLM cap of {_usd(cap)} does not allow one more call to {model!r}, which may cost {_usd(price)}: "
        f"{_usd(settled)} is spent and {_usd(reserved)} is reserved; raise budget.llm_usd, or go on without the LLM"
    )
