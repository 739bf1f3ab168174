import asyncio
import threading
from collections.abc import Iterator

import pytest

from llm_al.annotators.engine.stream import _Belt, stream
from llm_al.annotators.engine.workers import Stop


class Run:
    def __init__(self) -> None:
        self.is_closed = False
        self.is_finished = False

    def finish(self) -> None:
        self.is_finished = True

    async def close(self) -> None:
        self.is_closed = True


def streamed(jobs, *, apply=None, n_workers: int = 4) -> tuple[Run, Iterator[int]]:
    run = Run()

    async def open_run(_stop: Stop) -> Run:
        return run

    async def double(_run: Run, job: int) -> int:
        await asyncio.sleep(0)
        return 2 * job

    return run, stream(open_run, apply or double, jobs, n_workers=n_workers)


def test_every_job_gives_one_result_and_the_run_is_closed() -> None:
    run, results = streamed(range(5_000))
    assert sorted(results) == list(range(0, 10_000, 2))
    assert (run.is_finished, run.is_closed) == (True, True)


def test_jobs_are_drawn_only_as_fast_as_results_are_read() -> None:
    drawn: list[int] = []

    def jobs() -> Iterator[int]:
        for n in range(100_000):
            drawn.append(n)
            yield n

    _, results = streamed(jobs())
    for _, _ in zip(range(10), results, strict=False):
        pass
    n_drawn = len(drawn)
    results.close()
    assert n_drawn < 10_000


def test_leaving_early_finishes_what_is_under_way_and_begins_no_more() -> None:
    begun, finished = [], []

    async def work(_run: Run, job: int) -> int:
        begun.append(job)
        await asyncio.sleep(0.001)
        finished.append(job)
        return job

    run, results = streamed(range(10_000), apply=work)
    next(results)
    results.close()
    assert begun == sorted(finished)
    assert len(begun) < 100
    assert run.is_closed
    assert not run.is_finished
    assert not [thread for thread in threading.enumerate() if thread.name == "llm engine"]


def test_the_first_error_is_raised_after_the_results_before_it() -> None:
    async def work(_run: Run, job: int) -> int:
        if job == 3:
            raise ValueError("job 3")
        return job

    run, results = streamed(range(10), apply=work, n_workers=1)
    seen: list[int] = []
    with pytest.raises(ValueError, match="job 3"):
        seen.extend(results)
    assert seen == [0, 1, 2]
    assert run.is_closed


def test_an_error_of_the_jobs_themselves_is_raised() -> None:
    def jobs() -> Iterator[int]:
        yield 1
        raise OSError("the file is gone")

    _, results = streamed(jobs())
    with pytest.raises(OSError, match="the file is gone"):
        list(results)


def test_it_works_inside_a_running_event_loop() -> None:
    async def notebook() -> list[int]:
        return sorted(streamed(range(3))[1])

    assert asyncio.run(notebook()) == [0, 2, 4]


def test_a_loop_that_ends_while_results_are_taken_does_no_harm(monkeypatch) -> None:
    def ended(_self: object, _call: object, *_args: object) -> None:
        raise RuntimeError("Event loop is closed")

    belt: _Belt[int] = _Belt()

    async def main() -> None:
        belt.attach(Stop())
        await belt.put(1)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    monkeypatch.setattr(type(loop), "call_soon_threadsafe", ended)
    belt.end(None)
    assert list(belt.items()) == [1]
    belt.abandon()
    monkeypatch.undo()
    loop.close()
