"""A ledger in memory."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_al.errors import StoreError
from llm_al.money import Entry, PastCall, Release, Reservation, Settlement, Verdict

__all__ = ["Call", "MemoryLedger"]


@dataclass(frozen=True)
class Call:
    """One row of a memory ledger; `response` is None while the call is open."""

    model: str
    prompt: str
    round: int
    reserved_nanousd: int = 0
    cost_nanousd: int = 0
    lost_nanousd: int = 0
    response: str | None = None
    n_tokens_in: int = 0
    n_tokens_out: int = 0
    n_bytes: int = 0
    n_messages: int = 0
    duration_s: float | None = None

    @property
    def total_nanousd(self) -> int:
        """Everything that counts against a cap."""
        return self.reserved_nanousd + self.cost_nanousd + self.lost_nanousd


class MemoryLedger:
    """A `money.Ledger` that lives as long as its process. Safe to use from several threads."""

    def __init__(self) -> None:
        self._calls: dict[str, Call] = {}
        self._facts: dict[str, str] = {}
        self._total_nanousd = 0
        self._lock = threading.Lock()

    @property
    def calls(self) -> dict[str, Call]:
        """A copy of all calls, settled and open, by request hash."""
        with self._lock:
            return dict(self._calls)

    def spent_nanousd(self) -> int:
        """Return what is settled or lost, plus what is reserved and still open."""
        with self._lock:
            return self._total_nanousd

    def cached(self, request_hash: str) -> str | None:
        """Return the stored response; see `Ledger`."""
        with self._lock:
            call = self._calls.get(request_hash)
        return call.response if call else None

    def post(self, entries: Sequence[Entry], *, cap_nanousd: int | None = None) -> list[Verdict]:
        """Book entries; see `Ledger`."""
        verdicts = []
        with self._lock:
            for entry in entries:
                if isinstance(entry, Reservation):
                    verdicts.append(self._reserve(entry, cap_nanousd))
                elif isinstance(entry, Settlement):
                    self._settle(entry)
                else:
                    self._release(entry)
        return verdicts

    def history(self, model: str, prompt: str, *, limit: int = 1_000) -> list[PastCall]:
        """Return answered calls, newest first; see `Ledger`."""
        with self._lock:
            found = [call for call in self._calls.values() if (call.model, call.prompt) == (model, prompt)]
        return [
            PastCall(call.n_bytes, call.n_messages, call.n_tokens_in, call.n_tokens_out, call.duration_s)
            for call in reversed(found)
            if call.response is not None and call.n_bytes
        ][:limit]

    def recall(self, key: str) -> str | None:
        """Return a remembered fact; see `Ledger`."""
        return self._facts.get(key)

    def remember(self, key: str, value: str) -> None:
        """Keep a fact; see `Ledger`."""
        self._facts[key] = value

    def _reserve(self, entry: Reservation, cap_nanousd: int | None) -> Verdict:
        call = self._calls.get(entry.request_hash) or Call(entry.model, entry.prompt, entry.round)
        if call.response is not None:
            return Verdict(call.response)
        if cap_nanousd is not None and self._total_nanousd + entry.max_cost_nanousd > cap_nanousd:
            return Verdict(
                refusal=f"the cap of {cap_nanousd} nano-dollars does not allow this call: {self._total_nanousd} are "
                f"spent or reserved, and it may cost {entry.max_cost_nanousd}; raise budget.llm_usd"
            )
        lost = call.lost_nanousd + call.reserved_nanousd
        opened = replace(call, n_bytes=entry.n_bytes, n_messages=entry.n_messages)
        self._put(entry.request_hash, replace(opened, lost_nanousd=lost, reserved_nanousd=entry.max_cost_nanousd))
        return Verdict()

    def _settle(self, entry: Settlement) -> None:
        call = self._calls.get(entry.request_hash)
        if call is None:
            raise StoreError(f"LLM call {entry.request_hash} was never reserved; reserve it before it is sent")
        settled = replace(
            call,
            reserved_nanousd=0,
            cost_nanousd=call.cost_nanousd + entry.cost_nanousd,
            lost_nanousd=0 if entry.is_idempotent else call.lost_nanousd,
            response=entry.response if call.response is None else call.response,
            n_tokens_in=call.n_tokens_in + entry.n_tokens_in,
            n_tokens_out=call.n_tokens_out + entry.n_tokens_out,
            duration_s=entry.duration_s,
        )
        self._put(entry.request_hash, settled)

    def _release(self, entry: Release) -> None:
        call = self._calls.get(entry.request_hash)
        if call is None or not call.reserved_nanousd:
            return
        self._put(entry.request_hash, replace(call, reserved_nanousd=0))
        if call.total_nanousd == call.reserved_nanousd and call.response is None:
            del self._calls[entry.request_hash]

    def _put(self, request_hash: str, call: Call) -> None:
        before = self._calls.get(request_hash)
        self._total_nanousd += call.total_nanousd - (before.total_nanousd if before else 0)
        self._calls[request_hash] = call
