import asyncio
import dataclasses
import json
import traceback

import httpx
import pytest
import respx

from llm_al.annotators.chat import Endpoint, Limits, MemoryLedger, Price, Pricing, Sampling
from llm_al.annotators.chat.fences import cut_middle
from llm_al.errors import (
    AuthenticationError,
    BudgetError,
    ConfigError,
    OverloadedError,
    ProviderError,
    ProviderUnreachableError,
    RequestError,
)
from llm_al.protocols import Annotator
from llm_al.types import NONE_OF_THESE, AnnotatorKind, Example
from tests.fakes.chat import FakeChat, error, mounted
from tests.fakes.loopback import Fault, LoopbackServer

PROMPTS = ("classify.v1", "classify_reversed.v1", "classify_terse.v1")
RIGHT = ["delivery", "refund", "praise"]


def _router(*responses: httpx.Response) -> respx.MockRouter:
    router = respx.MockRouter(assert_all_called=False)
    router.route().mock(side_effect=list(responses))
    return router


@pytest.mark.parametrize("prompt", PROMPTS)
def test_each_prompt_goes_there_and_back_over_respx(prompt: str, make_chat, examples) -> None:
    chat = make_chat(prompts=(prompt,), transport=FakeChat().transport())
    annotations = chat.annotate(examples)
    assert [a.label for a in annotations] == RIGHT
    first = annotations[0]
    assert (first.source, first.model, first.prompt) == (f"llm:model-x/{prompt}", "model-x", prompt)
    assert first.kind is AnnotatorKind.LLM
    assert first.confidence == pytest.approx(0.9)
    assert first.proba == pytest.approx((0.9 / (0.9 + 0.2 / 3), 0.1 / 3 / (0.9 + 0.2 / 3), 0.1 / 3 / (0.9 + 0.2 / 3)))
    assert first.n_tokens_out == 6
    assert first.cost_nanousd == first.n_tokens_in + 60
    assert first.duration_s is not None


@pytest.mark.parametrize("prompt", PROMPTS)
def test_each_prompt_goes_there_and_back_over_loopback(prompt: str, make_chat, examples) -> None:
    with LoopbackServer() as server:
        chat = make_chat(server.url, prompts=(prompt,))
        assert [a.label for a in chat.annotate(examples)] == RIGHT
        assert len(server.paid) == 3
        assert server.headers[0]["authorization"] == "Bearer sk-canary-4f7d1c"


def test_annotations_come_by_example_and_prompt_however_they_finish(make_chat, examples) -> None:
    with LoopbackServer(faults={1: Fault("503")}) as server:
        annotations = make_chat(server.url, prompts=PROMPTS).annotate(examples)
    assert [(a.example_id, a.prompt) for a in annotations] == [(e.id, p) for e in examples for p in PROMPTS]


def test_the_request_asks_for_one_of_the_codes(make_chat, examples) -> None:
    fake = FakeChat()
    make_chat(transport=fake.transport()).annotate(examples[:1])
    schema = fake.bodies[0]["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["properties"]["code"]["enum"] == ["A", "B", "C", "D"]
    assert fake.bodies[0]["temperature"] == 0.0
    assert fake.bodies[0]["logprobs"] is True


def test_asking_again_pays_nothing_and_says_the_same(make_chat, examples) -> None:
    fake = FakeChat()
    chat = make_chat(transport=fake.transport())
    first = chat.annotate(examples)
    spent = chat.ledger.spent_nanousd()
    again = dataclasses.replace(chat, round=2).annotate(examples)
    assert len(fake.bodies) == 3
    assert chat.ledger.spent_nanousd() == spent == sum(a.cost_nanousd for a in first)
    assert [(a.label, a.confidence, a.cost_nanousd) for a in again] == [
        (a.label, a.confidence, a.cost_nanousd) for a in first
    ]
    assert again[0].round == 2
    assert again[0].duration_s is None


def test_other_parameters_are_other_requests(make_chat, examples) -> None:
    fake, ledger = FakeChat(), MemoryLedger()
    for sampling in (Sampling(), Sampling(temperature=0.5), Sampling(max_answer_tokens=9), Sampling(logprobs=False)):
        make_chat(sampling=sampling, ledger=ledger, transport=fake.transport()).annotate(examples[:1])
    make_chat(endpoint=Endpoint("http://llm.test/v1", "other"), ledger=ledger, transport=fake.transport()).annotate(
        examples[:1]
    )
    assert len(ledger.calls) == 5


def test_equal_texts_of_one_run_are_paid_once(make_chat) -> None:
    fake = FakeChat()
    chat = make_chat(transport=fake.transport())
    annotations = chat.annotate([Example(str(n), "happy, thanks") for n in range(20)])
    assert [a.label for a in annotations] == ["praise"] * 20
    assert len(fake.bodies) == 1


@pytest.mark.parametrize(
    ("refuses", "kept"),
    [
        ({"json_schema"}, "tools"),
        ({"json_schema", "tools"}, {"type": "json_object"}),
        ({"json_schema", "tools", "json_object"}, None),
        ({"response_format", "tools"}, None),
    ],
)
def test_a_server_without_schemas_is_asked_more_plainly_and_remembered(refuses, kept, make_chat, examples) -> None:
    fake = FakeChat(refuses=frozenset(refuses))
    chat = make_chat(limits=Limits(concurrency=1), transport=fake.transport())
    assert [a.label for a in chat.annotate(examples)] == RIGHT
    last = fake.bodies[-1]
    assert last.get("response_format", "tools" if "tools" in last else None) == kept
    n_sent = len(fake.bodies)
    assert chat.annotate([Example("4", "refund")])[0].label == "refund"
    assert len(fake.bodies) == n_sent + 1


def test_a_server_without_logprobs_gives_unknown_confidence(make_chat, examples) -> None:
    fake = FakeChat(refuses=frozenset({"logprobs"}))
    annotations = make_chat(limits=Limits(concurrency=3), transport=fake.transport()).annotate(examples)
    assert [a.label for a in annotations] == RIGHT
    assert [a.confidence for a in annotations] == [None] * 3
    assert "top_logprobs" not in fake.bodies[-1]


def test_token_limit_and_temperature_are_renamed_or_left_out_when_refused(make_chat, examples) -> None:
    use = error("'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.")
    temperature = error("Unsupported value: 'temperature' does not support 0 with this model.")
    answer = FakeChat()
    bodies = []

    def serve(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        bodies.append(body)
        if "max_tokens" in body:
            return httpx.Response(400, json=use)
        if "temperature" in body:
            return httpx.Response(400, json=temperature)
        return httpx.Response(*answer.respond(body)[:1], json=answer.respond(body)[1])

    router = respx.MockRouter()
    router.route().mock(side_effect=serve)
    assert make_chat(transport=mounted(router)).annotate(examples[:1])[0].label == "delivery"
    assert bodies[-1]["max_completion_tokens"] == 64
    assert "temperature" not in bodies[-1]


def test_an_off_list_answer_is_asked_for_once_more_and_both_are_paid(make_chat, examples) -> None:
    fake = FakeChat(lambda seen: "delivery" if seen.n_questions == 2 else "X")
    chat = make_chat(transport=fake.transport())
    annotation = chat.annotate(examples[:1])[0]
    assert annotation.label == "delivery"
    assert len(fake.bodies) == 2
    assert "the answer 'X' is not one of: A, B, C, D" in fake.bodies[1]["messages"][-1]["content"]
    assert annotation.n_tokens_out == 12
    assert annotation.cost_nanousd == chat.ledger.spent_nanousd()
    assert chat.annotate(examples[:1])[0].label == "delivery"
    assert len(fake.bodies) == 2


def test_an_answer_that_stays_off_list_abstains_with_the_reason(make_chat, examples) -> None:
    chat = make_chat(transport=FakeChat(lambda _seen: "X").transport())
    annotation = chat.annotate(examples[:1])[0]
    assert annotation.label is None
    assert annotation.confidence is None
    assert annotation.reason == "the answer 'X' is not one of: A, B, C, D"
    assert len(chat.ledger.calls) == 2


def test_none_of_these_is_an_answer_without_class_probabilities(make_chat, examples) -> None:
    annotation = make_chat(transport=FakeChat(lambda _seen: NONE_OF_THESE).transport()).annotate(examples[:1])[0]
    assert annotation.label == NONE_OF_THESE
    assert annotation.confidence == pytest.approx(0.9)
    assert annotation.proba is None


def test_a_server_that_does_not_count_tokens_is_charged_at_the_maximum(make_chat, examples) -> None:
    chat = make_chat(transport=FakeChat(counts_tokens=False).transport())
    annotation = chat.annotate(examples[:1])[0]
    assert annotation.cost_nanousd > 640
    assert chat.ledger.spent_nanousd() == annotation.cost_nanousd


def test_a_cap_below_one_call_is_refused_before_anything_is_sent(make_chat, examples) -> None:
    fake = FakeChat()
    chat = make_chat(pricing=Pricing(Price(1.0, 10.0), 100), transport=fake.transport())
    with pytest.raises(
        BudgetError, match=r"cap of \$0\.000000100 is below the price of one call .* at most \$0\.00000"
    ):
        chat.annotate(examples)
    assert fake.bodies == []
    assert chat.ledger.calls == {}


@pytest.mark.parametrize("concurrency", [1, 16])
def test_a_cap_stops_the_run_keeps_what_was_paid_and_says_why(concurrency: int, make_chat) -> None:
    examples = [Example(str(n), f"thanks number {n}") for n in range(50)]
    cap = 10_000
    chat = make_chat(
        pricing=Pricing(Price(1.0, 10.0), cap), limits=Limits(concurrency=concurrency), transport=FakeChat().transport()
    )
    annotations = chat.annotate(examples)
    assert 0 < len(annotations) < 50
    assert {a.label for a in annotations} == {"praise"}
    assert "cap of $0.0000 is reached" in chat.stop_reason
    assert chat.ledger.spent_nanousd() <= cap
    assert len(chat.annotate(examples[::-1])) == len(annotations)


def test_a_cap_is_used_up_to_the_last_call_that_fits(make_chat) -> None:
    examples = [Example(str(n), f"thanks {n:03}") for n in range(60)]
    alone = make_chat(transport=FakeChat().transport())
    price = alone.annotate(examples[:1])[0].cost_nanousd
    cap = price * 40
    chat = make_chat(pricing=Pricing(Price(1.0, 10.0), cap), transport=FakeChat().transport())
    n_kept = len(chat.annotate(examples))
    assert 30 <= n_kept <= 40


def test_a_wrong_key_is_one_clear_message_without_the_key(make_chat, examples) -> None:
    with LoopbackServer(api_key="right") as server:
        for act in (lambda: make_chat(server.url).annotate(examples), lambda: make_chat(server.url).check()):
            with pytest.raises(
                AuthenticationError, match=r"refused the API key \(HTTP 401\).*OPENAI_API_KEY"
            ) as caught:
                act()
            assert "canary" not in "".join(traceback.format_exception(caught.value))
        assert "canary" not in repr(make_chat(server.url))
        assert sum("chat" in entry.path for entry in server.log) <= 4


def test_an_unreachable_server_is_named(make_chat, examples) -> None:
    with LoopbackServer() as server:
        url = server.url
    for act in (lambda: make_chat(url).annotate(examples), lambda: make_chat(url).check()):
        with pytest.raises(ProviderUnreachableError, match=f"no LLM server answers at {url}") as caught:
            act()
        assert isinstance(caught.value, ConnectionError)


def test_check_accepts_servers_with_and_without_a_model_list(make_chat) -> None:
    with LoopbackServer() as server:
        make_chat(server.url).check()
        assert not server.paid
    make_chat(transport=mounted(_router(httpx.Response(404, json={})))).check()


@pytest.mark.parametrize("status", [400, 404, 422, 402])
def test_a_request_that_cannot_succeed_stops_the_run(status: int, make_chat, examples) -> None:
    with LoopbackServer(faults=dict.fromkeys(range(1, 99), Fault(str(status)))) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=1))
        with pytest.raises(RequestError, match=rf"answered HTTP {status} for model 'model-x': .*a fault to order"):
            chat.annotate(examples)
        assert len(server.log) == 1
    assert chat.ledger.spent_nanousd() == 0


def test_used_up_credit_is_not_waited_for(make_chat, examples, fake_time) -> None:
    broke = httpx.Response(429, json=error("You exceeded your current quota", "insufficient_quota"))
    with pytest.raises(RequestError, match="has no credit left"):
        make_chat(limits=Limits(concurrency=1), transport=mounted(_router(broke))).annotate(examples)
    assert fake_time.slept == []


@pytest.mark.parametrize("fault", ["500", "503", "408", "409", "drop", "truncate", "garbage"])
def test_passing_faults_are_tried_again(fault: str, make_chat, examples, fake_time) -> None:
    with LoopbackServer(faults={1: Fault(fault)}) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=1))
        assert [a.label for a in chat.annotate(examples)] == RIGHT
        assert len(server.log) == 4
    assert fake_time.slept == [0.5]


def test_retry_after_is_honoured(make_chat, examples, fake_time) -> None:
    with LoopbackServer(faults={1: Fault("429", "12.5")}) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=1))
        assert [a.label for a in chat.annotate(examples)] == RIGHT
    assert fake_time.slept == [12.5]


def test_a_hanging_server_is_given_up_after_the_timeout_and_stays_reserved(make_chat, examples) -> None:
    with LoopbackServer(faults=dict.fromkeys(range(1, 9), Fault("hang"))) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=1, timeout_s=0.05, max_tries=2))
        with pytest.raises(OverloadedError, match=r"no answer within 0\.05 s"):
            chat.annotate(examples[:1])
    assert chat.ledger.spent_nanousd() > 0


def test_one_text_that_always_fails_abstains_and_the_rest_goes_on(make_chat, examples) -> None:
    with LoopbackServer(faults=dict.fromkeys((2, 3, 4), Fault("500"))) as server:
        annotations = make_chat(server.url, limits=Limits(concurrency=1, max_tries=3)).annotate(examples)
    assert [a.label for a in annotations] == ["delivery", None, "praise"]
    assert annotations[1].reason.startswith("no answer: http://127.0.0.1")


def test_a_server_that_is_down_stops_the_run_and_keeps_earlier_answers(make_chat) -> None:
    examples = [Example(str(n), f"thanks {n}") for n in range(20)]
    with LoopbackServer(faults=dict.fromkeys(range(3, 99), Fault("503"))) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=1, max_tries=2))
        with pytest.raises(OverloadedError, match="HTTP 503"):
            chat.annotate(examples)
        assert len(server.log) == 2 + 3 * 2
    assert len(chat.ledger.calls) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        httpx.Response(400, json=error("This model's maximum context length is 4096 tokens.")),
        httpx.Response(400, json=error("filtered", "content_filter")),
        httpx.Response(413, json=error("too large")),
    ],
)
def test_a_text_that_the_server_refuses_abstains(refusal: httpx.Response, make_chat, examples) -> None:
    answer = httpx.Response(200, json={"choices": [{"message": {"content": '{"code": "B"}'}}], "usage": {}})
    chat = make_chat(limits=Limits(concurrency=1), transport=mounted(_router(refusal, answer)))
    annotations = chat.annotate(examples[:2])
    assert [a.label for a in annotations] == [None, "refund"]
    assert "left to people" in annotations[0].reason


def test_after_a_fatal_error_answers_under_way_are_kept(make_chat) -> None:
    examples = [Example(str(n), f"thanks {n}") for n in range(40)]
    with LoopbackServer(faults={2: Fault("401")}, latency_s=0.02) as server:
        chat = make_chat(server.url, limits=Limits(concurrency=4))
        with pytest.raises(AuthenticationError):
            chat.annotate(examples)
        n_answered = sum(server.paid.values())
    assert 1 <= n_answered < 40
    assert len(chat.ledger.calls) == n_answered
    assert all(call.response is not None for call in chat.ledger.calls.values())


def test_annotating_inside_a_running_event_loop_works(make_chat, examples) -> None:
    async def notebook() -> list[str | None]:
        return [a.label for a in make_chat(transport=FakeChat().transport()).annotate(examples)]

    assert asyncio.run(notebook()) == RIGHT


def test_progress_reaches_the_total(make_chat, examples) -> None:
    seen: list[tuple[str, int, int]] = []
    chat = make_chat(prompts=PROMPTS, progress=lambda *args: seen.append(args), transport=FakeChat().transport())
    chat.annotate(examples)
    assert seen[-1] == ("llm", 9, 9)
    assert len(seen) == 9


def test_long_texts_are_cut_in_the_middle_and_say_so(make_chat) -> None:
    fake = FakeChat()
    chat = make_chat(sampling=Sampling(max_text_characters=20), transport=fake.transport())
    annotation = chat.annotate([Example("1", "happy, " + "x" * 500 + " thanks")])[0]
    assert "x" * 30 not in fake.bodies[0]["messages"][1]["content"]
    assert annotation.reason == "the text was cut to 20 characters"
    assert cut_middle("ab", 2) == "ab"


def test_estimate_sends_nothing_and_brackets_the_real_price(make_chat, examples) -> None:
    fake = FakeChat()
    chat = make_chat(prompts=PROMPTS, transport=fake.transport())
    estimate = chat.estimate(examples)
    assert fake.bodies == []
    assert (estimate.n_calls, estimate.n_cached) == (9, 0)
    real = sum(a.cost_nanousd for a in chat.annotate(examples))
    assert estimate.cost_low_nanousd is not None
    assert estimate.cost_high_nanousd is not None
    assert estimate.cost_low_nanousd <= real <= estimate.cost_high_nanousd
    after = chat.estimate(examples)
    assert (after.n_calls, after.n_cached, after.cost_high_nanousd) == (0, 9, 0)
    assert chat.estimate([]).n_calls == 0


def test_estimate_scales_a_sample_up(make_chat) -> None:
    chat = make_chat(transport=FakeChat().transport())
    small = chat.estimate([Example(str(n), "thanks") for n in range(500)])
    large = chat.estimate([Example(str(n), "thanks") for n in range(5000)])
    assert large.n_calls == 5000
    assert large.n_tokens_in == pytest.approx(10 * small.n_tokens_in, rel=0.01)


def test_unknown_price_gives_no_cost_and_a_cap_on_it_is_refused(make_chat, examples) -> None:
    chat = make_chat(pricing=Pricing())
    assert chat.estimate(examples).cost_high_nanousd is None
    with pytest.raises(ConfigError, match=r"set llm\.price"):
        make_chat(pricing=Pricing(None, 10**9))


def test_it_is_an_annotator_and_needs_distinct_prompts(make_chat) -> None:
    chat = make_chat()
    assert isinstance(chat, Annotator)
    assert chat.name == "llm:model-x"
    assert chat.annotate([]) == []
    for prompts in ((), ("classify.v1", "classify.v1")):
        with pytest.raises(ConfigError, match=r"llm\.prompts is"):
            make_chat(prompts=prompts)


def test_without_a_key_the_environment_is_not_asked(make_chat, examples, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-env")
    with LoopbackServer() as server:
        make_chat(endpoint=Endpoint(server.url, "m")).annotate(examples[:1])
        assert server.headers[0]["authorization"] == "Bearer none"


def test_no_error_shows_the_key_even_if_the_server_echoes_it(make_chat, examples) -> None:
    for status in (400, 401, 404, 429, 500):
        echo = httpx.Response(status, json=error("you sent sk-canary-4f7d1c"))
        chat = make_chat(limits=Limits(concurrency=1, max_tries=1), transport=mounted(_router(*[echo] * 9)))
        with pytest.raises(ProviderError) as caught:
            chat.annotate(examples)
        assert "canary" not in "".join(traceback.format_exception(caught.value))
