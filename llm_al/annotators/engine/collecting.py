"""What became of batches: answers into the ledger, failures into the next batch."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from llm_al.annotators.engine.answers import mark_price, open_envelope
from llm_al.annotators.engine.batch_log import BatchLog, OpenBatch
from llm_al.annotators.engine.batch_server import BatchServer, BatchState, GoneError
from llm_al.annotators.engine.dialects import Dialect, weaker
from llm_al.annotators.engine.engine import Engine
from llm_al.annotators.engine.failures import BadRequestError, TextRefusedError, from_response
from llm_al.annotators.engine.staging import release
from llm_al.annotators.engine.wire import Received
from llm_al.errors import ProviderError, RequestError
from llm_al.money import Settlement

__all__ = ["Collector"]

_PAGE = 200
"""Answers booked in one transaction."""


class _Rules(Protocol):
    @property
    def price_factor(self) -> float: ...
    @property
    def max_tries(self) -> int: ...
    @property
    def grace_s(self) -> float: ...
    @property
    def clock(self) -> Any: ...


@dataclass
class _Tally:
    """What a finished batch brought for its requests."""

    max_costs: Mapping[str, int]
    open: set[str]
    failed: dict[str, ProviderError | str] = field(default_factory=dict)
    unusable: set[str] = field(default_factory=set)
    """Answered, and perhaps paid for, but no completion."""


class Collector:
    """Goes through the open batches of one server and model once."""

    def __init__(self, engine: Engine, rules: _Rules, log: BatchLog, server: BatchServer) -> None:
        self._engine = engine
        self._rules = rules
        self._log = log
        self._server = server

    async def collect(self) -> None:
        """Book what is finished, and leave the rest in the log.

        Raises
        ------
        ProviderError
            If the server cannot be asked; nothing is lost.
        """
        for batch in list(self._log.open):
            named = batch if batch.id is not None else await self._trace(batch)
            if named is None or named.id is None:
                continue
            try:
                state = await self._server.look(named.id)
                if state.is_over:
                    await self._book(named, state)
            except GoneError as exc:
                # It may have been paid: its reservations stay, and are booked as lost when it is asked again.
                self._end(named, self._tally(named), f"the server no longer knows the batch: {exc}", set())

    async def _trace(self, batch: OpenBatch) -> OpenBatch | None:
        """Find out whether a batch was made before its id could be written down."""
        is_certain = True
        if batch.is_sent:
            try:
                found = await self._server.find(batch.tag)
            except RequestError:
                # A server without a list of batches: it may have been made and paid, so its money stays booked.
                found, is_certain = None, False
            if found is not None:
                return self._log.name(batch, found)
            if self._rules.clock() - batch.at_s < self._rules.grace_s:
                return None
        if is_certain:
            release(self._engine.ledger, list(self._log.max_costs(batch)), "its batch was never made")
        self._log.end(batch)
        return None

    def _tally(self, batch: OpenBatch) -> _Tally:
        max_costs = self._log.max_costs(batch)
        return _Tally(max_costs, set(max_costs))

    async def _book(self, batch: OpenBatch, state: BatchState) -> None:
        tally = self._tally(batch)
        for file_id in filter(None, (state.output_file, state.error_file)):
            page: list[Settlement] = []
            async for row in self._server.lines(file_id):
                page += self._read(row, tally)
                if len(page) >= _PAGE:
                    self._engine.ledger.post(page)
                    page = []
            self._engine.ledger.post(page)
        release(self._engine.ledger, [*tally.failed, *tally.open], f"batch {batch.id}: no answer")
        reason = f"batch {batch.id} ended as {state.status!r} without an answer"
        learnt = self._learn(batch, tally)
        self._end(batch, tally, f"{reason}: {state.problem}" if state.problem else reason, learnt)

    def _read(self, row: Mapping[str, Any], tally: _Tally) -> Iterator[Settlement]:
        """Yield the settlement of one line, or keep why there is none; passes over what was not asked for."""
        name, response = row.get("custom_id"), row.get("response")
        if not isinstance(name, str) or name not in tally.open:
            return
        tally.open.discard(name)
        # Another process may have booked it before it was killed.
        if self._engine.ledger.cached(name) is not None:
            return
        if not isinstance(response, dict) or response.get("status_code") != 200:
            tally.failed[name] = self._failure(row, response)
            return
        body = response.get("body")
        stored = mark_price(body, self._rules.price_factor) if isinstance(body, dict) else ""
        envelope = open_envelope(stored)
        if envelope.problem:
            tally.unusable.add(name)
            return
        n_in, n_out, factor = envelope.n_tokens_in, envelope.n_tokens_out, self._rules.price_factor
        cost = tally.max_costs[name]
        if n_in is not None and n_out is not None:
            cost = self._engine.price.cost_nanousd(n_in, n_out, n_cached=envelope.n_tokens_cached, factor=factor)
        yield Settlement(name, stored, n_in or 0, n_out or 0, cost)

    def _failure(self, row: Mapping[str, Any], response: object) -> ProviderError | str:
        if isinstance(response, dict) and isinstance(response.get("status_code"), int):
            body = json.dumps(response.get("body")).encode()
            return from_response(Received(response["status_code"], {}, body), self._engine.endpoint)
        error = row.get("error")
        said = error.get("message") or error.get("code") if isinstance(error, dict) else None
        return f"the batch gave no answer: {said or 'no reason given'}"

    def _learn(self, batch: OpenBatch, tally: _Tally) -> set[str]:
        """Leave out what the server does not support; return the requests that failed for it alone."""
        written, learnt = Dialect.from_text(batch.dialect), set()
        session = self._engine.session
        for name, failure in tally.failed.items():
            if written is None or not isinstance(failure, BadRequestError):
                continue
            if (next_dialect := weaker(written, failure.complaint)) is not None:
                learnt.add(name)
                if session.dialect == written:
                    session.dialect = next_dialect
                    session.keep(self._engine.endpoint, self._engine.ledger)
        return learnt

    def _end(self, batch: OpenBatch, tally: _Tally, reason: str, learnt: set[str]) -> None:
        failures = {
            **dict.fromkeys(tally.open, reason),
            **dict.fromkeys(tally.unusable, "the response is no completion"),
        }
        for name, failure in {**failures, **tally.failed}.items():
            if name not in learnt:
                n_before = self._log.tries.get(name, (0, ""))[0]
                n_tries = self._rules.max_tries if isinstance(failure, TextRefusedError) else n_before + 1
                self._log.tries[name] = (n_tries, str(failure))
        self._log.end(batch)
