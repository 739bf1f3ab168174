import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_al.annotators.chat.replies import SURENESS, Completion, parse_answer, read_envelope
from llm_al.annotators.engine.answers import Envelope, open_envelope
from llm_al.types import Signal

CODES = {"A": "spam", "B": "ham", "C": "none_of_these"}
ALIKE = {"A": "Straße", "B": "i", "C": "\u0131", "D": "kelvin", "E": "same", "F": "СПАМ", "G": "none_of_these"}


def _read(body: str) -> Completion:
    return read_envelope(open_envelope(body), CODES)


@pytest.mark.parametrize(
    ("content", "label"),
    [
        ('{"code": "B"}', "ham"),
        (' {"code":"a"} ', "spam"),
        ('{"code": "Ham"}', "ham"),
        ('{"code": " B\\n"}', "ham"),
        ('{"code": "C"}', "none_of_these"),
        (b'{"code": "B"}', "ham"),
        ('{"code": "B", "why": "tone"}', "ham"),
        ('```json\n{"code": "B"}\n```', "ham"),
        ('```\n{"code": "B"}\n```', "ham"),
        ('Sure! {"code": "A"}', "spam"),
        ('The text isn\'t "nice":\n```json\n{"code": "B"}\n```\nI hope that it helps.', "ham"),
        ('{"code": "B"} and once more {"rationale": "tone", "code": "B"}', "ham"),
        ('{"rationale": "says \\"{A}\\" and }", "code": "B"}', "ham"),
        ('Well: {"rationale": "says \\"{A}\\" and }", "code": "B"}', "ham"),
        ('<think>Perhaps {"code": "A"}? No.</think>\n\n{"code": "B"}', "ham"),
        ('Perhaps A.\n</think>\n{"code": "B"}', "ham"),
        ('{"rationale": "says </think>", "code": "B"}', "ham"),
        ("B", "ham"),
        ("My answer:\n\n  B  \r\nbecause of its tone.", "ham"),
        ("B\nB", "ham"),
    ],
)
def test_an_answer_that_can_mean_one_thing_only_is_read(content: str | bytes, label: str) -> None:
    assert parse_answer(content, CODES).label == label


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "is empty"),
        (None, "is empty"),
        (7, "is empty"),
        (b"\xff\xfe", "is not a JSON object"),
        ('{"code": "Z"}', "'Z' is not one of: A, B, C"),
        ('{"code": "hamm"}', "'hamm' is not one of"),
        ('{"code": 1}', 'has no "code" string'),
        ('{"code": ["A"]}', 'has no "code" string'),
        ('{"label": "A"}', 'has no "code"'),
        ('{"answer": {"code": "A"}}', 'has no "code"'),
        ('{"code": "A", "code": "B"}', "holds braces that are not JSON"),
        ('["A"]', "is not a JSON object"),
        ('{"code": "A"} or {"code": "B"}', "holds several objects that differ"),
        ('{"code": "A"} or {"label": "B"}', "holds several objects that differ"),
        ('{"code": "CODE"}', "'CODE' is not one of"),
        ("{code: A}", "holds braces that are not JSON"),
        ('{code: B}, that is {"code": "A"}', "holds braces that are not JSON"),
        ('{"code": "A"', "braces do not pair up"),
        ('"code": "B"} {"code": "A"}', "braces do not pair up"),
        ("[" * 100_000, "is not a JSON object"),
        ("9" * 5_000, "is not a JSON object"),
        ("x" * 200_000 + '{"code": "A"}', "too long to search"),
        ('{"code": "B"} <think>or</think> {"code": "A"}', "holds several objects that differ"),
        ("A\nor\nB", "holds several codes: A, B"),
        ("b", "is not a JSON object"),
        ("ham", "is not a JSON object"),
        ("It is B.", "is not a JSON object"),
        ("A B", "is not a JSON object"),
    ],
)
def test_anything_else_abstains_with_a_reason(content: object, reason: str) -> None:
    reply = parse_answer(content, CODES)
    assert reply.label is None
    assert reason in reply.failure


@pytest.mark.parametrize(
    "written",
    [
        "\uff21",  # full-width A
        "\u0410",  # Cyrillic A
        "\u0391",  # Greek Alpha
        "A\u200b",
        "A\u0301",
        "\U0001d400",  # mathematical bold A
        "STRASSE",
        "strasse",
        "I\u0307",
        "\u0130",  # dotted capital I
        "\u212aelvin",  # Kelvin sign
        "\u017fame",  # long s
        "C\u041f\u0410\u041c",  # Latin C
        "Stra\u00dfe\u00a0",
    ],
)
def test_look_alikes_match_nothing(written: str) -> None:
    reply = parse_answer(json.dumps({"code": written}), ALIKE)
    assert reply.label is None
    assert "is not one of" in reply.failure


@pytest.mark.parametrize(
    ("written", "label"),
    [("STRAßE", "Straße"), ("I", "i"), ("\u0131", "\u0131"), ("KELVIN", "kelvin"), ("Same", "same"), ("спам", "СПАМ")],
)
def test_names_match_without_case_inside_their_own_script(written: str, label: str) -> None:
    assert parse_answer(json.dumps({"code": written}), ALIKE).label == label


def test_a_name_that_two_labels_could_mean_matches_neither() -> None:
    assert parse_answer('{"code": "HAM"}', {"A": "ham", "B": "Ham"}).label is None
    assert parse_answer('{"code": "Ham"}', {"A": "ham", "B": "Ham"}).label == "Ham"


@given(st.sampled_from(sorted(ALIKE)), st.sampled_from([0, 1, 2, 3]))
def test_every_code_is_read_in_every_form(code: str, form: int) -> None:
    written = json.dumps({"code": code})
    content = [written, f"```json\n{written}\n```", f"It is this: {written}", code][form]
    assert parse_answer(content, ALIKE).label == ALIKE[code]


def test_rationale_and_sureness_come_with_the_label() -> None:
    content = '{"rationale": "Asks  for\\nmoney.", "code": "A", "sureness": "Almost certain"}'
    body = json.dumps({"choices": [{"message": {"content": content}}]})
    completion = _read(body)
    assert completion.rationale == "Asks for money."
    assert completion.signals == {Signal.VERBALISED: 1.0}
    assert completion.confidence is None
    assert list(SURENESS.values()) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_rationale_can_always_be_stored_and_stays_short() -> None:
    said = parse_answer('{"rationale": "a\\ud800b\\u0000c\\u202e", "code": "A"}', CODES).rationale
    assert said == "a b c"
    long = parse_answer(json.dumps({"rationale": "word " * 100_000, "code": "A"}), CODES).rationale
    assert len(long) <= 500


@pytest.mark.parametrize("said", ['"fairly sure"', "0.9", "null", "true"])
def test_another_word_for_sureness_is_unknown_and_not_zero(said: str) -> None:
    assert parse_answer(f'{{"code": "A", "sureness": {said}}}', CODES).sureness is None
    content = f'{{"code": "A", "sureness": {said}}}'
    assert _read(json.dumps({"choices": [{"message": {"content": content}}]})).signals == {}


def test_missing_logprobs_give_unknown_confidence_not_zero() -> None:
    completion = _read(json.dumps({"choices": [{"message": {"content": '{"code":"A"}'}, "logprobs": None}]}))
    assert completion.label == "spam"
    assert completion.confidence is None
    assert completion.proba is None
    assert completion.invalid_mass is None
    assert completion.signals == {}


def test_logprobs_become_confidence_distribution_and_signals() -> None:
    top = [("A", 0.5), (" A", 0.1), ("a", 0.1), ("B", 0.1), ("C", 0.1), ("Sorry", 0.1)]
    listed = [{"token": token, "logprob": math.log(p)} for token, p in top]
    logprobs = [
        {"token": '{"code": "', "logprob": 0.0},
        {"token": "A", "logprob": math.log(0.5), "top_logprobs": listed},
        {"token": '"}', "logprob": 0.0},
    ]
    completion = read_envelope(Envelope(content='{"code": "A"}', logprobs=logprobs), CODES)
    assert completion.confidence == pytest.approx(0.7 / 0.9)
    assert completion.proba == pytest.approx({"spam": 0.7 / 0.8, "ham": 0.1 / 0.8})
    assert completion.signals == pytest.approx({Signal.TOKEN_PROBABILITY: 0.7 / 0.9, Signal.INVALID_MASS: 0.1})


def test_logprobs_without_alternatives_give_confidence_but_no_distribution() -> None:
    logprobs = [{"token": '{"code":"', "logprob": 0.0}, {"token": "A", "logprob": math.log(0.4)}]
    completion = read_envelope(Envelope(content='{"code":"A"}', logprobs=logprobs), CODES)
    assert completion.confidence == pytest.approx(0.4)
    assert completion.proba is None
    assert completion.signals == pytest.approx({Signal.TOKEN_PROBABILITY: 0.4})


def test_logprobs_that_spell_another_code_than_the_answer_are_unknown() -> None:
    logprobs = [{"token": '{"code":"', "logprob": 0.0}, {"token": "A", "logprob": math.log(0.4)}]
    completion = read_envelope(Envelope(content='{"code":"B"}', logprobs=logprobs), CODES)
    assert completion.label == "ham"
    assert completion.confidence is None


def test_refusals_and_cut_off_answers_say_so() -> None:
    refused = _read(json.dumps({"choices": [{"message": {"content": None, "refusal": "I cannot."}}]}))
    assert refused.failure == "the model refused: 'I cannot.'"
    cut = _read(json.dumps({"choices": [{"finish_reason": "length", "message": {"content": '{"co'}}]}))
    assert "raise max_answer_tokens" in cut.failure


def test_prose_that_was_cut_off_is_not_believed_but_a_whole_object_is() -> None:
    prose = Envelope(content='{"code": "A"} would be my first thought, but', is_cut_off=True)
    assert "raise max_answer_tokens" in read_envelope(prose, CODES).failure
    assert read_envelope(Envelope(content="A\nwait", is_cut_off=True), CODES).label is None
    blanks = Envelope(content='{"code": "A"}\n\n\n\n', is_cut_off=True)
    assert read_envelope(blanks, CODES).label == "spam"


def test_what_is_no_completion_keeps_its_problem() -> None:
    assert _read("<html>").failure == "the response is not JSON"
    assert _read("{}").failure == "the response holds no message"


def test_a_long_answer_is_shortened_in_its_failure() -> None:
    assert len(parse_answer("z" * 1_000_000, CODES).failure) < 250
