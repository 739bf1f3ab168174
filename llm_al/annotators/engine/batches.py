"""Questions in, answers out within a day at half the price: the Batch API under the same cache and the same cap."""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TypeVar

from llm_al.annotators.engine.answers import Answer
from llm_al.annotators.engine.batch_log import BatchLog
from llm_al.annotators.engine.batch_server import BatchServer
from llm_al.annotators.engine.cashier import CapReachedError, cap_too_low
from llm_al.annotators.engine.collecting import Collector
from llm_al.annotators.engine.engine import Ask, Engine, NotAnsweredError
from llm_al.annotators.engine.prices import BATCH_PRICE_FACTOR
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.staging import Staged
from llm_al.annotators.engine.workers import run_blocking
from llm_al.errors import ConfigError

__all__ = ["AnswerWaitsError", "Batches", "Batching"]

J = TypeVar("J")
T = TypeVar("T")

_CHUNK = 512
"""Jobs looked through at once."""


class AnswerWaitsError(Exception):
    """The answer is being made in a batch, or will be: ask again later."""


@dataclass(frozen=True)
class Batching:
    """How batches are made.

    Parameters
    ----------
    price_factor : float
        What a batch costs beside the same calls at once, above 0 and at most 1.
    max_tries : int
        Batches that a request may fail in before it ends without an answer.
    max_requests, max_bytes : int
        Limits of one file; servers allow 50,000 requests and 200 MB.
    grace_s : float
        So long a batch whose making nobody confirmed is looked for before it counts as never made.
    clock : callable
        Seconds since the epoch.
    """

    price_factor: float = BATCH_PRICE_FACTOR
    max_tries: int = 3
    max_requests: int = 50_000
    max_bytes: int = 100_000_000
    grace_s: float = 60.0
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0.0 < self.price_factor <= 1.0:
            raise ConfigError(f"llm.batch_price_factor is {self.price_factor}; it must be above 0 and at most 1")


@dataclass(frozen=True)
class Batches:
    """An engine that answers from the ledger and has the rest made in batches.

    What is under way is written down in the ledger before the server hears of it, so that a run may be left
    or killed at any moment and gone on with by another process, and nothing is paid for twice. The first question to a
    server that nobody has asked yet goes out at once, at the full price: what the server does not
    support would otherwise cost a day.

    Parameters
    ----------
    engine : Engine
    batching : Batching
    """

    engine: Engine
    batching: Batching = field(default_factory=Batching)

    def map(self, work: Callable[[Ask, J], Awaitable[T]], jobs: Iterable[J]) -> Iterator[T]:
        """Do `work` on every job whose answers are there and yield the results; see `Engine.map`.

        Finished batches are collected first. What the other jobs ask for goes into new batches at the end, as far as
        the cap allows; `Session.n_waiting` tells how many answers these jobs wait for.

        Raises
        ------
        BudgetError
            If the cap is below the price of the first request; nothing was sent.
        ProviderError
            If the server cannot be used, or has no Batch API.
        """
        session = self.engine.session
        session.stop_reason, session.n_waiting = "", 0
        session.recall(self.engine.endpoint, self.engine.ledger)
        errand = _Errand(self)
        rest = iter(jobs)
        try:
            run_blocking(errand.collect)
            while chunk := list(islice(rest, _CHUNK)):
                yield from run_blocking(partial(errand.work_through, work, chunk))
            run_blocking(errand.submit)
        finally:
            errand.staged.close()
            session.n_waiting = len(errand.waited)


class _Errand:
    """One look at the batches of an engine, and what is asked for meanwhile."""

    def __init__(self, batches: Batches) -> None:
        self._engine, self._batching = batches.engine, batches.batching
        self._log = BatchLog.read(self._engine.endpoint, self._engine.ledger)
        self._under_way: set[str] = set()
        self._is_capped = False
        self.staged = Staged(self._engine, batches.batching.price_factor)
        self.waited: set[str] = set()

    async def collect(self) -> None:
        """Book the answers of finished batches; find out what became of those whose making was interrupted."""
        if self._log.open:
            server = self._server()
            try:
                await Collector(self._engine, self._batching, self._log, server).collect()
            finally:
                await server.close()
        self._under_way = {name for batch in self._log.open for name in self._log.max_costs(batch)}

    async def work_through(self, work: Callable[[Ask, J], Awaitable[T]], jobs: Sequence[J]) -> list[T]:
        """Return the results of jobs that need not wait."""
        found = []
        for job in jobs:
            try:
                found.append(await work(self.ask, job))
            except AnswerWaitsError:
                continue
        return found

    async def ask(self, request: Request) -> Answer:
        engine = self._engine
        if (body := engine.ledger.cached(request.hash)) is not None:
            return engine.read(request, body)
        n_tries, reason = self._log.tries.get(request.hash, (0, ""))
        if request.hash not in self._under_way and request.hash not in self.waited:
            if n_tries >= self._batching.max_tries:
                raise NotAnsweredError(reason)
            if self._is_capped:
                raise CapReachedError
            if not engine.session.is_known:
                return self._ask_now(request)
            self.staged.add(request)
            if self.staged.is_full(self._batching.max_requests, self._batching.max_bytes):
                await self.submit()
        self.waited.add(request.hash)
        raise AnswerWaitsError

    def _ask_now(self, request: Request) -> Answer:
        """Ask an unknown server, so that it shows what it supports."""

        async def work(ask: Ask, job: Request) -> Answer:
            return await ask(job)

        [answer] = self._engine.map(work, [request])
        return answer

    async def submit(self) -> None:
        """Have what is staged made in a batch, as far as the cap allows."""
        if not self.staged.entries:
            return
        staged, self.staged = self.staged, Staged(self._engine, self._batching.price_factor)
        server = self._server()
        try:
            refused, refusal = await staged.submit(self._log, server, self._batching.clock())
        finally:
            staged.close()
            await server.close()
        not_sent = {entry.request_hash for entry in refused}
        self._under_way |= {entry.request_hash for entry in staged.entries} - not_sent
        self.waited -= not_sent
        if refused:
            self._stop(refused[0].max_cost_nanousd, refusal)

    def _stop(self, max_cost_nanousd: int, refusal: str) -> None:
        self._is_capped = True
        cap = self._engine.pricing.cap_nanousd or 0
        if not self._under_way and max_cost_nanousd > cap:
            raise cap_too_low(cap, max_cost_nanousd, self._engine.endpoint.model)
        self._engine.session.stop_reason = f"the LLM cap of ${cap / 1e9:.4f} is reached: {refusal}"

    def _server(self) -> BatchServer:
        return BatchServer(self._engine.endpoint, self._engine.limits, self._engine.transport)
