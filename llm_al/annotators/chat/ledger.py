"""What paid answers need of the store, and an in-memory version of it."""

import threading
from dataclasses import dataclass
from typing import Protocol

from llm_al.errors import BudgetError

__all__ = ["Call", "Ledger", "MemoryLedger"]


class Ledger(Protocol):
    """Cache, money and resume point of LLM calls in one, keyed by request hash.

    A call is reserved at its maximum price before it is sent, and settled at its real price after. A
    reservation that a killed process left open stays counted at its maximum; reserving the same hash
    again takes it over instead of counting it twice.
    """

    def cached(self, request_hash: str) -> str | None:
        """Return the response JSON of a settled call; None if there is none."""
        ...

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
        """Set the maximum price aside.

        Raises
        ------
        BudgetError
            If what is spent, what is reserved by others and this maximum pass `cap_nanousd`.
        """
        ...

    def settle(
        self,
        request_hash: str,
        *,
        response: str,
        n_tokens_in: int,
        n_tokens_out: int,
        cost_nanousd: int,
    ) -> None:
        """Store the answer and its real price durably, in place of the reservation."""
        ...

    def release(self, request_hash: str, *, reason: str) -> None:
        """Give a reservation back: the server refused the call, so nothing was charged."""
        ...


@dataclass(frozen=True)
class Call:
    """One row of a memory ledger; `response` is None while the call is open."""

    model: str
    prompt: str
    round: int
    cost_nanousd: int
    response: str | None = None
    n_tokens_in: int = 0
    n_tokens_out: int = 0


class MemoryLedger:
    """A ledger that lives as long as its process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._total_nanousd = 0
        self._lock = threading.Lock()

    @property
    def calls(self) -> dict[str, Call]:
        """A copy of all calls, settled and open, by request hash."""
        with self._lock:
            return dict(self._calls)

    def spent_nanousd(self) -> int:
        """Return what is settled, plus what is reserved and still open."""
        with self._lock:
            return self._total_nanousd

    def cached(self, request_hash: str) -> str | None:
        """Return the stored response; see `Ledger`."""
        with self._lock:
            call = self._calls.get(request_hash)
        return call.response if call else None

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
        """Set money aside; see `Ledger`."""
        with self._lock:
            others = self._total_nanousd - self._held(request_hash)
            if cap_nanousd is not None and others + max_cost_nanousd > cap_nanousd:
                raise BudgetError(
                    f"the cap of {cap_nanousd} nano-dollars does not allow this call: {others} are spent or reserved, "
                    f"and it may cost {max_cost_nanousd}; raise budget.llm_usd"
                )
            self._put(request_hash, Call(model, prompt, round, max_cost_nanousd))

    def settle(
        self,
        request_hash: str,
        *,
        response: str,
        n_tokens_in: int,
        n_tokens_out: int,
        cost_nanousd: int,
    ) -> None:
        """Keep an answer; see `Ledger`."""
        with self._lock:
            call = self._calls[request_hash]
            self._put(
                request_hash,
                Call(call.model, call.prompt, call.round, cost_nanousd, response, n_tokens_in, n_tokens_out),
            )

    def release(self, request_hash: str, *, reason: str) -> None:  # noqa: ARG002
        """Give a reservation back; see `Ledger`."""
        with self._lock:
            self._total_nanousd -= self._held(request_hash)
            self._calls.pop(request_hash, None)

    def _held(self, request_hash: str) -> int:
        call = self._calls.get(request_hash)
        return call.cost_nanousd if call else 0

    def _put(self, request_hash: str, call: Call) -> None:
        self._total_nanousd += call.cost_nanousd - self._held(request_hash)
        self._calls[request_hash] = call
