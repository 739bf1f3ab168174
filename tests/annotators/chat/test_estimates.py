import json
import random
import re
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import httpx2
import numpy as np
import pytest

from llm_al.annotators.chat import Batching, Chat, Endpoint, Limits, MemoryLedger, Price, Pricing, Sampling
from llm_al.annotators.chat.counting import TokenRule, by_history
from llm_al.annotators.panel import Panel
from llm_al.money import PastCall
from llm_al.types import Example
from tests.fakes.chat import FakeChat
from tests.fakes.loopback import LoopbackServer

WORDS = ["parcel", "money", "refund", "happy", "thanks", "where", "is", "my", "lovely", "delivery", "late", "ünïcödé"]


@dataclass
class Tokenizer:
    """Splits words into pieces of a length of its own, and adds a chat template."""

    piece: float = 4.0
    template: int = 5

    def count(self, messages: Sequence[dict[str, str]]) -> int:
        return sum(self.template + self.of(message["content"]) for message in messages)

    def of(self, text: str) -> int:
        return sum(max(round(n / self.piece), 1) for n in lengths(text))


@cache
def lengths(text: str) -> tuple[int, ...]:
    return tuple(map(len, re.findall(r"\w+|\W+", text)))


@dataclass
class Counting(FakeChat):
    """A model with a tokenizer, answers of several lengths and some that are off the list."""

    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    share_off_list: float = 0.0
    seed: int = 0

    def respond(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status, said = super().respond(body)
        messages = body["messages"]
        chance = random.Random(f"{self.seed} {messages[1]['content']}")
        n_out = chance.choice([6, 6, 6, 7, 9])
        if len(messages) == 2 and chance.random() < self.share_off_list:
            said["choices"][0]["message"]["content"] = '{"code": "Z"}'
        said["usage"] = {"prompt_tokens": self.tokenizer.count(messages), "completion_tokens": n_out}
        return status, said


def texts(n: int, seed: int, name: str = "t") -> list[Example]:
    chance = random.Random(seed)
    return [Example(f"{name}{i}", f"{i} " + " ".join(chance.choices(WORDS, k=chance.randint(2, 60)))) for i in range(n)]


def as_vllm(tokenizer: Tokenizer) -> Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]:
    def respond(body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        return (200, {"count": tokenizer.count(body["messages"])}) if "messages" in body else (400, {})

    return respond


def as_llama_cpp(tokenizer: Tokenizer) -> Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]:
    return lambda body: (200, {"tokens": [1] * tokenizer.of(body.get("content", ""))})


def direct(fake: FakeChat, serve: Any, log: list[str]) -> httpx2.MockTransport:
    """Serve without a socket, which is many times faster."""

    async def handle(request: httpx2.Request) -> httpx2.Response:
        log.append(request.url.path)
        body = json.loads(await request.aread())
        status, said = serve(body) if request.url.path == "/tokenize" else fake.respond(body)
        return httpx2.Response(status, json=said)

    return httpx2.MockTransport(handle)


RULES = {"history": None, "vllm": as_vllm, "llama.cpp": as_llama_cpp, "characters": None}


def case(rule: str, seed: int) -> tuple[Tokenizer, Counting, Any]:
    tokenizer = Tokenizer(random.Random(seed).uniform(3.3, 4.8), seed % 9)
    fake = Counting(tokenizer=tokenizer, share_off_list=0.02 * (seed % 4), seed=seed, confidence=None)
    make = RULES[rule]
    return tokenizer, fake, make and make(tokenizer)


@pytest.mark.parametrize("rule", RULES)
def test_the_real_cost_lies_within_the_interval_in_95_of_100_runs(rule: str, make_chat) -> None:
    """25 seeds a rule; a miss in any rule would cost 4 of the 100."""
    inside, widths = 0, []
    for seed in range(25):
        _, fake, serve = case(rule, seed)
        log: list[str] = []
        wide = Limits(25, 5.0, 3)
        chat = make_chat(tokenize=serve is not None, transport=direct(fake, serve, log), limits=wide)
        if rule == "history":
            chat.annotate(texts(25, seed + 1000, "past"))
            log.clear()
        drawn = texts(25, seed)
        estimate = chat.estimate(drawn)
        assert set(log) == ({"/tokenize"} if serve else set())
        real = sum(a.cost_nanousd for a in chat.annotate(drawn))
        low, high = estimate.cost_low_nanousd, estimate.cost_high_nanousd
        inside += low <= real <= high
        widths.append((high - low) / real)
    assert inside >= 24
    # Those who know the tokens can say more, except for answers that nobody has seen yet.
    assert np.mean(widths) < {"history": 0.5, "characters": 2.2}.get(rule, 1.8)


@pytest.mark.parametrize("rule", sorted(RULES))
def test_the_log_of_the_server_holds_nothing_but_counting(rule: str, make_chat) -> None:
    _, fake, serve = case(rule, 0)
    with LoopbackServer(fake, tokenizer=serve) as server:
        chat = make_chat(server.url, tokenize=None if serve else False)
        estimate = chat.estimate(texts(9, 0))
        assert {entry.path for entry in server.log} == ({"/tokenize"} if serve else set())
        real = sum(a.cost_nanousd for a in chat.annotate(texts(9, 0)))
    assert estimate.cost_low_nanousd <= real <= estimate.cost_high_nanousd


def test_the_rule_with_the_most_knowledge_is_named(make_chat) -> None:
    fake = Counting()
    with LoopbackServer(fake, tokenizer=as_vllm(fake.tokenizer)) as server:
        chat = make_chat(server.url)
        first = chat.estimate(texts(9, 1))
        assert "tokens counted by the server's /tokenize" in first.notes
        assert any("no answer was seen yet" in note for note in first.notes)
        assert "characters" in replace(chat, tokenize=False).estimate(texts(9, 1)).notes[0]
        chat.annotate(texts(30, 2, "past"))
        later = chat.estimate(texts(9, 1))
        assert later.notes[0] == "tokens counted by 30 paid calls of the same prompt and model"
        assert later.notes[1] == "answers, and 0.0% second questions, as in 30 paid calls"


def test_a_server_that_is_not_local_is_asked_on_demand_only(make_chat) -> None:
    fake = Counting()
    chat = make_chat("https://llm.example.com/v1", transport=fake.transport())
    assert "characters" in chat.estimate(texts(3, 0)).notes[0]


def test_a_server_without_a_counter_is_no_error(make_chat) -> None:
    with LoopbackServer() as server:
        assert "characters" in make_chat(server.url).estimate(texts(3, 0)).notes[0]
    assert "characters" in make_chat("http://127.0.0.1:9/v1").estimate(texts(3, 0)).notes[0]


def test_batches_halve_the_money_and_take_a_day(make_chat) -> None:
    chat = make_chat(transport=FakeChat().transport())
    now, later = chat.estimate(texts(50, 0)), replace(chat, batching=Batching()).estimate(texts(50, 0))
    assert later.cost_high_nanousd == pytest.approx(now.cost_high_nanousd / 2, abs=1)
    assert (later.seconds_low, later.seconds_high) == (None, None)
    assert any("within 24 hours" in note for note in later.notes)
    assert "in batches, at 0.5 of the price" in later.notes


def test_a_prompt_cache_lowers_the_low_end_only(make_chat) -> None:
    plain = make_chat(pricing=Pricing(Price(4.0, 0.0)), transport=FakeChat().transport())
    cheaper = make_chat(pricing=Pricing(Price(4.0, 0.0, 1.0)), transport=FakeChat().transport())
    before, after = plain.estimate(texts(50, 0)), cheaper.estimate(texts(50, 0))
    assert after.cost_high_nanousd == before.cost_high_nanousd
    assert 0.25 * before.cost_low_nanousd < after.cost_low_nanousd < 0.8 * before.cost_low_nanousd
    assert any("prompt cache" in note for note in after.notes)


def test_cached_tokens_are_charged_at_their_price(make_chat) -> None:
    @dataclass
    class Cached(FakeChat):
        def respond(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            status, said = super().respond(body)
            usage = {"prompt_tokens": 100, "completion_tokens": 6, "prompt_tokens_details": {"cached_tokens": 64}}
            return status, {**said, "usage": usage}

    chat = make_chat(pricing=Pricing(Price(4.0, 10.0, 1.0)), transport=Cached().transport())
    [found] = chat.annotate(texts(1, 0))
    assert found.cost_nanousd == 36 * 4 + 64 * 1 + 6 * 10 == chat.ledger.spent_nanousd()


def test_seconds_follow_from_latency_concurrency_and_limits(make_chat) -> None:
    chat = make_chat(limits=Limits(concurrency=10), transport=FakeChat().transport())
    chat.session.latency_s = 2.0
    found = chat.estimate(texts(100, 0))
    assert found.seconds_low == pytest.approx(10 * 1.2)
    assert 10 * 3.6 <= found.seconds_high <= 12 * 3.6
    slow = replace(chat, limits=Limits(concurrency=10, requests_per_minute=10.0)).estimate(texts(100, 0))
    assert slow.seconds_low == pytest.approx(600.0)
    few = replace(chat, limits=Limits(concurrency=10, tokens_per_minute=100.0)).estimate(texts(100, 0))
    assert few.seconds_low == pytest.approx(0.6 * few.n_tokens_in, rel=0.5)
    chat.session.latency_s = None
    assert any("0.3 to 6 seconds a call are supposed" in note for note in chat.estimate(texts(3, 0)).notes)


def test_members_of_a_panel_add_their_money_and_share_their_time(make_chat) -> None:
    one = make_chat(transport=FakeChat().transport())
    two = replace(one, endpoint=Endpoint("http://llm.test/v1", "other"))
    single, both = one.estimate(texts(9, 0)), Panel((one, two)).estimate(texts(9, 0))
    assert both.cost_high_nanousd == 2 * single.cost_high_nanousd
    assert both.seconds_high == single.seconds_high
    assert both.notes == single.notes


def test_a_line_needs_enough_calls_and_sense() -> None:
    calls = [PastCall(100 + 10 * n, 2, 30 + 3 * n, 6, 0.5) for n in range(20)]
    rule = by_history(calls, 2)
    assert rule is not None
    intercepts, slopes = rule.lines(50, np.random.default_rng(0))
    assert slopes == pytest.approx(np.full(50, 0.3))
    assert intercepts == pytest.approx(np.zeros(50), abs=1e-6)
    assert rule.spread == pytest.approx(0.0, abs=1e-6)
    assert by_history(calls[:19], 2) is by_history(calls, 4) is None
    flat = TokenRule("x", (100.0,) * 5, (25.0,) * 5)
    assert flat.lines(3, np.random.default_rng(0))[1] == pytest.approx(np.full(3, 0.25))


def test_tiktoken_is_used_where_it_lies_on_disk_and_never_downloads(make_chat, monkeypatch) -> None:
    class Encoding:
        def encode(self, text: str, disallowed_special: tuple[str, ...]) -> list[str]:
            return text.split()

    loader = types.ModuleType("tiktoken.load")
    loader.read_file = lambda url: pytest.fail(f"downloads {url}")
    package = types.ModuleType("tiktoken")

    def encoding_for_model(_model: str) -> Encoding:
        if not is_on_disk:
            loader.read_file("somewhere")
        return Encoding()

    package.encoding_for_model = encoding_for_model
    monkeypatch.setitem(sys.modules, "tiktoken", package)
    monkeypatch.setitem(sys.modules, "tiktoken.load", loader)
    chat = make_chat(transport=FakeChat().transport())
    gpt = replace(chat, endpoint=Endpoint("http://llm.test/v1", "gpt-4o-mini"), pricing=Pricing(Price(1.0, 1.0)))
    is_on_disk = True
    assert gpt.estimate(texts(3, 0)).notes[0] == "tokens counted by tiktoken"
    assert chat.estimate(texts(3, 0)).notes[0] == "tokens counted by tiktoken, made for other models"
    is_on_disk = False
    assert "characters" in gpt.estimate(texts(3, 0)).notes[0]


def test_an_estimate_of_nothing_is_nothing(make_chat) -> None:
    chat: Chat = make_chat(transport=FakeChat().transport(), ledger=MemoryLedger(), sampling=Sampling())
    found = chat.estimate([])
    assert (found.n_calls, found.n_cached, found.cost_high_nanousd, found.seconds_high) == (0, 0, 0, 0.0)
    assert found.notes == ()
