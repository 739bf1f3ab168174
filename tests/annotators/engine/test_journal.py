import asyncio
import threading
from collections.abc import Sequence

import pytest

from llm_al.annotators.engine.journal import Journal
from llm_al.annotators.engine.ledger import MemoryLedger
from llm_al.errors import StoreError
from llm_al.money import Entry, Reservation, Settlement, Verdict


class CountingLedger(MemoryLedger):
    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.threads: set[str] = set()

    def post(self, entries: Sequence[Entry], *, cap_nanousd: int | None = None) -> list[Verdict]:
        self.sizes.append(len(entries))
        self.threads.add(threading.current_thread().name)
        return super().post(entries, cap_nanousd=cap_nanousd)


def test_bookings_of_a_moment_are_one_write_in_another_thread() -> None:
    ledger = CountingLedger()

    async def main() -> list[Verdict]:
        journal = Journal(ledger, cap_nanousd=25)
        entries = [Reservation(str(n), "m", "p", 0, 10) for n in range(5)]
        verdicts = await asyncio.gather(*(journal.book(entry) for entry in entries))
        await journal.close()
        return verdicts

    assert [v.is_granted for v in asyncio.run(main())] == [True, True, False, False, False]
    assert sum(ledger.sizes) == 5
    assert len(ledger.sizes) < 5
    assert threading.current_thread().name not in ledger.threads


def test_what_cannot_be_booked_is_told_to_all_of_that_write() -> None:
    async def main() -> list[object]:
        journal = Journal(MemoryLedger(), None)
        found = await asyncio.gather(
            *(journal.book(Settlement(key, "{}", 0, 0, 0)) for key in "ab"), return_exceptions=True
        )
        await journal.close()
        return list(found)

    assert all(isinstance(error, StoreError) for error in asyncio.run(main()))


def test_a_cancelled_worker_leaves_its_booking_on_disk() -> None:
    ledger = MemoryLedger()

    async def main() -> None:
        journal = Journal(ledger, None)
        task = asyncio.create_task(journal.book(Reservation("a", "m", "p", 0, 10)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await journal.close()

    asyncio.run(main())
    assert ledger.spent_nanousd() == 10
