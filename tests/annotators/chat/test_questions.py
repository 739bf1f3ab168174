import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from llm_al.annotators.chat import Endpoint, MemoryLedger, Price, Pricing, Sampling
from llm_al.annotators.chat.prompts import load_prompt
from llm_al.annotators.chat.questions import RATIONALE_TOKENS, Classify, Pick, Preference, Verify
from llm_al.annotators.chat.templates import prompt_names
from llm_al.annotators.engine.answers import Answer, Envelope
from llm_al.annotators.engine.engine import Ask, Engine
from llm_al.annotators.engine.requests import Request
from llm_al.errors import ConfigError
from llm_al.types import Demonstration, Label, LabelScheme, Signal
from tests.fakes.chat import FakeChat
from tests.fakes.loopback import LoopbackServer

ENDPOINT = Endpoint("http://llm.test/v1", "model-x", "sk-canary-4f7d1c")
SAMPLING = Sampling()
TEXT = "where is my parcel"
SHOWN = (Demonstration("i want my money back", "refund"), Demonstration("parcel lost", "delivery"))
NEW = [
    name
    for name in prompt_names("classify")
    if name not in ("classify.v1", "classify_reversed.v1", "classify_terse.v1")
]
Serve = Callable[[FakeChat, Sequence[Request]], list[Answer]]


@pytest.fixture(params=["respx", "loopback"])
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Send requests to a fake model through a respx route, and to a real server on loopback."""
    with ExitStack() as stack:

        def answers(chat: FakeChat, requests: Sequence[Request]) -> list[Answer]:
            place: dict[str, Any] = {"endpoint": ENDPOINT, "transport": chat.transport()}
            if request.param == "loopback":
                server = stack.enter_context(LoopbackServer(chat))
                place = {"endpoint": replace(ENDPOINT, base_url=server.url)}
            engine = Engine(ledger=MemoryLedger(), pricing=Pricing(Price(1.0, 1.0)), **place)

            async def work(ask: Ask, job: Request) -> Answer:
                return await ask(job)

            found = {answer.request.hash: answer for answer in engine.map(work, requests)}
            return [found[each.hash] for each in requests]

        yield answers


def _classify(name: str, scheme: LabelScheme, **settings: Any) -> Classify:
    return Classify(load_prompt(name, scheme), SAMPLING, ENDPOINT, **settings)


def _verify(scheme: LabelScheme) -> Verify:
    return Verify(load_prompt("verify.v1", scheme), SAMPLING, ENDPOINT)


def _pick(scheme: LabelScheme) -> Pick:
    return Pick(load_prompt("pick.v1", scheme), SAMPLING, ENDPOINT)


# Every template through a request and a response.


@pytest.mark.parametrize("name", prompt_names("classify"))
def test_every_classify_template_brings_a_label_with_its_probability(
    name: str, serve: Serve, scheme: LabelScheme
) -> None:
    question = _classify(name, scheme)
    [answer] = serve(FakeChat(), [question.request(TEXT)])
    completion = question.read(answer)
    assert completion.label == "delivery"
    assert completion.signals == pytest.approx({Signal.TOKEN_PROBABILITY: 0.9, Signal.INVALID_MASS: 0.0}, abs=1e-9)


@pytest.mark.parametrize("name", NEW)
def test_every_new_template_shows_demonstrations_and_brings_reason_and_sureness(
    name: str, serve: Serve, scheme: LabelScheme
) -> None:
    seen = []

    def look(prompt: Any) -> str:
        seen.append(prompt)
        return "delivery"

    question = _classify(name, scheme, rationale=True, verbal=True)
    [answer] = serve(FakeChat(look), [question.request(TEXT, SHOWN)])
    completion = question.read(answer)
    assert (completion.label, completion.rationale) == ("delivery", "It says so.")
    assert completion.signals[Signal.VERBALISED] == 0.75
    assert completion.confidence == pytest.approx(0.9)
    assert seen[0].text == TEXT
    codes = question.prompt.names_by_code
    assert {(text, codes[code]) for text, code in seen[0].demonstrations} <= {(d.text, d.label) for d in SHOWN}
    assert seen[0].demonstrations


@pytest.mark.parametrize(
    ("refused", "form"),
    [
        ((), "json_schema"),
        (("json_schema",), "tool"),
        (("json_schema", "tools"), "json_object"),
        (("response_format", "tools"), "plain"),
    ],
)
def test_the_label_is_read_from_every_form_that_a_server_knows(
    refused: tuple[str, ...], form: str, serve: Serve, scheme: LabelScheme
) -> None:
    question = _classify("classify.v2", scheme)
    chat = FakeChat(refuses=frozenset(refused))
    [answer] = serve(chat, [question.request(TEXT)])
    assert question.read(answer).label == "delivery"
    assert question.read(answer).confidence == pytest.approx(0.9)
    sent = chat.bodies[-1]
    asked_for = sent.get("response_format", {}).get("type") or ("tool" if "tools" in sent else "plain")
    assert asked_for == form


def test_a_plain_answer_of_one_code_has_a_probability_too(serve: Serve, scheme: LabelScheme) -> None:
    question = _classify("classify.v2", scheme)
    [answer] = serve(FakeChat(content=lambda _seen, code: code), [question.request(TEXT)])
    assert question.read(answer).label == "delivery"
    assert question.read(answer).confidence == pytest.approx(0.9)


def test_the_verify_template_brings_p_true(serve: Serve, scheme: LabelScheme) -> None:
    question = _verify(scheme)
    right, wrong = serve(FakeChat(confidence=0.8), [question.request(TEXT, name) for name in ("delivery", "refund")])
    assert question.read(right) == pytest.approx(0.8)
    assert question.read(wrong) == pytest.approx(0.2)


def test_p_true_without_logprobs_is_unknown_and_neither_1_nor_0(serve: Serve, scheme: LabelScheme) -> None:
    question = _verify(scheme)
    answers = serve(FakeChat(confidence=None), [question.request(TEXT, name) for name in ("delivery", "refund")])
    assert [question.read(answer) for answer in answers] == [None, None]


def test_the_pick_template_brings_a_preference_of_both_orders(serve: Serve, scheme: LabelScheme) -> None:
    question = _pick(scheme)
    answers = serve(FakeChat(confidence=0.8), question.requests(TEXT, "delivery", "refund"))
    preference = question.read(TEXT, "delivery", "refund", answers)
    # The fake spreads the other 0.2 over three codes, of which one is in the pair.
    assert preference.label == "delivery"
    assert preference.share == pytest.approx(0.8 / (0.8 + 0.2 / 3))
    swapped = question.read(TEXT, "refund", "delivery", answers)
    assert swapped.share == pytest.approx(1.0 - preference.share)


def test_a_model_that_favours_a_place_has_no_preference(serve: Serve, scheme: LabelScheme) -> None:
    question = _pick(scheme)
    answers = serve(FakeChat(lambda seen: seen.pair[0]), question.requests(TEXT, "delivery", "refund"))
    preference = question.read(TEXT, "delivery", "refund", answers)
    assert preference.label is None
    assert preference.share == pytest.approx(0.5)


def test_an_off_list_answer_is_asked_for_again(serve: Serve, scheme: LabelScheme) -> None:
    question = _classify("classify.v2", scheme)
    chat = FakeChat(lambda seen: "parcels" if seen.n_questions == 1 else "delivery")
    [first] = serve(chat, [question.request(TEXT)])
    failure = question.read(first).failure
    again = question.again(first.request, first, failure)
    [second] = serve(chat, [again])
    assert "'parcels' is not one of: A, B, C, D" in again.messages[-1]["content"]
    assert again.messages[:2] == first.request.messages
    assert question.read(second).label == "delivery"


# What is asked.


def test_the_schema_holds_the_codes_and_the_reason_stands_before_them(scheme: LabelScheme) -> None:
    schema = _classify("classify.v2", scheme, rationale=True, verbal=True).schema.as_json
    assert list(schema["properties"]) == schema["required"] == ["rationale", "code", "sureness"]
    assert schema["properties"]["code"]["enum"] == ["A", "B", "C", "D"]
    assert schema["additionalProperties"] is False
    assert list(_classify("classify.v2", scheme).schema.as_json["properties"]) == ["code"]


def test_a_closed_scheme_has_no_code_for_none_of_these(scheme: LabelScheme) -> None:
    closed = LabelScheme(scheme.labels, is_open=False)
    assert _classify("classify.v2", closed).schema.as_json["properties"]["code"]["enum"] == ["A", "B", "C"]


@pytest.mark.parametrize(("n_labels", "n_top"), [(2, 5), (7, 8), (40, 20)])
def test_alternatives_are_asked_for_every_code_between_5_and_20(n_labels: int, n_top: int) -> None:
    wide = LabelScheme(tuple(Label(f"label {n}") for n in range(n_labels)))
    assert _classify("classify.v1", wide).request(TEXT).n_top_logprobs == n_top


def test_a_reason_gets_tokens_of_its_own(scheme: LabelScheme) -> None:
    plain, reasoned = (_classify("classify.v2", scheme, rationale=r).request(TEXT) for r in (False, True))
    assert plain.sampling.max_answer_tokens == SAMPLING.max_answer_tokens
    assert reasoned.sampling.max_answer_tokens == SAMPLING.max_answer_tokens + RATIONALE_TOKENS


def test_the_static_part_is_the_same_bytes_over_all_texts_and_demonstrations(scheme: LabelScheme) -> None:
    for settings in ({}, {"rationale": True}, {"verbal": True}):
        question = _classify("classify.v2", scheme, **settings)
        requests = [question.request(TEXT), question.request("other"), question.request(TEXT, SHOWN)]
        assert len({request.messages[0]["content"] for request in requests}) == 1
        assert len({request.hash for request in requests}) == 3


def test_texts_are_cut_in_the_middle(scheme: LabelScheme) -> None:
    question = Classify(load_prompt("classify.v2", scheme), Sampling(max_text_characters=10), ENDPOINT)
    assert "aaaaa [...] bbbbb" in question.request("a" * 50 + "b" * 50).messages[1]["content"]


def test_the_pair_and_its_order_do_not_depend_on_which_label_is_given_first(scheme: LabelScheme) -> None:
    question = _pick(scheme)
    assert question.requests(TEXT, "delivery", "refund") == question.requests(TEXT, "refund", "delivery")
    firsts = {question.requests(f"text {n}", "delivery", "refund")[0].messages[1]["content"][-150:] for n in range(20)}
    assert len({text.index('"delivery"') < text.index('"refund"') for text in firsts}) == 2


def test_answers_that_are_no_labels_give_no_preference(scheme: LabelScheme) -> None:
    question = _pick(scheme)
    one, two = question.requests(TEXT, "delivery", "refund")
    answers = [Answer(one, Envelope(content="?"), 0, None), Answer(two, Envelope(content='{"code": "A"}'), 0, None)]
    assert question.read(TEXT, "delivery", "refund", answers) == Preference(None, None)


# What is refused.


def test_a_prompt_of_another_task_is_refused(scheme: LabelScheme) -> None:
    with pytest.raises(ConfigError, match=r"'verify\.v1' is made for the task 'verify', not 'classify'; choose from"):
        _classify("verify.v1", scheme)
    with pytest.raises(ConfigError, match=r"'classify\.v1' is made for the task 'classify', not 'verify'"):
        Verify(load_prompt("classify.v1", scheme), SAMPLING, ENDPOINT)
    with pytest.raises(ConfigError, match="not 'pick'"):
        Pick(load_prompt("classify.v1", scheme), SAMPLING, ENDPOINT)


def test_a_prompt_without_a_place_for_reasons_or_demonstrations_is_refused(scheme: LabelScheme) -> None:
    with pytest.raises(ConfigError, match=r"'classify\.v1' asks for the code alone"):
        _classify("classify.v1", scheme, verbal=True)
    with pytest.raises(ConfigError, match=r"'classify\.v1' shows no demonstrations"):
        _classify("classify.v1", scheme).request(TEXT, SHOWN)


def test_labels_that_are_not_on_the_list_cannot_be_verified_or_picked(scheme: LabelScheme) -> None:
    with pytest.raises(ConfigError, match="label 'refunds' is not among those that prompt"):
        _verify(scheme).request(TEXT, "refunds")
    with pytest.raises(ConfigError, match="got 'refund' twice"):
        _pick(scheme).requests(TEXT, "refund", "refund")


def test_no_request_shows_the_key(scheme: LabelScheme) -> None:
    request = _classify("classify.v2", scheme).request(TEXT)
    assert "sk-canary" not in repr(request) + json.dumps(list(request.messages))
