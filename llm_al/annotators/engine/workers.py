"""A fixed number of workers over any number of jobs, with an orderly stop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["Stop", "StoppedError", "run_blocking", "work_through"]

J = TypeVar("J")
T = TypeVar("T")


class StoppedError(Exception):
    """The run is ending; this call was not sent."""


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


async def work_through(
    jobs: Iterator[J],
    work: Callable[[J], Awaitable[T]],
    *,
    emit: Callable[[T], Awaitable[None]],
    n_workers: int,
    stop: Stop,
) -> None:
    """Do every job and emit its result, in order of completion.

    Workers draw from one iterator, so a million jobs need no million tasks. After the first error, or
    once a stop is requested, calls under way are finished; then the error is raised.
    """

    async def draw() -> None:
        for job in jobs:
            if stop.is_requested:
                return
            await emit(await work(job))

    async def worker() -> None:
        try:
            await draw()
        except StoppedError:
            return
        except Exception as exc:
            stop.request(exc)

    await asyncio.gather(*(worker() for _ in range(n_workers)))
    if stop.error is not None:
        raise stop.error


def run_blocking(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, also from inside a running event loop (notebooks, web servers)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(lambda: asyncio.run(main())).result()
