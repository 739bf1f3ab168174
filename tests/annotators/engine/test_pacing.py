import asyncio
import math

import pytest

from llm_al.annotators.engine.pacing import Bucket, Pacer, Rates, Said, parse_reset_s
from llm_al.annotators.engine.settings import Limits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("20ms", 0.02),
        ("0.5", 0.5),
        ("soon", None),
        ("1s later", None),
        ("-3", None),
        ("", None),
        (None, None),
    ],
)
def test_a_reset_time_is_read_as_servers_write_it(text: str | None, seconds: float | None) -> None:
    assert parse_reset_s(text) == seconds


def test_a_bucket_without_a_rate_never_waits() -> None:
    bucket = Bucket()
    bucket.take(10**9)
    assert bucket.wait_s(10**9, 0.0) == 0.0


def test_a_limit_is_kept_to_98_5_percent_of_the_rate_with_a_fifth_of_a_second_at_once() -> None:
    bucket = Bucket.per_minute(6_000)
    sent_s, now = [], 0.0
    while len(sent_s) < 1_000:
        now += bucket.wait_s(1, now)
        bucket.take(1)
        sent_s.append(now)
    assert bucket.rate == pytest.approx(98.5)
    assert sum(s == 0.0 for s in sent_s) == pytest.approx(0.2 * 98.5, abs=1)
    assert 1_000 / (sent_s[-1] + 0.2) == pytest.approx(98.5, rel=0.01)


def test_headers_set_the_rate_and_the_room_that_is_left_since_the_call_was_sent() -> None:
    bucket = Bucket()
    bucket.observe(Said(limit=600, remaining=400, reset_s=20.0), n_under_way=30, sent_s=5.0, now_s=5.0)
    assert bucket.rate == pytest.approx(9.85)
    assert bucket.level == 370
    bucket.observe(Said(limit=600, remaining=3), n_under_way=0, sent_s=4.5, now_s=5.0)
    assert bucket.level == pytest.approx(3 + 9.85 / 2)


def test_room_that_the_server_granted_stays_but_does_not_grow() -> None:
    bucket = Bucket(rate=10.0, level=100.0, updated_s=0.0)
    assert bucket.wait_s(1, 60.0) == 0.0
    assert bucket.level == 100.0


def test_a_rate_of_the_users_own_is_not_raised_by_headers() -> None:
    bucket = Bucket.per_minute(60)
    bucket.observe(Said(limit=60_000, remaining=59_999), n_under_way=0, sent_s=0.0, now_s=0.0)
    assert bucket.rate == pytest.approx(0.985)
    assert bucket.level <= 1.0


def test_a_limit_that_takes_hours_to_refill_is_a_limit_a_day() -> None:
    a_day = {"x-ratelimit-limit-requests": "200", "x-ratelimit-remaining-requests": "199"}
    said = Said.read({**a_day, "x-ratelimit-reset-requests": "7m12s"}, "requests")
    assert said.period_s == 86_400.0
    assert Said.read({**a_day, "x-ratelimit-reset-requests": "300ms"}, "requests").period_s == 60.0
    assert Said.read({}, "requests") == Said()
    assert Said.read({"x-ratelimit-limit-tokens": "many"}, "tokens") == Said()


def test_a_call_above_the_whole_allowance_goes_when_the_bucket_is_full() -> None:
    bucket = Bucket.per_minute(600)
    assert bucket.wait_s(10_000, 0.0) == 0.0
    bucket.take(10_000)
    assert bucket.wait_s(1, 0.0) == pytest.approx((10_000 - 9.85 * 0.2 + 1) / 9.85)


def test_requests_tokens_and_pauses_are_waited_for_together(fake_time) -> None:
    async def main() -> float:
        rates = Rates.of(Limits(requests_per_minute=600, tokens_per_minute=6_000))
        pacer = Pacer(rates, lambda: fake_time.now, fake_time.sleep)
        for _ in range(11):
            await pacer.acquire(10)
        pacer.pause(3.0)
        pacer.pause(1.0)
        before = fake_time.now
        await pacer.acquire(1)
        assert fake_time.now - before == pytest.approx(3.0)
        return before

    # 110 tokens at 98.5 a second, of which 19.7 went at once.
    assert asyncio.run(main()) == pytest.approx((110 - 19.7) / 98.5, rel=0.01)


def test_without_limits_and_headers_nothing_is_learnt(fake_time) -> None:
    async def main() -> None:
        rates = Rates()
        pacer = Pacer(rates, lambda: fake_time.now, fake_time.sleep)
        await pacer.acquire(5)
        pacer.finish(5, 0.0, {})
        assert math.isinf(rates.requests.rate)

    asyncio.run(main())
    assert fake_time.slept == []


def test_what_is_learnt_while_a_call_waits_shortens_its_wait(fake_time) -> None:
    async def main() -> float:
        rates = Rates()
        pacer = Pacer(rates, lambda: fake_time.now, nap)
        for _ in range(3):
            await pacer.acquire(0)
        # A window that begins looks like a limit of a day.
        said = {"x-ratelimit-limit-requests": "62", "x-ratelimit-remaining-requests": "0"}
        pacer.finish(0, 0.0, {**said, "x-ratelimit-remaining-requests": "61", "x-ratelimit-reset-requests": "59"})
        rates.requests.level = 0.0
        heard.append(lambda: pacer.finish(0, fake_time.now, {**said, "x-ratelimit-reset-requests": "60"}))
        await pacer.acquire(0)
        return fake_time.now

    heard: list = []

    async def nap(seconds: float) -> None:
        await fake_time.sleep(seconds)
        if heard:
            heard.pop()()

    assert asyncio.run(main()) < 30.0
