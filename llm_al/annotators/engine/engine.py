"""Questions in, paid answers out: as fast as the server allows, never above the cap, none paid for twice."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

import httpx2

from llm_al.annotators.engine.answers import Answer, Envelope, open_envelope
from llm_al.annotators.engine.cashier import CapReachedError, Cashier, cap_too_low
from llm_al.annotators.engine.client import Client
from llm_al.annotators.engine.failures import BadRequestError, OutcomeUnknownError, TextRefusedError
from llm_al.annotators.engine.pacing import Rates
from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.session import Session
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing, Waiting
from llm_al.annotators.engine.stream import stream
from llm_al.annotators.engine.tries import Tries
from llm_al.annotators.engine.workers import Stop, StoppedError, run_blocking
from llm_al.errors import OverloadedError, ProviderError
from llm_al.money import Ledger

__all__ = ["Ask", "Engine", "NotAnsweredError"]

J = TypeVar("J")
T = TypeVar("T")
Ask = Callable[[Request], Awaitable[Answer]]
"""Gives the paid answer to a request; raises `NotAnsweredError` or `CapReachedError`."""

_GIVE_UP_AFTER = 3
"""Requests in a row without an answer, each tried to the end, before the server counts as down."""
_CHECK_TRIES = 2


class NotAnsweredError(Exception):
    """A request has no answer, though others may have; the message says why."""


class _NoMoneyLeftError(Exception):
    """The cap does not allow another try after `error`."""

    def __init__(self, error: ProviderError) -> None:
        super().__init__(str(error))
        self.error = error


class _PaidElsewhereError(Exception):
    """Somebody else has paid for the answer since the last try: `body` is the response."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self.body = body


@dataclass(frozen=True)
class Engine:
    """Asks one model.

    Parameters
    ----------
    endpoint : Endpoint
    ledger : Ledger
        Cache and money. Every answer is in it before it is used.
    limits, pricing, waiting
        See these classes.
    round : int
        Money is booked on it.
    transport : httpx2.AsyncBaseTransport, optional
        In place of the network.
    session : Session
        What has been learnt about the server; shared by engines that ask the same one.
    """

    endpoint: Endpoint
    ledger: Ledger = field(repr=False, compare=False)
    limits: Limits = field(default_factory=Limits)
    pricing: Pricing = field(default_factory=Pricing)
    round: int = 0
    waiting: Waiting = field(default_factory=Waiting, repr=False, compare=False)
    transport: httpx2.AsyncBaseTransport | None = field(default=None, repr=False, compare=False)
    session: Session = field(default_factory=Session, repr=False, compare=False)

    @property
    def price(self) -> Price:
        """Nano-dollars a token; raises `ConfigError` if it is unknown and there is a cap."""
        return self.pricing.resolve(self.endpoint)

    def check(self) -> None:
        """Fail now if no server answers or the key is refused; free of charge.

        Raises
        ------
        ProviderUnreachableError, AuthenticationError, OverloadedError
        """

        async def main() -> None:
            tries = min(self.limits.max_tries, _CHECK_TRIES)
            limits = Limits(1, self.limits.timeout_s, tries, self.limits.max_wait_s)
            run = _Run(self, Stop(), limits)
            try:
                await run.tries.call(run.client.check, _nothing)
            finally:
                await run.close()

        run_blocking(main)

    def check_cap(self, request: Request) -> None:
        """Fail now if the cap is below the price of this call; sends nothing.

        Raises
        ------
        BudgetError
        """
        cap, max_cost = self.pricing.cap_nanousd, request.max_cost_nanousd(self.price)
        if cap is not None and max_cost > cap and self.ledger.cached(request.hash) is None:
            raise cap_too_low(cap, max_cost, self.endpoint.model)

    def map(self, work: Callable[[Ask, J], Awaitable[T]], jobs: Iterable[J]) -> Iterator[T]:
        """Do `work` on every job and yield the results as they come.

        Jobs are drawn one by one and results wait in a short queue, so that memory does not grow with their
        number. Leaving the iterator early, and Ctrl-C, let calls under way finish: their answers are in the
        ledger.

        Parameters
        ----------
        work : coroutine function
            Called with `ask` and a job.
        jobs : iterable

        Raises
        ------
        BudgetError
            If the cap is below the price of the first call; nothing was sent.
        ProviderError
            If the server is unreachable, refuses the key or the requests, or stays overloaded.
        """
        self.session.stop_reason = ""

        async def open_run(stop: Stop) -> _Run:
            return _Run(self, stop, self.limits)

        def apply(run: _Run, job: J) -> Awaitable[T]:
            return work(run.ask, job)

        # Some wait for the ledger while others use the connections.
        n_places = self.limits.concurrency
        n_workers = n_places + n_places // 2 + (n_places > 1)
        yield from stream(open_run, apply, jobs, n_workers=n_workers, on_begin=self.session.began)

    def read(self, request: Request, body: str, duration_s: float | None = None) -> Answer:
        """Return a stored or delivered response as an answer with its price."""
        envelope = open_envelope(body)
        return self.price_answer(request, envelope, duration_s, factor=envelope.price_factor)

    def price_answer(
        self, request: Request, envelope: Envelope, duration_s: float | None, *, factor: float = 1.0
    ) -> Answer:
        """Return an answer with its price; a server that does not count is charged at the most.

        `factor` is what it cost beside the list price.
        """
        if envelope.n_tokens_in is None or envelope.n_tokens_out is None:
            cost = request.max_cost_nanousd(self.price, factor)
        else:
            counts = (envelope.n_tokens_in, envelope.n_tokens_out)
            cost = self.price.cost_nanousd(*counts, n_cached=envelope.n_tokens_cached, factor=factor)
        return Answer(request, envelope, cost, duration_s)


class _Run:
    """One pass of an engine over many requests."""

    def __init__(self, engine: Engine, stop: Stop, limits: Limits) -> None:
        self._engine = engine
        session = engine.session
        session.rates = session.rates or Rates.of(engine.limits)
        session.recall(engine.endpoint, engine.ledger)
        self.tries = Tries(limits, engine.waiting, stop, session.rates)
        self.client = Client(engine.endpoint, limits, self.tries, session=session, transport=engine.transport)
        self.cashier = Cashier(engine.ledger, engine.pricing, engine.endpoint, engine.round, session)
        self._under_way: dict[str, asyncio.Event] = {}
        self._n_given_up = 0
        self._has_answer = False
        self._last_failure: ProviderError | None = None

    async def close(self) -> None:
        await self.client.close()
        await self.cashier.close()

    def finish(self) -> None:
        """Raise the last failure if no request of the run got an answer."""
        if self._last_failure is not None and not self._has_answer:
            raise self._last_failure

    async def ask(self, request: Request) -> Answer:
        # Two texts that render alike are paid once.
        while (other := self._under_way.get(request.hash)) is not None:
            await other.wait()
        done = self._under_way[request.hash] = asyncio.Event()
        try:
            answer = await self._answer(request)
        except TextRefusedError as exc:
            raise NotAnsweredError(str(exc)) from exc
        except (OverloadedError, BadRequestError) as exc:
            # Once the server has answered, what it rejects is more likely one text than the settings.
            if isinstance(exc, BadRequestError) and not self._engine.session.is_known:
                raise
            self._last_failure = exc
            self._n_given_up += 1
            if self._n_given_up >= _GIVE_UP_AFTER:
                raise
            raise NotAnsweredError(str(exc)) from exc
        finally:
            del self._under_way[request.hash]
            done.set()
        self._has_answer, self._n_given_up = True, 0
        return answer

    async def _answer(self, request: Request) -> Answer:
        engine, max_cost = self._engine, self._max_cost(request)
        cached = await self.cashier.reserve(request, max_cost)
        if cached is not None:
            return engine.read(request, cached)
        try:
            delivered = await self.tries.call(
                lambda: self.client.complete(request), lambda error: self._reserve_again(request, max_cost, error)
            )
        except _NoMoneyLeftError as exc:
            raise exc.error from None
        except _PaidElsewhereError as exc:
            return engine.read(request, exc.body)
        except BaseException as exc:
            is_free = isinstance(exc, ProviderError | StoppedError) and not isinstance(exc, OutcomeUnknownError)
            await self.cashier.give_back(request, str(exc)) if is_free else await self.cashier.forget()
            raise
        answer = engine.price_answer(request, delivered.envelope, delivered.duration_s)
        if delivered.n_sent > 1 and not delivered.is_idempotent:
            answer = replace(answer, cost_nanousd=answer.cost_nanousd + request.max_cost_nanousd(engine.price))
        await self.cashier.settle(answer, delivered.body, is_idempotent=delivered.is_idempotent)
        engine.session.keep(engine.endpoint, engine.ledger)
        return answer

    def _max_cost(self, request: Request) -> int:
        """Return the most that one try may cost; a hedged one goes out twice."""
        n_sent = 1 if self._engine.limits.hedge_after_s is None else 2
        return n_sent * request.max_cost_nanousd(self._engine.price)

    async def _reserve_again(self, request: Request, max_cost: int, error: ProviderError) -> None:
        """Set money aside for the next try, if the last one may have been charged."""
        if not isinstance(error, OutcomeUnknownError):
            return
        try:
            body = await self.cashier.reserve_again(request, max_cost)
        except CapReachedError:
            raise _NoMoneyLeftError(error) from None
        if body is not None:
            raise _PaidElsewhereError(body)


async def _nothing(_error: ProviderError) -> None:
    """Wait for nothing before a further try."""
