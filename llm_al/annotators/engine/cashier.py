"""The money of one run: nothing is sent without a reservation, nothing is used before it is settled."""

import asyncio

from llm_al.annotators.engine.answers import Answer
from llm_al.annotators.engine.journal import Journal
from llm_al.annotators.engine.requests import Request
from llm_al.annotators.engine.session import Session
from llm_al.annotators.engine.settings import Endpoint, Pricing
from llm_al.errors import BudgetError
from llm_al.money import Ledger, Release, Settlement

__all__ = ["CapReachedError", "Cashier", "cap_too_low"]


class CapReachedError(Exception):
    """The next call could pass the cap."""


def cap_too_low(cap_nanousd: int, max_cost_nanousd: int, model: str) -> BudgetError:
    """Return the error that says that not even one call fits under the cap."""
    return BudgetError(
        f"the LLM cap of ${cap_nanousd / 1e9:.9f} is below the price of one call to {model!r}, "
        f"at most ${max_cost_nanousd / 1e9:.9f}; nothing was sent; raise budget.llm_usd"
    )


class Cashier:
    """Reserves and settles calls; knows how many are open in this run."""

    def __init__(self, ledger: Ledger, pricing: Pricing, endpoint: Endpoint, round: int, session: Session) -> None:
        self._journal = Journal(ledger, pricing.cap_nanousd)
        self._cap_nanousd = pricing.cap_nanousd
        self._model = endpoint.model
        self._round = round
        self._session = session
        self._n_open = 0
        self._n_paid = 0
        self._changed = asyncio.Condition()

    async def close(self) -> None:
        """Write what is left."""
        await self._journal.close()

    async def reserve(self, request: Request, max_cost_nanousd: int) -> str | None:
        """Set the maximum price aside; waits while calls under way may still give some back.

        Returns
        -------
        str or None
            The response, if it has been paid before; then nothing is reserved.

        Raises
        ------
        CapReachedError
            If the cap does not allow it; `Session.stop_reason` says so.
        BudgetError
            If the cap does not even allow the first call.
        """
        if self._session.stop_reason:
            return self._cached(request)
        entry = request.reservation(self._model, self._round, max_cost_nanousd)
        while True:
            n_open = self._n_open
            verdict = await self._journal.book(entry)
            if verdict.response is not None:
                return verdict.response
            if verdict.is_granted:
                self._n_open += 1
                self._n_paid += 1
                return None
            if n_open == 0 and self._n_open == 0:
                self._refuse(max_cost_nanousd, verdict.refusal)
            await self._wait_for_change(n_open)

    async def reserve_again(self, request: Request, max_cost_nanousd: int) -> str | None:
        """Set money aside for one more try of an open call whose last try may have been charged.

        Returns
        -------
        str or None
            The response, if another process or annotator has paid for it meanwhile; the call is no longer open then.

        Raises
        ------
        CapReachedError
            If the cap does not allow it; the call is no longer open then.
        """
        await self.forget()
        return await self.reserve(request, max_cost_nanousd)

    async def settle(self, answer: Answer, body: str, *, is_idempotent: bool) -> None:
        """Keep a paid answer; it is on disk when this returns."""
        n_in, n_out = answer.n_tokens
        money = (n_in, n_out, answer.cost_nanousd)
        entry = Settlement(answer.request.hash, body, *money, is_idempotent, answer.duration_s)
        try:
            await self._journal.book(entry)
        finally:
            # Others wait for this call to end, whether or not it could be booked.
            await self.forget()

    async def give_back(self, request: Request, reason: str) -> None:
        """Return the money of a call that cost nothing."""
        try:
            await self._journal.book(Release(request.hash, reason))
        finally:
            await self.forget()

    async def forget(self) -> None:
        """Count a call as over; its reservation stays, for it may have been charged."""
        self._n_open -= 1
        async with self._changed:
            self._changed.notify_all()

    async def _wait_for_change(self, n_open: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._n_open < n_open or self._n_open == 0)

    def _cached(self, request: Request) -> str:
        response = self._journal.cached(request.hash)
        if response is None:
            raise CapReachedError
        return response

    def _refuse(self, max_cost_nanousd: int, refusal: str) -> None:
        cap = self._cap_nanousd or 0
        if max_cost_nanousd > cap and self._n_paid == 0:
            raise cap_too_low(cap, max_cost_nanousd, self._model)
        self._session.stop_reason = f"the LLM cap of ${cap / 1e9:.4f} is reached: {refusal}"
        raise CapReachedError
