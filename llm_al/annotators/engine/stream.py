"""Results of an event loop in a thread, handed to an ordinary `for` loop."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from typing import Generic, Protocol, TypeVar

from llm_al.annotators.engine.workers import Stop, work_through

__all__ = ["stream"]

J = TypeVar("J")
T = TypeVar("T")
R = TypeVar("R", bound="Closing")

_N_WAITING = 1_024
"""Results that may wait for whoever reads them."""
_LOOK_S = 0.5
"""A thread that waits longer at once does not notice Ctrl-C everywhere."""


class Closing(Protocol):
    """What stands behind the workers."""

    def finish(self) -> None:
        """Raise if all work was in vain."""

    async def close(self) -> None:
        """Let go of connections and write what is left."""


class _Belt(Generic[T]):
    """A short queue from an event loop to a thread; the loop waits when it is full."""

    def __init__(self) -> None:
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._is_over = False
        self._is_abandoned = False
        self._error: BaseException | None = None
        self._space: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Stop | None = None

    def attach(self, stop: Stop) -> None:
        """Begin, inside the loop's thread."""
        self._loop, self._space, self._stop = asyncio.get_running_loop(), asyncio.Event(), stop
        if self._is_abandoned:
            stop.request()

    async def put(self, item: T) -> None:
        """Hand an item over; waits while too many are waiting."""
        with self._changed:
            self._items.append(item)
            is_full = len(self._items) >= _N_WAITING and not self._is_abandoned
            self._changed.notify()
        if is_full and self._space is not None:
            self._space.clear()
            await self._space.wait()
        else:
            # A job that never waits (a cached answer) must not lock out the others.
            await asyncio.sleep(0)

    def end(self, error: BaseException | None) -> None:
        """Say that nothing more will come."""
        with self._changed:
            self._is_over, self._error = True, error
            self._changed.notify()

    def items(self) -> Iterator[T]:
        """Yield until the end, then raise what went wrong."""
        while True:
            with self._changed:
                while not self._items and not self._is_over:
                    self._changed.wait(_LOOK_S)
                taken, self._items = self._items, deque()
                is_last = self._is_over
            self._make_space()
            yield from taken
            if is_last:
                break
        if self._error is not None:
            raise self._error

    def abandon(self) -> None:
        """Ask the workers to finish; what they still hand over is dropped."""
        with self._changed:
            self._is_abandoned = True
            loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            self._call(loop, stop.request)
            self._make_space()

    def _make_space(self) -> None:
        if self._loop is not None and self._space is not None:
            self._call(self._loop, self._space.set)

    def _call(self, loop: asyncio.AbstractEventLoop, function: Callable[[], None]) -> None:
        # It may end at any moment, also between a look at it and the call; then nobody waits any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(function)


def stream(
    open_run: Callable[[Stop], Awaitable[R]],
    apply: Callable[[R, J], Awaitable[T]],
    jobs: Iterable[J],
    *,
    n_workers: int,
    on_begin: Callable[[Callable[[], None]], None] | None = None,
) -> Iterator[T]:
    """Work on jobs in an event loop of its own and yield the results, in order of completion.

    Works inside and outside of a running event loop. When the caller stops reading, or is interrupted,
    work under way is finished before this returns.

    Parameters
    ----------
    on_begin : callable, optional
        Handed a function with which any thread may ask for an early end.
    """
    belt: _Belt[T] = _Belt()
    if on_begin is not None:
        on_begin(belt.abandon)

    async def main() -> None:
        stop = Stop()
        run = await open_run(stop)
        belt.attach(stop)
        try:
            await work_through(iter(jobs), lambda job: apply(run, job), emit=belt.put, n_workers=n_workers, stop=stop)
            if not stop.is_requested:
                run.finish()
        finally:
            await run.close()

    def target() -> None:
        error: BaseException | None = None
        try:
            asyncio.run(main())
        except BaseException as exc:
            error = exc
        belt.end(error)

    thread = threading.Thread(target=target, name="llm engine", daemon=True)
    thread.start()
    try:
        yield from belt.items()
    finally:
        belt.abandon()
        thread.join()
