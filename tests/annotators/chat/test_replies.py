import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.annotators.chat.replies import parse_answer, parse_completion

CODES = {"A": "spam", "B": "ham", "C": "none_of_these"}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10) | st.sampled_from(["A", "code", "content"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ('{"code": "B"}', "ham"),
        (' {"code":"a"} ', "spam"),
        ('{"code": "Ham"}', "ham"),
        ('{"code": "C"}', "none_of_these"),
        ('```json\n{"code": "B"}\n```', "ham"),
        (b'{"code": "B"}', "ham"),
        ('{"code": "B", "why": "tone"}', "ham"),
    ],
)
def test_codes_match_exactly_then_without_case_then_as_names(content: str | bytes, label: str) -> None:
    assert parse_answer(content, CODES).label == label


@pytest.mark.parametrize(
    "content",
    [
        "B",
        "",
        None,
        7,
        b"\xff\xfe",
        '{"code": "Z"}',
        '{"code": 1}',
        '{"code": ["A"]}',
        '{"code": "A", "code": "B"}',
        '["A"]',
        'Sure! {"code": "A"}',
        '{"code": "hamm"}',
        "[" * 100_000,
        "9" * 5_000,
        '{"code": "A"',
    ],
)
def test_anything_else_abstains_with_a_reason(content: object) -> None:
    reply = parse_answer(content, CODES)
    assert reply.label is None
    assert reply.failure


@settings(max_examples=300, deadline=None)
@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_parser_never_raises_and_gives_a_listed_label_or_a_reason(content: str | bytes) -> None:
    for label, failure in [
        (parse_answer(content, CODES).label, parse_answer(content, CODES).failure),
        (parse_completion(content, CODES).reply.label, parse_completion(content, CODES).reply.failure),
    ]:
        assert label in CODES.values() if not failure else label is None


@settings(max_examples=200, deadline=None)
@given(JSON, JSON, JSON)
def test_foreign_logprobs_and_usage_never_raise(logprobs: Any, usage: Any, top: Any) -> None:
    for content in (
        logprobs,
        [{"token": '{"code":"', "logprob": 0.0}, {"token": "A", "logprob": -1, "top_logprobs": top}],
    ):
        choice = {"message": {"content": '{"code":"A"}'}, "logprobs": {"content": content}}
        completion = parse_completion(json.dumps({"choices": [choice], "usage": usage}), CODES)
        assert completion.reply.label == "spam"
        assert completion.confidence is None or 0.0 < completion.confidence <= 1.0


def _completion(tokens: list[tuple[str, list[tuple[str, float]]]], **usage: int) -> str:
    content = [
        {
            "token": text,
            "logprob": math.log(dict(top).get(text, 1.0)),
            "top_logprobs": [{"token": t, "logprob": math.log(p)} for t, p in top],
        }
        for text, top in tokens
    ]
    message = {"content": "".join(text for text, _ in tokens)}
    return json.dumps({"choices": [{"message": message, "logprobs": {"content": content}}], "usage": usage})


def test_probabilities_sum_spellings_and_keep_invalid_mass_apart() -> None:
    top = [("A", 0.5), (" A", 0.1), ("a", 0.1), ("B", 0.1), ("C", 0.1), ("Sorry", 0.1)]
    completion = parse_completion(_completion([('{"code": "', []), ("A", top), ('"}', [])]), CODES)
    assert completion.invalid_mass == pytest.approx(0.1)
    assert completion.confidence == pytest.approx(0.7 / 0.9)
    assert completion.proba == pytest.approx({"spam": 0.7 / 0.8, "ham": 0.1 / 0.8})


def test_a_token_that_ends_the_key_and_starts_the_code_is_read() -> None:
    top = [('":"A', 0.6), ('":"B', 0.4)]
    completion = parse_completion(_completion([('{"code', []), ('":"A', top), ('"}', [])]), CODES)
    assert completion.proba == pytest.approx({"spam": 0.6, "ham": 0.4})


def test_codes_of_two_tokens_multiply_along_the_path() -> None:
    codes = {"AA": "w", "AB": "x", "BA": "y", "BB": "none_of_these"}
    tokens = [('{"code":"', []), ("A", [("A", 0.8), ("BA", 0.2)]), ("B", [("B", 0.75), ("A", 0.25)]), ('"}', [])]
    completion = parse_completion(_completion(tokens), codes)
    assert completion.reply.label == "x"
    assert completion.proba == pytest.approx({"w": 0.2, "x": 0.6, "y": 0.2})


def test_missing_logprobs_give_unknown_confidence_not_zero() -> None:
    body = json.dumps({"choices": [{"message": {"content": '{"code":"A"}'}, "logprobs": None}]})
    completion = parse_completion(body, CODES)
    assert completion.reply.label == "spam"
    assert completion.confidence is None
    assert completion.proba is None


def test_logprobs_without_alternatives_give_confidence_but_no_distribution() -> None:
    content = [{"token": '{"code":"', "logprob": 0.0}, {"token": "A", "logprob": math.log(0.4)}]
    body = {"choices": [{"message": {"content": '{"code":"A"}'}, "logprobs": {"content": content}}]}
    completion = parse_completion(json.dumps(body), CODES)
    assert completion.confidence == pytest.approx(0.4)
    assert completion.proba is None


def test_refusals_and_cut_off_answers_say_so() -> None:
    refused = json.dumps({"choices": [{"message": {"content": None, "refusal": "I cannot."}}]})
    assert parse_completion(refused, CODES).reply.failure == "the model refused: 'I cannot.'"
    cut = json.dumps({"choices": [{"finish_reason": "length", "message": {"content": '{"co'}}]})
    assert "raise max_answer_tokens" in parse_completion(cut, CODES).reply.failure


def test_usage_is_none_where_the_server_does_not_count() -> None:
    assert parse_completion("{}", CODES).usage.n_tokens_in is None
    assert parse_completion('{"usage": {"prompt_tokens": -4}}', CODES).usage.n_tokens_in is None
    assert parse_completion('{"usage": {"prompt_tokens": 12}}', CODES).usage.n_tokens_in == 12
