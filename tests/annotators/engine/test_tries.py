import asyncio
import time
from email.utils import formatdate

import pytest

from llm_al.annotators.engine.failures import RateLimitError, retry_after_s
from llm_al.annotators.engine.pacing import Rates
from llm_al.annotators.engine.settings import Limits
from llm_al.annotators.engine.tries import Tries, backoff_s
from llm_al.annotators.engine.workers import Stop
from llm_al.errors import OverloadedError, ProviderUnreachableError, RequestError


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.n_sent = 0

    async def __call__(self) -> str:
        self.n_sent += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def _nothing(_error: Exception) -> None:
    pass


def _tries(fake_time, limits: Limits) -> Tries:
    return Tries(limits, fake_time.waiting(), Stop(), Rates())


def _call(send, fake_time, *, max_tries: int = 5, max_wait_s: float = 120.0) -> str:
    async def main() -> str:
        limits = Limits(max_tries=max_tries, max_wait_s=max_wait_s)
        tries = _tries(fake_time, limits)

        async def paced() -> str:
            await tries.pacer.acquire(1)
            tries.pacer.finish(1, 0.0, {})
            return await send()

        return await tries.call(paced, _nothing)

    return asyncio.run(main())


def test_back_off_doubles_up_to_the_longest_wait_with_full_jitter() -> None:
    assert [backoff_s(n, max_wait_s=3.0, jitter=1.0) for n in (1, 2, 3, 4)] == [1.0, 2.0, 3.0, 3.0]
    assert backoff_s(4, max_wait_s=3.0, jitter=0.0) == 0.0


def test_overload_is_tried_again_after_back_off(fake_time) -> None:
    send = Flaky(OverloadedError("503"), OverloadedError("503"))
    assert _call(send, fake_time) == "answer"
    assert fake_time.slept == [0.5, 1.0]


def test_retry_after_is_waited_for_in_full(fake_time) -> None:
    assert _call(Flaky(OverloadedError("429", retry_after_s=7.0)), fake_time) == "answer"
    assert fake_time.slept == [7.0]


def test_a_limit_without_a_time_holds_everyone_back_for_the_back_off(fake_time) -> None:
    async def main() -> float:
        tries = _tries(fake_time, Limits())
        await tries.call(Flaky(RateLimitError("429")), _nothing)
        await tries.pacer.acquire(1)
        return fake_time.now

    assert asyncio.run(main()) == 0.5


def test_one_retry_after_holds_back_all_workers(fake_time) -> None:
    async def main() -> list[float]:
        tries = _tries(fake_time, Limits())
        await tries.call(Flaky(OverloadedError("429", retry_after_s=7.0)), _nothing)
        fake_time.now = 2.0
        await tries.pacer.acquire(1)
        return fake_time.slept

    assert asyncio.run(main()) == [5.0]


def test_what_went_wrong_is_told_before_each_further_try(fake_time) -> None:
    told: list[str] = []

    async def again(error: Exception) -> None:
        told.append(str(error))

    async def main() -> str:
        return await _tries(fake_time, Limits()).call(Flaky(OverloadedError("one"), OverloadedError("two")), again)

    assert asyncio.run(main()) == "answer"
    assert told == ["one", "two"]


def test_the_breaker_opens_after_ten_failures_and_lets_one_go_first(fake_time) -> None:
    async def main() -> list[str]:
        tries = _tries(fake_time, Limits(max_tries=1))
        for _ in range(10):
            with pytest.raises(OverloadedError):
                await tries.call(Flaky(OverloadedError("503")), _nothing)
        assert tries.breaker.is_open
        order: list[str] = []
        release = asyncio.Event()

        async def send(name: str) -> str:
            order.append(name)
            await release.wait()
            return name

        calls = [asyncio.create_task(tries.call(lambda name=name: send(name), _nothing)) for name in "abc"]
        await asyncio.sleep(0.01)
        assert order == ["a"]
        release.set()
        await asyncio.gather(*calls)
        assert not tries.breaker.is_open
        return order

    assert asyncio.run(main()) == ["a", "b", "c"]
    assert fake_time.now >= 1.0


def test_a_wait_beyond_the_limit_gives_up_at_once(fake_time) -> None:
    send = Flaky(OverloadedError("429", retry_after_s=3600.0))
    with pytest.raises(OverloadedError):
        _call(send, fake_time)
    assert send.n_sent == 1
    assert fake_time.slept == []


@pytest.mark.parametrize("error", [OverloadedError("x"), ProviderUnreachableError("x")])
def test_tries_are_bounded(fake_time, error: Exception) -> None:
    send = Flaky(*[error] * 9)
    with pytest.raises(type(error)):
        _call(send, fake_time, max_tries=4)
    assert send.n_sent == 4


def test_what_can_never_succeed_is_sent_once(fake_time) -> None:
    send = Flaky(RequestError("400"))
    with pytest.raises(RequestError):
        _call(send, fake_time)
    assert send.n_sent == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "-2"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_as_a_date_is_read() -> None:
    assert retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30.0, abs=2.0)


def test_a_limit_that_asks_to_wait_for_nothing_is_waited_for_all_the_same(fake_time) -> None:
    assert _call(Flaky(*[RateLimitError("429", retry_after_s=0.0)] * 3), fake_time) == "answer"
    assert fake_time.slept == [0.5, 1.0, 2.0]


def test_failures_of_calls_that_were_under_way_do_not_leave_the_server_alone_for_longer(fake_time) -> None:
    async def main() -> float:
        tries = _tries(fake_time, Limits(max_tries=1))
        barrier = asyncio.Event()

        async def send() -> str:
            await barrier.wait()
            raise OverloadedError("reset")

        calls = [asyncio.create_task(tries.call(send, _nothing)) for _ in range(128)]
        await asyncio.sleep(0.01)
        barrier.set()
        await asyncio.gather(*calls, return_exceptions=True)
        await tries.call(Flaky(), _nothing)
        return fake_time.now

    assert asyncio.run(main()) == 1.0
