"""A fixed number of workers over any number of jobs, with an orderly stop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["Stop", "run_blocking", "work_through"]

J = TypeVar("J")
T = TypeVar("T")


class Stop:
    """Says that no new work is to begin, and why."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.is_requested = False
        self._event = asyncio.Event()

    def request(self, error: BaseException | None = None) -> None:
        """Ask everyone to finish what is under way; the first error is kept."""
        self.is_requested = True
        self.error = self.error or error
        self._event.set()

    async def wait(self) -> None:
        """Return once a stop is requested."""
        await self._event.wait()


async def work_through(jobs: Iterator[J], work: Callable[[J], Awaitable[T]], *, n_workers: int, stop: Stop) -> list[T]:
    """Do every job; results come in order of completion.

    Workers draw from one iterator, so a million jobs need no million tasks. After the first error, or
    when the caller is cancelled, calls under way are finished and then the error is raised.
    """
    results: list[T] = []

    async def draw() -> None:
        for job in jobs:
            if stop.is_requested:
                return
            try:
                results.append(await work(job))
            except Exception as exc:
                stop.request(exc)
                return
            # A job that never waits (a cached answer) must not lock out Ctrl-C.
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(draw()) for _ in range(n_workers)]
    try:
        await asyncio.wait(tasks)
    except asyncio.CancelledError:
        stop.request()
        await asyncio.wait(tasks)
        raise
    if stop.error is not None:
        raise stop.error
    return results


def run_blocking(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also from inside a running event loop (notebooks, web servers)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(main())).result()
