"""Rare faults in which money could be booked wrongly, or a run never end."""

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import httpx2
import pytest

from llm_al.annotators.engine.engine import Ask, Engine, NotAnsweredError
from llm_al.annotators.engine.ledger import MemoryLedger
from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.requests import Request, Schema, make_request
from llm_al.annotators.engine.session import Session
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing, Sampling
from llm_al.errors import RequestError, StoreError
from llm_al.money import Reservation, Settlement

ENDPOINT = Endpoint("http://llm.test/v1", "m", "sk-canary")
SCHEMA = Schema.of("label", {"code": {"type": "string", "enum": ["A"]}})
PRICE = Price(1.0, 10.0)
ANSWER = {
    "choices": [{"message": {"role": "assistant", "content": '{"code": "A"}'}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 100, "completion_tokens": 6},
}


def ask_about(text: str) -> Request:
    messages = ({"role": "system", "content": "static"}, {"role": "user", "content": text})
    return make_request(ENDPOINT, Sampling(), prompt="p.v1", messages=messages, schema=SCHEMA)


MAX_COST = ask_about("x").max_cost_nanousd(PRICE)


@pytest.fixture
def engine(fake_time):
    def make(handler: Any, **changes: Any) -> Engine:
        settings: dict[str, Any] = {
            "ledger": MemoryLedger(),
            "limits": Limits(concurrency=1, timeout_s=5.0, max_tries=1),
            "pricing": Pricing(PRICE, None),
            "waiting": fake_time.waiting(),
            "transport": httpx2.MockTransport(handler),
            "session": Session(is_known=True),
        }
        return Engine(ENDPOINT, **(settings | changes))

    return make


async def outcome(ask: Ask, request: Request) -> str:
    try:
        return (await ask(request)).envelope.content
    except NotAnsweredError as exc:
        return f"NotAnsweredError: {exc}"


def answers(engine: Engine, requests: Sequence[Request]) -> list[str]:
    return list(engine.map(outcome, requests))


class FullDisk(MemoryLedger):
    """Takes reservations; the disk is full when an answer comes."""

    def post(self, entries: Any, *, cap_nanousd: int | None = None) -> Any:
        if any(not isinstance(entry, Reservation) for entry in entries):
            raise StoreError("the disk is full")
        return super().post(entries, cap_nanousd=cap_nanousd)


@pytest.mark.parametrize("status", [200, 500])
def test_a_ledger_that_fails_ends_the_run_though_others_wait_for_money(status: int, engine) -> None:
    async def handle(_request: httpx2.Request) -> httpx2.Response:
        await asyncio.sleep(0.05)
        return httpx2.Response(status, json=ANSWER)

    asking = engine(
        handle, ledger=FullDisk(), limits=Limits(concurrency=4, max_tries=1), pricing=Pricing(PRICE, MAX_COST)
    )
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers(asking, [ask_about(str(n)) for n in range(4)])
        except BaseException as exc:
            errors.append(exc)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(5.0)
    assert [type(error) for error in errors] == [StoreError]


@pytest.mark.parametrize("fault", ["status", "connect"])
def test_a_hedged_call_that_failed_once_is_not_free_while_the_other_may_be_charged(fault: str, engine) -> None:
    n_seen = 0

    async def handle(request: httpx2.Request) -> httpx2.Response:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 1:
            await asyncio.sleep(0.05)
            raise httpx2.ReadError("reset", request=request)
        if fault == "connect":
            await asyncio.sleep(0.08)
            raise httpx2.ConnectError("refused", request=request)
        return httpx2.Response(500, json={"error": {"message": "no"}})

    asking = engine(handle, limits=Limits(concurrency=1, max_tries=1, hedge_after_s=0.01))
    with pytest.raises(Exception, match=r"llm\.test"):
        answers(asking, [ask_about("x")])
    assert asking.ledger.spent_nanousd() == 2 * MAX_COST


def test_a_hedged_call_waits_for_the_answer_when_the_other_is_refused(engine) -> None:
    n_seen = 0

    async def handle(_request: httpx2.Request) -> httpx2.Response:
        nonlocal n_seen
        n_seen += 1
        if n_seen == 2:
            return httpx2.Response(429, json={"error": {"message": "no"}})
        await asyncio.sleep(0.05)
        return httpx2.Response(200, json=ANSWER)

    asking = engine(handle, limits=Limits(concurrency=1, max_tries=1, hedge_after_s=0.01))
    assert answers(asking, [ask_about("x")]) == ['{"code": "A"}']
    assert n_seen == 2


def test_a_lost_call_that_someone_else_has_paid_for_meanwhile_is_not_sent_again(engine) -> None:
    ledger, request, sent = MemoryLedger(), ask_about("x"), []

    async def handle(received: httpx2.Request) -> httpx2.Response:
        sent.append(received)
        ledger.post([request.reservation("m", 0, MAX_COST)])
        ledger.post([Settlement(request.hash, json.dumps(ANSWER), 100, 6, 160)])
        raise httpx2.ReadError("reset", request=received)

    asking = engine(handle, ledger=ledger, limits=Limits(concurrency=1, max_tries=3))
    assert answers(asking, [request]) == ['{"code": "A"}']
    assert len(sent) == 1
    assert ledger.spent_nanousd() == MAX_COST + 160


@pytest.mark.parametrize("kept", [True, False])
def test_one_text_that_the_server_rejects_does_not_end_the_run(kept: bool, engine) -> None:
    async def handle(request: httpx2.Request) -> httpx2.Response:
        if b"poison" in request.content:
            return httpx2.Response(400, json={"error": {"message": "Invalid prompt", "code": "invalid_prompt"}})
        return httpx2.Response(200, json=ANSWER)

    asking = engine(handle, session=Session(is_known=kept))
    found = answers(asking, [ask_about("a"), ask_about("poison"), ask_about("b")])
    assert found[::2] == ['{"code": "A"}'] * 2
    assert "Invalid prompt" in found[1]
    assert asking.ledger.spent_nanousd() == 2 * 160


def test_a_server_that_rejects_one_text_after_the_other_ends_the_run(engine) -> None:
    n_sent = 0

    async def handle(_request: httpx2.Request) -> httpx2.Response:
        nonlocal n_sent
        n_sent += 1
        return httpx2.Response(400, json={"error": {"message": "your settings are bad"}})

    with pytest.raises(RequestError, match="settings are bad"):
        answers(engine(handle), [ask_about(str(n)) for n in range(20)])
    assert n_sent <= 4


@pytest.mark.parametrize("is_known", [True, False])
def test_a_run_without_any_answer_says_what_the_server_rejects(is_known: bool, engine) -> None:
    async def handle(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(400, json={"error": {"message": "your settings are bad"}})

    with pytest.raises(RequestError, match="settings are bad"):
        answers(engine(handle, session=Session(is_known=is_known)), [ask_about("x")])


def test_reasoning_that_is_counted_in_the_total_alone_is_paid_for(engine) -> None:
    async def handle(_request: httpx2.Request) -> httpx2.Response:
        usage = {"prompt_tokens": 100, "completion_tokens": 6, "total_tokens": 150}
        return httpx2.Response(200, json=ANSWER | {"usage": usage})

    asking = engine(handle)
    answers(asking, [ask_about("x")])
    assert asking.ledger.spent_nanousd() == 100 + 50 * 10


def test_calls_that_wait_for_a_place_are_not_sent_after_a_stop(engine) -> None:
    n_sent = 0

    async def handle(_request: httpx2.Request) -> httpx2.Response:
        nonlocal n_sent
        n_sent += 1
        asking.session.stop()
        await asyncio.sleep(0.1)
        return httpx2.Response(200, json=ANSWER)

    asking = engine(handle, limits=Limits(concurrency=8, max_tries=1))
    answered = answers(asking, [ask_about(str(n)) for n in range(100)])
    assert len(answered) == n_sent <= 8
    assert asking.ledger.spent_nanousd() == n_sent * 160
