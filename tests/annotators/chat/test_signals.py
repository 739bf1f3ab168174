"""Reasons, sureness, p(true) and demonstrations from end to end."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from llm_al.annotators.chat.verification import modal_label
from llm_al.annotators.demonstrations import Nearest, Retrieval
from llm_al.bank import LabelledBank
from llm_al.errors import ConfigError
from llm_al.types import Annotation, Demonstration, Example, Signal
from tests.fakes.chat import FakeChat, Seen, by_words
from tests.fakes.loopback import LoopbackServer

PROMPTS = ("classify.v2", "classify_reversed.v2", "classify_terse.v2")


class Always:
    """Shows the same demonstrations to everyone, and counts how often it was asked."""

    def __init__(self, *shown: Demonstration, k: int = 5) -> None:
        self.shown = shown
        self.k = k
        self.n_asked = 0

    def learn(self, bank: LabelledBank, embed: object) -> None:
        """Learn nothing."""

    def show(self, queries: Sequence[Example]) -> list[tuple[Demonstration, ...]]:
        self.n_asked += 1
        return [self.shown] * len(queries)


def test_a_rationale_becomes_the_reason_and_sureness_a_signal(make_chat, examples) -> None:
    chat = make_chat(prompts=PROMPTS, rationale=True, sureness=True, transport=FakeChat().transport())
    annotations = chat.annotate(examples)
    assert [a.label for a in annotations[::3]] == ["delivery", "refund", "praise"]
    assert {a.reason for a in annotations} == {"It says so."}
    assert {a.signals[Signal.VERBALISED] for a in annotations} == {0.75}
    assert {round(a.signals[Signal.TOKEN_PROBABILITY], 6) for a in annotations} == {0.9}


def test_verify_asks_once_a_text_about_the_label_that_most_answers_give(make_chat, examples) -> None:
    def contrary(seen: Seen) -> str:
        # The prompt that lists praise first is of another opinion.
        return "praise" if next(iter(seen.codes)) == "praise" else by_words(seen)

    with LoopbackServer(FakeChat(contrary, confidence=0.8)) as server:
        chat = make_chat(server.url, prompts=PROMPTS, verify=True)
        annotations = chat.annotate(examples[:2])
        asked = [entry for entry in server.log if "chat" in entry.path]
    assert len(asked) == 2 * 3 + 2
    assert [a.label for a in annotations] == ["delivery", "praise", "delivery", "refund", "praise", "refund"]
    known = [a.signals.get(Signal.P_TRUE) for a in annotations]
    assert known == [pytest.approx(0.8), None, pytest.approx(0.8)] * 2


def test_what_verify_costs_is_in_the_annotations_and_the_ledger_alike(make_chat, examples) -> None:
    chat = make_chat(prompts=PROMPTS, verify=True, transport=FakeChat().transport())
    annotations = chat.annotate(examples)
    assert sum(a.cost_nanousd for a in annotations) == chat.ledger.spent_nanousd()
    assert {call.prompt for call in chat.ledger.calls.values()} == {*PROMPTS, "verify.v1"}


def test_without_logprobs_p_true_is_unknown(make_chat, examples) -> None:
    chat = make_chat(prompts=PROMPTS, verify=True, transport=FakeChat(confidence=None).transport())
    assert all(a.label and Signal.P_TRUE not in a.signals for a in chat.annotate(examples))


def test_nothing_is_verified_where_no_answer_is_valid(make_chat, examples) -> None:
    model = FakeChat(lambda _seen: "no such label")
    annotations = make_chat(prompts=PROMPTS, verify=True, transport=model.transport()).annotate(examples)
    assert len(annotations) == 9
    assert not any(a.label for a in annotations)
    assert not any("Proposed label" in body["messages"][1]["content"] for body in model.bodies)


def test_a_cap_that_verify_would_pass_leaves_p_true_unknown_and_keeps_the_labels(make_chat, examples) -> None:
    whole = make_chat(prompts=("classify.v2",), transport=FakeChat().transport())
    whole.annotate(examples[:1])
    again = replace(whole, verify=True)
    asked = again.verification().question.request(examples[0].text, "delivery")
    cap = whole.ledger.spent_nanousd() + asked.max_cost_nanousd(whole.pricing.price) - 1
    again = replace(again, pricing=replace(whole.pricing, cap_nanousd=cap))
    [annotation] = again.annotate(examples[:1])
    assert annotation.label == "delivery"
    assert Signal.P_TRUE not in annotation.signals
    assert "cap" in again.stop_reason


def test_the_earliest_prompt_decides_between_labels_of_equal_votes() -> None:
    def given(*labels: str | None) -> list[tuple[int, Annotation]]:
        return [(index, Annotation("1", label, "llm:m")) for index, label in enumerate(labels)]

    assert modal_label(given("b", "a")[::-1]) == "b"
    assert modal_label(given("b", "a", "a")) == "a"
    assert modal_label(given(None, "a")) == "a"
    assert modal_label(given(None, None)) is None


def test_demonstrations_are_looked_up_once_a_chunk_and_shown_in_every_prompt(make_chat, examples) -> None:
    seen: list[Seen] = []

    def look(prompt: Seen) -> str:
        seen.append(prompt)
        return by_words(prompt)

    always = Always(Demonstration("parcel lost", "delivery"))
    chat = make_chat(prompts=PROMPTS, demonstrator=always, transport=FakeChat(look).transport())
    chat.annotate(examples)
    assert always.n_asked == 1
    assert len(seen) == 9
    assert {prompt.demonstrations[0][0] for prompt in seen} == {"parcel lost"}


def test_retrieval_shows_the_model_neighbours_and_never_the_text_itself(make_chat) -> None:
    texts, labels = ["late parcel", "money back", "thanks"], ["delivery", "refund", "praise"]
    vectors = np.eye(3, dtype=np.float32)
    bank = LabelledBank(["1", "2", "3"], texts, labels, vectors, np.arange(3))
    retrieval = Retrieval(Nearest(), k=3)
    retrieval.learn(bank, lambda queries: vectors[[int(query.id) - 1 for query in queries]])
    seen: dict[str, set[str]] = {}

    def look(prompt: Seen) -> str:
        seen[prompt.text] = {text for text, _ in prompt.demonstrations}
        return by_words(prompt)

    chat = make_chat(prompts=("classify.v2",), demonstrator=retrieval, transport=FakeChat(look).transport())
    chat.annotate([Example(id_, text) for id_, text in zip(bank.ids, texts, strict=True)])
    assert seen == {text: set(texts) - {text} for text in texts}


def test_a_prompt_that_cannot_show_what_is_asked_for_is_refused_before_any_call(make_chat) -> None:
    with pytest.raises(ConfigError, match=r"'classify\.v1' shows no demonstrations"):
        make_chat(prompts=("classify.v2", "classify.v1"), demonstrator=Always())
    with pytest.raises(ConfigError, match=r"'classify\.v1' asks for the code alone"):
        make_chat(prompts=("classify.v1",), rationale=True)


def test_streams_verify_too(make_chat, examples) -> None:
    chat = make_chat(prompts=PROMPTS, verify=True, transport=FakeChat().transport())
    streamed = list(chat.stream(iter(examples)))
    assert len(streamed) == 9
    assert all(Signal.P_TRUE in a.signals for a in streamed)


def test_an_estimate_counts_demonstrations_and_verification_before_anything_is_labelled(make_chat, examples) -> None:
    plain, wide = make_chat(prompts=PROMPTS), make_chat(prompts=PROMPTS, demonstrator=Always(k=2), verify=True)
    assert plain.estimate(examples).n_calls == 9
    assert wide.estimate(examples).n_calls == 12
    shown, bare = (
        make_chat(prompts=("classify.v2",), demonstrator=Always(k=k)).estimate(examples).n_tokens_in for k in (2, 0)
    )
    # Two texts of some 20 characters in markers of some 50, and a sentence about them, for three texts.
    assert 3 * 2 * 10 < shown - bare < 3 * 150


def test_an_estimate_of_what_is_paid_already_is_nothing_also_with_demonstrations(make_chat, examples) -> None:
    always = Always(Demonstration("parcel lost", "delivery"))
    chat = make_chat(prompts=PROMPTS, demonstrator=always, transport=FakeChat().transport())
    chat.annotate(examples)
    estimate = chat.estimate(examples)
    assert (estimate.n_calls, estimate.n_cached) == (0, 9)
