import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from llm_al.annotators.chat import Batching, Chat, MemoryLedger, Price, Pricing
from llm_al.annotators.engine.batch_log import BatchLog
from llm_al.annotators.engine.session import Session
from llm_al.errors import BudgetError, ConfigError, OverloadedError, ProviderUnreachableError, RequestError
from llm_al.store import SqlStore
from llm_al.types import Annotation, Example
from tests.fakes.batches import FakeBatches
from tests.fakes.chat import FakeChat
from tests.fakes.loopback import LoopbackServer

KEY = "sk-canary-4f7d1c"
TEXTS = [
    Example("1", "where is my parcel"),
    Example("2", "i want my money back"),
    Example("3", "happy, thanks"),
    Example("4", "my parcel is late"),
]
URL = "http://llm.test/v1"


class Kill(BaseException):
    """As if the process had been killed there."""


@dataclass
class Clock:
    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def batching(make_chat: Callable[..., Chat], clock: Clock) -> Callable[..., Chat]:
    """Build a chat that has batches made, at a server whose dialect is known."""

    def make(fake: FakeBatches, base_url: str = URL, **changes: Any) -> Chat:
        fields = {name: changes.pop(name) for name in ("max_tries", "max_requests", "max_bytes") if name in changes}
        known = {"session": Session(is_known=True), "batching": Batching(clock=clock, **fields)}
        settings = {"transport": None if "127." in base_url else fake.transport(), **known, **changes}
        return make_chat(base_url, **settings)

    return make


def again(chat: Chat) -> Chat:
    """The same annotator in another process: only the ledger is left."""
    return replace(chat, session=Session(is_known=True))


def facts(annotations: list[Annotation]) -> list[Any]:
    return [(a.example_id, a.label, a.confidence, a.proba, a.signals, a.n_tokens_in, a.reason) for a in annotations]


def bill(fake: FakeBatches, price: Price, factor: float = 0.5) -> int:
    """What the server's own log comes to."""
    return sum(price.cost_nanousd(n_in, n_out, factor=factor) for _, n_in, n_out in fake.charged)


PRICE = Price(1.0, 10.0)


@pytest.mark.parametrize("is_loopback", [False, True])
def test_a_batch_says_what_a_live_run_says_at_half_the_price(is_loopback, batching, make_chat) -> None:
    live = make_chat(transport=FakeChat().transport(), prompts=("classify.v1", "classify_terse.v1"))
    expected = live.annotate(TEXTS)
    fake = FakeBatches()
    with LoopbackServer(batches=fake, api_key=KEY) as server:
        chat = batching(fake, server.url if is_loopback else URL, prompts=live.prompts)
        assert chat.annotate(TEXTS) == []
        assert (chat.n_waiting, chat.stop_reason, fake.charged) == (8, "", [])
        found = again(chat).annotate(TEXTS)
        assert not any(entry.path.endswith("/chat/completions") for entry in server.log)
    assert facts(found) == facts(expected)
    assert [2 * a.cost_nanousd for a in found] == pytest.approx([a.cost_nanousd for a in expected], abs=1)
    assert chat.ledger.spent_nanousd() == sum(a.cost_nanousd for a in found) == bill(fake, PRICE)
    assert len(fake.batches) == 1
    assert again(chat).annotate(TEXTS) == found
    assert len(fake.batches) == 1


def test_the_body_of_a_line_is_that_of_a_live_request(batching, make_chat) -> None:
    live, fake = FakeChat(), FakeBatches()
    make_chat(transport=live.transport()).annotate(TEXTS[:1])
    batching(fake).annotate(TEXTS[:1])
    [[line]] = fake.lines
    assert line["body"] == live.bodies[0]
    assert (line["method"], line["url"], len(line["custom_id"])) == ("POST", "/v1/chat/completions", 64)


def test_what_is_cached_is_not_sent_and_what_waits_is_not_sent_again(batching, make_chat) -> None:
    ledger, fake = MemoryLedger(), FakeBatches(n_looks=2)
    make_chat(transport=FakeChat().transport(), ledger=ledger).annotate(TEXTS[:1])
    chat = batching(fake, ledger=ledger)
    assert [a.example_id for a in chat.annotate(TEXTS)] == ["1"]
    assert [a.example_id for a in again(chat).annotate(TEXTS)] == ["1"]
    assert (chat.n_waiting, len(fake.batches), len(fake.lines[0])) == (3, 1, 3)
    assert [a.example_id for a in again(chat).annotate(TEXTS)] == ["1"]
    assert [a.example_id for a in again(chat).annotate(TEXTS)] == ["1", "2", "3", "4"]


def test_equal_texts_are_paid_once(batching) -> None:
    fake = FakeBatches()
    chat = batching(fake)
    copies = [Example(str(n), "happy, thanks") for n in range(20)]
    chat.annotate(copies)
    assert chat.n_waiting == 1
    assert [a.label for a in again(chat).annotate(copies)] == ["praise"] * 20
    assert len(fake.charged) == 1


def test_a_second_question_is_asked_in_the_next_batch(batching) -> None:
    fake = FakeBatches(FakeChat(lambda seen: "Z" if seen.n_questions == 1 else "refund"))
    chat = batching(fake)
    assert chat.annotate(TEXTS[:2]) == []
    assert again(chat).annotate(TEXTS[:2]) == []
    assert [len(lines) for lines in fake.lines] == [2, 2]
    found = again(chat).annotate(TEXTS[:2])
    assert [a.label for a in found] == ["refund", "refund"]
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE) == sum(a.cost_nanousd for a in found)


def test_p_true_comes_from_one_more_batch(batching) -> None:
    fake = FakeBatches()
    chat = batching(fake, verify=True)
    assert chat.annotate(TEXTS[:2]) == again(chat).annotate(TEXTS[:2]) == []
    assert all("p_true" in a.signals for a in again(chat).annotate(TEXTS[:2]))


def test_a_failed_line_is_tried_in_further_batches_and_ends_with_its_reason(batching) -> None:
    fake = FakeBatches(line_faults={1: (503, "overloaded"), 3: (400, "maximum context length exceeded")})
    chat = batching(fake, max_tries=2)
    chat.annotate(TEXTS)
    found = again(chat)
    assert [a.example_id for a in found.annotate(TEXTS)] == ["2", "3", "4"]
    assert found.n_waiting == 1
    by_id = {a.example_id: a for a in again(chat).annotate(TEXTS)}
    assert by_id["1"].label is by_id["3"].label is None
    assert by_id["1"].reason.startswith("no answer: ")
    assert "HTTP 503" in by_id["1"].reason
    assert "context length" in by_id["3"].reason
    assert [len(lines) for lines in fake.lines] == [4, 1]
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE)


@pytest.mark.parametrize(
    ("what", "reason"), [("error", "the batch gave no answer: gone"), ("missing", "without an answer")]
)
def test_a_line_without_a_response_is_tried_again(what: str, reason: str, batching) -> None:
    fake = FakeBatches(line_faults={1: (what, "gone")})
    chat = batching(fake, max_tries=1)
    chat.annotate(TEXTS[:2])
    first, second = again(chat).annotate(TEXTS[:2])
    assert first.label is None
    assert reason in first.reason
    assert second.label == "refund"
    fake.line_faults.clear()
    retried = replace(again(chat), batching=replace(chat.batching, max_tries=2))
    assert [a.label for a in retried.annotate(TEXTS[:2])] == ["refund"]
    assert [a.label for a in again(retried).annotate(TEXTS[:2])] == ["delivery", "refund"]
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE)


@pytest.mark.parametrize(("fate", "n_first"), [("expired", 2), ("cancelled", 2), ("failed", 0)])
def test_the_rest_of_a_batch_that_ended_early_goes_into_the_next(fate: str, n_first: int, batching) -> None:
    fake = FakeBatches(fates={1: fate})
    chat = batching(fake)
    chat.annotate(TEXTS)
    found = again(chat)
    assert len(found.annotate(TEXTS)) == n_first
    assert (found.n_waiting, len(fake.lines[1])) == (4 - n_first, 4 - n_first)
    assert [a.label for a in again(chat).annotate(TEXTS)] == ["delivery", "refund", "praise", "delivery"]
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE)


def test_batches_that_always_fail_end_in_abstentions(batching) -> None:
    fake = FakeBatches(fates=dict.fromkeys(range(1, 9), "failed"))
    chat = batching(fake, max_tries=3)
    for _ in range(3):
        assert again(chat).annotate(TEXTS) == []
    found = again(chat).annotate(TEXTS)
    assert [a.label for a in found] == [None] * 4
    assert "ended as 'failed' without an answer: line 1 is too long" in found[0].reason
    assert (len(fake.batches), chat.ledger.spent_nanousd()) == (3, 0)


def test_what_a_server_does_not_support_is_left_out_of_the_next_batch(batching) -> None:
    fake = FakeBatches(FakeChat(refuses=frozenset({"logprobs"})))
    chat = batching(fake, max_tries=1)
    chat.annotate(TEXTS[:2])
    later = again(chat)
    later.annotate(TEXTS[:2])
    assert later.session.dialect.has_logprobs is False
    assert "logprobs" not in fake.lines[1][0]["body"]
    assert [a.label for a in again(later).annotate(TEXTS[:2])] == ["delivery", "refund"]


def test_an_unknown_server_is_asked_once_at_once(batching) -> None:
    fake = FakeBatches(FakeChat(refuses=frozenset({"json_schema"})))
    chat = batching(fake, session=Session())
    assert [a.example_id for a in chat.annotate(TEXTS)] == ["1"]
    assert [("tools" in line["body"]) for line in fake.lines[0]] == [True] * 3
    assert chat.n_waiting == 3


def test_a_file_holds_no_more_than_the_server_takes(batching) -> None:
    fake = FakeBatches()
    many = [Example(str(n), f"parcel number {n}") for n in range(7)]
    chat = batching(fake, max_requests=3)
    chat.annotate(many)
    assert [len(lines) for lines in fake.lines] == [3, 3, 1]
    assert chat.n_waiting == 7
    assert len(again(chat).annotate(many)) == 7
    fake = FakeBatches()
    batching(fake, max_bytes=6_000).annotate(many)
    assert sum(map(len, fake.lines)) == 7
    assert 1 < len(fake.batches) < 7
    assert max(len(fake.files[batch["input_file_id"]]) for batch in fake.batches) <= 6_000


@pytest.mark.parametrize("n_fitting", [0, 1, 3])
def test_only_as_many_are_sent_as_the_cap_allows_at_the_most(n_fitting: int, batching) -> None:
    fake = FakeBatches()
    free = batching(FakeBatches())
    [question] = free.questions()
    costs = [question.request(e.text).max_cost_nanousd(PRICE, 0.5) for e in TEXTS]
    chat = batching(fake, pricing=Pricing(PRICE, sum(costs[:n_fitting]) + costs[n_fitting] - 1))
    if n_fitting == 0:
        with pytest.raises(BudgetError, match=r"nothing was sent; raise budget\.llm_usd"):
            chat.annotate(TEXTS)
        assert (fake.batches, chat.ledger.spent_nanousd(), chat.n_waiting) == ([], 0, 0)
        return
    assert chat.annotate(TEXTS) == []
    assert (len(fake.lines[0]), chat.n_waiting) == (n_fitting, n_fitting)
    assert "the LLM cap of $" in chat.stop_reason
    assert chat.ledger.spent_nanousd() == sum(costs[:n_fitting])
    later = again(chat)
    found = later.annotate(TEXTS)
    # What the maximum price was above the real one pays for more of them.
    assert [a.example_id for a in found] == [e.id for e in TEXTS[:n_fitting]]
    assert chat.ledger.spent_nanousd() <= chat.pricing.cap_nanousd


class Dying(MemoryLedger):
    """Kills its process at the n-th write of a fact, before or after it."""

    def __init__(self, at: int = 0) -> None:
        super().__init__()
        self.at, self.n_writes = at, 0

    def remember(self, key: str, value: str) -> None:
        self.n_writes += 1
        if self.n_writes == self.at:
            raise Kill
        super().remember(key, value)


def finish(chat: Chat, clock: Clock) -> list[Annotation]:
    """Run again as a user would, until nothing waits."""
    for _ in range(5):
        fresh = again(chat)
        found = fresh.annotate(TEXTS)
        if not fresh.n_waiting:
            return found
        clock.now += 61.0
    raise AssertionError("it never ends")


@pytest.mark.parametrize("at", range(1, 8))
def test_a_kill_at_any_write_pays_nothing_twice(at: int, batching, clock) -> None:
    """Writes of a submission: requests, intent, requests granted, sent, id; of a collection: end, requests."""
    fake, ledger = FakeBatches(), Dying(at)
    chat = batching(fake, ledger=ledger)
    with pytest.raises(Kill):
        [again(chat).annotate(TEXTS) for _ in range(3)]
    assert [a.label for a in finish(chat, clock)] == ["delivery", "refund", "praise", "delivery"]
    assert len(fake.charged) == len({name for name, *_ in fake.charged}) == 4
    assert ledger.spent_nanousd() == bill(fake, PRICE)
    assert sum(call.lost_nanousd + call.reserved_nanousd for call in ledger.calls.values()) == 0


def test_a_batch_made_before_its_id_was_written_down_is_found_by_its_tag(batching, clock) -> None:
    fake, ledger = FakeBatches(page_size=2), Dying(at=5)
    chat = batching(fake, ledger=ledger)
    with pytest.raises(Kill):
        chat.annotate(TEXTS)
    # Others use the same account.
    fake.batches += [{**fake.batches[0], "id": f"batch-{n}", "metadata": {"llm_al": "x"}} for n in range(2, 7)]
    assert BatchLog.read(chat.endpoint, ledger).open[0].id is None
    assert len(again(chat).annotate(TEXTS)) == 4
    assert fake.calls.count("POST /batches") == 1
    assert fake.calls.count("GET /batches") == 3


def test_a_batch_whose_answer_got_lost_is_looked_for_before_another_is_made(batching, clock) -> None:
    fake = FakeBatches(faults={"POST /batches": "drop_after"})
    chat = batching(fake)
    with pytest.raises(OverloadedError, match="HTTP 500"):
        chat.annotate(TEXTS)
    fake.faults.clear()
    assert len(finish(chat, clock)) == 4
    assert (len(fake.batches), len(fake.charged)) == (1, 4)


def test_a_batch_that_was_never_made_is_waited_for_and_then_made_anew(batching, clock) -> None:
    fake = FakeBatches(faults={"POST /batches": 500})
    chat = batching(fake)
    with pytest.raises(OverloadedError):
        chat.annotate(TEXTS)
    fake.faults.clear()
    assert again(chat).annotate(TEXTS) == []
    assert fake.batches == []
    clock.now += 61.0
    assert again(chat).annotate(TEXTS) == []
    assert len(fake.batches) == 1
    assert len(again(chat).annotate(TEXTS)) == 4
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE)


def test_without_a_list_of_batches_a_lost_one_counts_as_paid(batching, clock) -> None:
    fake = FakeBatches(faults={"POST /batches": "drop_after", "GET /batches": 404})
    chat = batching(fake)
    with pytest.raises(OverloadedError):
        chat.annotate(TEXTS)
    reserved = chat.ledger.spent_nanousd()
    del fake.faults["POST /batches"]
    assert len(finish(chat, clock)) == 4
    assert len(fake.batches) == 2
    assert chat.ledger.spent_nanousd() == reserved + bill(fake, PRICE)


def test_a_batch_whose_answers_the_server_has_thrown_away_counts_as_paid_and_is_made_anew(batching, clock) -> None:
    fake = FakeBatches()
    chat = batching(fake)
    chat.annotate(TEXTS)
    reserved = chat.ledger.spent_nanousd()
    fake.faults["GET /files/*/content"] = 404
    assert again(chat).annotate(TEXTS) == []
    fake.faults.clear()
    assert len(finish(chat, clock)) == 4
    assert len(fake.batches) == 2
    assert chat.ledger.spent_nanousd() == reserved + bill(fake, PRICE) // 2


def test_a_server_without_batches_is_named_and_costs_nothing(batching) -> None:
    fake = FakeBatches(faults={"POST /files": 404})
    chat = batching(fake)
    with pytest.raises(RequestError, match=r"offers no Batch API \(HTTP 404\); set llm.batch: false"):
        chat.annotate(TEXTS)
    assert chat.ledger.spent_nanousd() == 0
    assert BatchLog.read(chat.endpoint, chat.ledger).open == []


def test_nobody_at_the_url_costs_nothing(batching) -> None:
    chat = batching(FakeBatches(), "http://127.0.0.1:9/v1")
    with pytest.raises(ProviderUnreachableError, match="no LLM server answers"):
        chat.annotate(TEXTS)
    assert chat.ledger.spent_nanousd() == 0


def test_a_batch_that_the_server_forgot_counts_as_paid_and_is_made_again(batching) -> None:
    fake = FakeBatches()
    chat = batching(fake)
    chat.annotate(TEXTS[:1])
    reserved = chat.ledger.spent_nanousd()
    fake.batches[0] = {**fake.batches[0], "id": "batch-99"}
    assert again(chat).annotate(TEXTS[:1]) == []
    assert chat.ledger.spent_nanousd() == 2 * reserved
    assert len(fake.batches) == 2


def test_foreign_and_broken_lines_change_nothing(batching) -> None:
    fake = FakeBatches()
    chat = batching(fake)
    chat.annotate(TEXTS[:2])
    server_look = fake._look

    def look(batch: dict[str, Any]) -> dict[str, Any]:
        looked = server_look(batch)
        name = looked["output_file_id"]
        good = fake.files[name]
        first = good.splitlines()[0]
        fake.files[name] = b'not json\n[1]\n{"custom_id": "other", "response": null}\n\n' + first + b"\n" + good.strip()
        return looked

    fake._look = look  # type: ignore[method-assign]
    assert [a.label for a in again(chat).annotate(TEXTS[:2])] == ["delivery", "refund"]
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE)


def test_an_answer_without_counts_is_charged_at_the_most(batching) -> None:
    fake = FakeBatches(FakeChat(counts_tokens=False))
    chat = batching(fake)
    chat.annotate(TEXTS[:1])
    reserved = chat.ledger.spent_nanousd()
    [found] = again(chat).annotate(TEXTS[:1])
    assert chat.ledger.spent_nanousd() == reserved == found.cost_nanousd


def test_batches_live_in_the_database_of_a_project(batching, tmp_path) -> None:
    fake = FakeBatches()
    with SqlStore(tmp_path / "a.db") as store:
        batching(fake, ledger=store.ledger).annotate(TEXTS)
        assert store.spent_nanousd() > 0
    with SqlStore(tmp_path / "a.db") as store:
        found = batching(fake, ledger=store.ledger).annotate(TEXTS)
        assert [a.label for a in found] == ["delivery", "refund", "praise", "delivery"]
        assert store.spent_nanousd() == bill(fake, PRICE) == sum(a.cost_nanousd for a in found)


def test_the_key_goes_to_the_server_alone_and_echoes_are_taken_out(batching) -> None:
    fake = FakeBatches(
        FakeChat(content=lambda _seen, code: json.dumps({"code": code, "rationale": KEY})),
        line_faults={2: (500, f"you sent {KEY}")},
    )
    chat = batching(fake, max_tries=1)
    chat.annotate(TEXTS[:2])
    found = again(chat).annotate(TEXTS[:2])
    assert [a.label for a in found] == ["delivery", None]
    assert "canary" not in repr((found, chat, chat.ledger.calls, chat.ledger._facts))
    assert not any(b"canary" in content for name, content in fake.files.items() if name == "file-1")


def test_the_price_factor_is_a_share() -> None:
    with pytest.raises(ConfigError, match=r"llm\.batch_price_factor is 0"):
        Batching(price_factor=0.0)


def test_a_batch_that_the_server_will_not_show_today_is_not_given_up(batching, clock) -> None:
    fake = FakeBatches()
    chat = batching(fake)
    chat.annotate(TEXTS)
    fake.faults["GET /batches/*"] = 402
    with pytest.raises(RequestError, match="answered HTTP 402"):
        again(chat).annotate(TEXTS)
    fake.faults.clear()
    assert len(finish(chat, clock)) == 4
    assert len(fake.batches) == 1
    assert chat.ledger.spent_nanousd() == bill(fake, PRICE)
