"""Bookings of many workers, written together: one transaction a moment instead of two a call."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from llm_al.money import Entry, Ledger, Reservation, Verdict

__all__ = ["Journal"]

_PAUSE_S = 0.02
"""Between two writes; what arrives meanwhile goes into one transaction."""


class Journal:
    """Books entries in the order in which they come, and returns once they are on disk.

    Parameters
    ----------
    ledger : Ledger
        Written to from one thread of its own, so that the event loop never waits for a disk.
    cap_nanousd : int or None
    """

    def __init__(self, ledger: Ledger, cap_nanousd: int | None) -> None:
        self._ledger = ledger
        self._cap_nanousd = cap_nanousd
        self._waiting: list[tuple[Entry, asyncio.Future[Verdict]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "ledger")

    async def book(self, entry: Entry) -> Verdict:
        """Return the verdict on a reservation; for other entries, return when they are booked."""
        loop = asyncio.get_running_loop()
        booked: asyncio.Future[Verdict] = loop.create_future()
        self._waiting.append((entry, booked))
        if self._writer is None:
            self._writer = loop.create_task(self._write())
        # A cancelled worker's entry is booked all the same.
        return await asyncio.shield(booked)

    def cached(self, request_hash: str) -> str | None:
        """Return the response of a settled call; None if there is none."""
        return self._ledger.cached(request_hash)

    async def close(self) -> None:
        """Write what is left."""
        while self._writer is not None:
            await self._writer
        self._thread.shutdown()

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                verdicts = await loop.run_in_executor(self._thread, self._post, [entry for entry, _ in batch])
            except Exception as exc:
                for _, booked in batch:
                    _fail(booked, exc)
            else:
                for (_, booked), verdict in zip(batch, verdicts, strict=True):
                    if not booked.done():
                        booked.set_result(verdict)
            await asyncio.sleep(_PAUSE_S if self._waiting else 0)
        self._writer = None

    def _post(self, entries: Sequence[Entry]) -> list[Verdict]:
        """Book entries and return one verdict each."""
        verdicts = iter(self._ledger.post(entries, cap_nanousd=self._cap_nanousd))
        return [next(verdicts) if isinstance(entry, Reservation) else Verdict() for entry in entries]


def _fail(booked: asyncio.Future[Verdict], error: Exception) -> None:
    if not booked.done():
        booked.set_exception(error)
        # Whoever was cancelled will not look at it.
        booked.exception()
