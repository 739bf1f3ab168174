"""The engine against a server that is asked through a transport, so that every fault comes on order."""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx2
import pytest

from llm_al.annotators.engine.cashier import CapReachedError
from llm_al.annotators.engine.engine import Ask, Engine, NotAnsweredError
from llm_al.annotators.engine.ledger import MemoryLedger
from llm_al.annotators.engine.prices import Price
from llm_al.annotators.engine.requests import Request, Schema, make_request
from llm_al.annotators.engine.session import Session
from llm_al.annotators.engine.settings import Endpoint, Limits, Pricing, Sampling
from llm_al.errors import ConfigError, OverloadedError
from llm_al.store import SqlStore

ENDPOINT = Endpoint("http://llm.test/v1", "m", "sk-canary")
SCHEMA = Schema.of("label", {"code": {"type": "string", "enum": ["A"]}})
PRICE = Price(1.0, 10.0)
COST = 100 + 60


def ask_about(text: str, sample: int = 0) -> Request:
    messages = ({"role": "system", "content": "static"}, {"role": "user", "content": text})
    return make_request(ENDPOINT, Sampling(), prompt="p.v1", messages=messages, schema=SCHEMA, sample=sample)


MAX_COST = ask_about("x").max_cost_nanousd(PRICE)


def completion(content: str = '{"code": "A"}') -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 6}}


class Server:
    """Serves a list of faults, then answers; remembers paid keys when it is idempotent."""

    def __init__(self, *faults: Callable[[httpx2.Request], httpx2.Response], is_idempotent: bool = False) -> None:
        self.faults = list(faults)
        self.is_idempotent = is_idempotent
        self.keys: list[str] = []
        self.charged: list[str] = []
        self.headers: dict[str, str] = {}
        self.content = '{"code": "A"}'

    async def __call__(self, request: httpx2.Request) -> httpx2.Response:
        key = request.headers["idempotency-key"]
        self.keys.append(key)
        await asyncio.sleep(0)
        if self.faults:
            fault = self.faults.pop(0)
            if fault in (lost, hung):
                self.charge(key)
            return fault(request)
        replayed = self.charge(key)
        headers = {"Idempotent-Replayed": replayed} if self.is_idempotent else {}
        return httpx2.Response(200, json=completion(self.content), headers=headers | self.headers)

    def charge(self, key: str) -> str:
        if self.is_idempotent and key in self.charged:
            return "true"
        self.charged.append(key)
        return "false"

    @property
    def cost(self) -> int:
        return COST * len(self.charged)


def lost(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadError("connection reset", request=request)


def hung(request: httpx2.Request) -> httpx2.Response:
    raise httpx2.ReadTimeout("too slow", request=request)


def status(code: int, **headers: str) -> Callable[[httpx2.Request], httpx2.Response]:
    return lambda _request: httpx2.Response(code, json={"error": {"message": "no"}}, headers=headers)


@pytest.fixture
def engine(fake_time):
    def make(server: Server, **changes: Any) -> Engine:
        settings: dict[str, Any] = {
            "ledger": MemoryLedger(),
            "limits": Limits(concurrency=1, timeout_s=1.0, max_tries=3),
            "pricing": Pricing(PRICE, None),
            "waiting": fake_time.waiting(),
            "transport": httpx2.MockTransport(server),
        }
        return Engine(ENDPOINT, **(settings | changes))

    return make


async def outcome(ask: Ask, request: Request) -> str:
    try:
        return (await ask(request)).envelope.content
    except (NotAnsweredError, CapReachedError) as exc:
        return f"{type(exc).__name__}: {exc}"


def answers(engine: Engine, requests: Sequence[Request]) -> list[str]:
    return list(engine.map(outcome, requests))


@pytest.mark.parametrize("fault", [lost, hung])
def test_a_try_that_was_charged_and_lost_is_booked_at_its_highest_price(fault, engine) -> None:
    server = Server(fault)
    asking = engine(server)
    assert answers(asking, [ask_about("x")]) == ['{"code": "A"}']
    assert server.cost == 2 * COST
    assert asking.ledger.spent_nanousd() == MAX_COST + COST >= server.cost


@pytest.mark.parametrize("fault", [lost, hung])
def test_a_server_that_knows_repeats_again_is_booked_to_the_cent(fault, engine) -> None:
    server = Server(fault, is_idempotent=True)
    asking = engine(server)
    assert answers(asking, [ask_about("x")]) == ['{"code": "A"}']
    assert len(set(server.keys)) == 1
    assert asking.ledger.spent_nanousd() == server.cost == COST


def test_a_refused_try_is_free(engine) -> None:
    server = Server(status(500), status(429))
    asking = engine(server)
    assert answers(asking, [ask_about("x")]) == ['{"code": "A"}']
    assert asking.ledger.spent_nanousd() == server.cost == COST


def test_a_call_lost_to_the_end_stays_booked_and_is_taken_up_by_the_next_run(engine) -> None:
    ledger = MemoryLedger()
    first = engine(Server(lost, lost, lost), ledger=ledger)
    with pytest.raises(OverloadedError, match="broke off"):
        answers(first, [ask_about("x")])
    assert ledger.spent_nanousd() == 3 * MAX_COST
    assert answers(engine(Server(is_idempotent=True), ledger=ledger), [ask_about("x")]) == ['{"code": "A"}']
    assert ledger.spent_nanousd() == COST


def test_lost_tries_never_take_the_spending_above_the_cap(engine) -> None:
    cap = 2 * MAX_COST
    server = Server(lost, lost, lost, lost)
    asking = engine(server, pricing=Pricing(PRICE, cap))
    with pytest.raises(OverloadedError):
        answers(asking, [ask_about("x")])
    assert len(server.keys) == 2
    assert server.cost <= asking.ledger.spent_nanousd() <= cap


def test_equal_requests_of_many_workers_are_sent_once(engine) -> None:
    server = Server()
    asking = engine(server, limits=Limits(concurrency=8))
    assert answers(asking, [ask_about("x")] * 40) == ['{"code": "A"}'] * 40
    assert len(server.charged) == 1
    assert answers(asking, [ask_about("x", sample=1)]) == ['{"code": "A"}']
    assert len(server.charged) == 2


def test_the_first_question_is_asked_alone_until_the_server_is_known(engine) -> None:
    class Watching(Server):
        n_open = most_open = 0
        first_is_over = False

        async def __call__(self, request: httpx2.Request) -> httpx2.Response:
            self.n_open += 1
            if not self.first_is_over:
                assert self.n_open == 1
            self.most_open = max(self.most_open, self.n_open)
            await asyncio.sleep(0.002)
            self.n_open -= 1
            response = await super().__call__(request)
            self.first_is_over = True
            return response

    server = Watching()
    answers(engine(server, limits=Limits(concurrency=8)), [ask_about(str(n)) for n in range(40)])
    assert server.most_open == 8


def test_a_server_that_ignores_the_form_is_asked_in_a_weaker_one(engine) -> None:
    class Deaf(Server):
        forms: list[str]

        async def __call__(self, request: httpx2.Request) -> httpx2.Response:
            body = json.loads(request.content)
            form = "tool" if "tools" in body else str((body.get("response_format") or {}).get("type"))
            self.forms = [*getattr(self, "forms", []), form]
            self.content = '{"code": "A"}' if form == "json_object" else "It is A."
            return await super().__call__(request)

    server, session = Deaf(), Session()
    asking = engine(server, session=session)
    answers(asking, [ask_about(str(n)) for n in range(5)])
    assert server.forms == ["json_schema", "tool", "json_object", "json_object", "json_object"]
    later = Session()
    answers(engine(server, ledger=asking.ledger, session=later), [ask_about("new")])
    assert server.forms[-1] == "json_object"
    assert later.dialect == session.dialect


def test_answers_that_are_cut_off_do_not_hold_up_the_others_for_ever(engine) -> None:
    class Terse(Server):
        n_open = most_open = 0

        async def __call__(self, request: httpx2.Request) -> httpx2.Response:
            self.n_open += 1
            self.most_open = max(self.most_open, self.n_open)
            await asyncio.sleep(0.002)
            self.n_open -= 1
            self.charge(request.headers["idempotency-key"])
            choice = {"message": {"role": "assistant", "content": '{"co'}, "finish_reason": "length"}
            return httpx2.Response(
                200, json={"choices": [choice], "usage": {"prompt_tokens": 100, "completion_tokens": 6}}
            )

    server, session = Terse(), Session()
    answers(engine(server, limits=Limits(concurrency=4), session=session), [ask_about(str(n)) for n in range(20)])
    assert server.most_open == 4
    assert session.dialect.form == "json_schema"


def test_what_a_server_speaks_is_remembered_by_the_store(engine, tmp_path) -> None:
    refusing = Server(status(400, **{"x": "y"}))
    refusing.faults = [
        lambda _r: httpx2.Response(400, json={"error": {"message": "response_format is not supported"}}),
    ]
    with SqlStore(tmp_path / "project.db") as store:
        answers(engine(refusing, ledger=store.ledger), [ask_about("x")])
    with SqlStore(tmp_path / "project.db") as store:
        server, session = Server(), Session()
        answers(engine(server, ledger=store.ledger, session=session), [ask_about("y")])
    assert session.dialect.form == "tool"
    assert len(server.keys) == 1


def test_a_limit_in_the_headers_slows_all_workers_down(engine, fake_time) -> None:
    server = Server()
    server.headers = {"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "0"}
    answers(engine(server, limits=Limits(concurrency=4)), [ask_about(str(n)) for n in range(5)])
    assert fake_time.now == pytest.approx(4 / 0.985, rel=0.05)


def test_hedging_sends_a_slow_call_twice_takes_the_first_answer_and_books_both(engine) -> None:
    class Slow(Server):
        async def __call__(self, request: httpx2.Request) -> httpx2.Response:
            is_first = not self.keys
            response = await super().__call__(request)
            if is_first:
                await asyncio.sleep(0.5)
            return response

    server = Slow()
    asking = engine(server, limits=Limits(concurrency=1, hedge_after_s=0.01))
    assert answers(asking, [ask_about("x")]) == ['{"code": "A"}']
    assert len(server.charged) == 2
    assert asking.ledger.spent_nanousd() == COST + MAX_COST >= server.cost


def test_hedging_is_off_by_default() -> None:
    assert Limits().hedge_after_s is None
    with pytest.raises(ConfigError, match=r"llm\.hedge_after_s is 0"):
        Limits(hedge_after_s=0)


def test_leaving_the_results_keeps_answers_under_way_in_the_ledger(engine) -> None:
    server = Server()
    asking = engine(server, limits=Limits(concurrency=4))
    results = asking.map(outcome, (ask_about(str(n)) for n in range(10_000)))
    next(results)
    results.close()
    assert asking.ledger.spent_nanousd() == server.cost
    assert all(call.response is not None for call in asking.ledger.calls.values())
    assert len(server.charged) < 5_000


def test_the_ledger_in_the_database_says_what_the_server_says(engine, tmp_path) -> None:
    server = Server(*[lost if n % 3 else status(503) for n in range(40)], is_idempotent=True)
    with SqlStore(tmp_path / "project.db") as store:
        asking = engine(server, ledger=store.ledger, limits=Limits(concurrency=8, max_tries=20))
        assert len(answers(asking, [ask_about(str(n)) for n in range(100)])) == 100
        assert store.spent_nanousd() == server.cost == 100 * COST
        assert sum(line.cost_nanousd for line in store.spending()) == server.cost
