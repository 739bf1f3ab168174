"""Entries of the ledger of LLM calls. Amounts are whole nano-dollars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Entry", "Ledger", "PastCall", "Release", "Reservation", "Settlement", "Verdict"]


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside at the highest possible price of a call, before it is sent.

    An open reservation of the same request is booked as lost at its maximum: the call may have been paid,
    by a process that was killed or by a try whose answer never arrived.

    Parameters
    ----------
    n_bytes, n_messages : int
        Size of the request, for estimates; 0 where unknown.
    """

    request_hash: str
    model: str
    prompt: str
    round: int
    max_cost_nanousd: int
    n_bytes: int = 0
    n_messages: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """A paid answer in place of its reservation.

    Parameters
    ----------
    is_idempotent : bool
        The server answers a repeated request from memory and charges it once, so what was booked as lost
        on this request is given back.
    duration_s : float or None
        From sending to the last byte; None where it says nothing about the next call (batches).
    """

    request_hash: str
    response: str
    n_tokens_in: int
    n_tokens_out: int
    cost_nanousd: int
    is_idempotent: bool = False
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Release:
    """A reservation given back: the server refused the call, so nothing was charged."""

    request_hash: str
    reason: str


Entry = Reservation | Settlement | Release


@dataclass(frozen=True, slots=True)
class PastCall:
    """An answered call, as estimates need it."""

    n_bytes: int
    n_messages: int
    n_tokens_in: int
    n_tokens_out: int
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a reservation: granted, not needed (`response`), or not allowed (`refusal`)."""

    response: str | None = None
    refusal: str = ""

    @property
    def is_granted(self) -> bool:
        """Whether the call may be sent."""
        return self.response is None and not self.refusal


class Ledger(Protocol):
    """Cache, money and resume point of LLM calls in one, keyed by request hash."""

    def cached(self, request_hash: str) -> str | None:
        """Return the response of a settled call; None if there is none."""
        ...

    def post(self, entries: Sequence[Entry], *, cap_nanousd: int | None = None) -> list[Verdict]:
        """Book all entries in their order, durably and together.

        Returns
        -------
        list of Verdict
            One for each `Reservation`, in order. What is spent, lost and reserved never passes
            `cap_nanousd` by a reservation.

        Raises
        ------
        StoreError
            If a settlement has never been reserved; then nothing is booked.
        """
        ...

    def history(self, model: str, prompt: str, *, limit: int = 1_000) -> list[PastCall]:
        """Return the latest answered calls of a prompt whose size is known, newest first."""
        ...

    def recall(self, key: str) -> str | None:
        """Return what was remembered about a server."""
        ...

    def remember(self, key: str, value: str) -> None:
        """Remember something about a server, in place of what was remembered before."""
        ...
