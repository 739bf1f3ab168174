import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_al.annotators.chat.logprobs import code_mass

JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10) | st.sampled_from(["A", "code", "token"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
Top = list[tuple[str, float]]


def _tokens(*tokens: str | tuple[str, Top]) -> list[dict[str, Any]]:
    """Write tokens as a server does; a plain one is certain."""
    entries = []
    for token in tokens:
        text, top = (token, []) if isinstance(token, str) else token
        listed = [{"token": t, "logprob": math.log(p)} for t, p in top]
        entries.append({"token": text, "logprob": math.log(dict(top).get(text, 1.0)), "top_logprobs": listed})
    return entries


def test_spellings_are_summed_and_invalid_mass_is_kept_apart() -> None:
    top = [("A", 0.5), (" A", 0.1), ("a", 0.1), ("B", 0.1), ("Sorry", 0.1), ("Aé", 0.05), ("Apple", 0.05)]
    mass = code_mass(_tokens('{"code": "', ("A", top), '"}'), ["A", "B"])
    assert mass is not None
    assert mass.by_code == pytest.approx({"A": 0.7, "B": 0.1})
    assert mass.invalid == pytest.approx(0.2)
    assert mass.chosen == "A"
    assert mass.has_alternatives


def test_a_token_that_ends_the_key_and_starts_the_code_is_read() -> None:
    mass = code_mass(_tokens('{"code', ('":"A', [('":"A', 0.6), ('": "B', 0.4)]), '"}'), ["A", "B"])
    assert mass is not None
    assert mass.by_code == pytest.approx({"A": 0.6, "B": 0.4})


def test_codes_of_two_tokens_multiply_along_the_path() -> None:
    codes = ["AA", "AB", "BA", "BB"]
    mass = code_mass(_tokens('{"code":"', ("A", [("A", 0.8), ("BA", 0.2)]), ("B", [("B", 0.75), ("A", 0.25)])), codes)
    assert mass is not None
    assert mass.by_code == pytest.approx({"AA": 0.2, "AB": 0.6, "BA": 0.2, "BB": 0.0})
    assert mass.chosen == "AB"


def test_a_path_not_taken_is_shared_by_the_codes_that_it_could_become_and_is_not_invalid() -> None:
    codes = ["AA", "AB", "BA", "BB"]
    mass = code_mass(_tokens('{"code":"', ("A", [("A", 0.8), ("B", 0.1), ("x", 0.1)]), "B"), codes)
    assert mass is not None
    assert mass.by_code == pytest.approx({"AA": 0.0, "AB": 0.8, "BA": 0.05, "BB": 0.05})
    assert mass.invalid == pytest.approx(0.1)


@pytest.mark.parametrize("lead", [("B",), (" ", "B"), ("Answer", ":\n\n", "B", "\n", "because")])
def test_a_bare_code_is_found_on_its_line(lead: tuple[str, ...]) -> None:
    tokens = _tokens(*[(t, [("B", 0.9), ("A", 0.06), ("The", 0.04)]) if t == "B" else t for t in lead])
    mass = code_mass(tokens, ["A", "B"])
    assert mass is not None
    assert mass.by_code == pytest.approx({"A": 0.06, "B": 0.9})
    assert mass.chosen == "B"


def test_a_tool_call_is_read_inside_its_wrapping_also_as_a_string_of_json() -> None:
    top = [("B", 0.7), ("A", 0.3)]
    wrapped = _tokens('<tool_call>\n{"name": "label", "arguments": {"code": "', ("B", top), '"}}\n</tool_call>')
    escaped = _tokens('{"arguments": "{\\"code\\": \\"', ("B", top), '\\"}"}')
    for tokens in (wrapped, escaped):
        mass = code_mass(tokens, ["A", "B"])
        assert mass is not None
        assert mass.by_code == pytest.approx({"A": 0.3, "B": 0.7})


def test_a_quoted_key_inside_the_rationale_is_not_the_place() -> None:
    tokens = _tokens('{"rationale": "it says \\"code\\": \\"A\\"", "code": "', ("B", [("B", 0.8), ("A", 0.2)]), '"}')
    mass = code_mass(tokens, ["A", "B"])
    assert mass is not None
    assert mass.chosen == "B"


def test_of_several_places_the_first_decides() -> None:
    tokens = _tokens('{"code": "', ("B", [("B", 0.6), ("A", 0.4)]), '"}\n{"code": "', ("B", [("B", 1.0)]), '"}')
    mass = code_mass(tokens, ["A", "B"])
    assert mass is not None
    assert mass.by_code["B"] == pytest.approx(0.6)


def test_another_key_and_words_as_codes() -> None:
    top = [("yes", 0.5), ("Yes", 0.2), ("no", 0.2), ("none", 0.1)]
    mass = code_mass(_tokens('{"answer": "', ("yes", top), '"}'), ["yes", "no"], key="answer")
    assert mass is not None
    assert mass.by_code == pytest.approx({"yes": 0.7, "no": 0.2})
    assert mass.invalid == pytest.approx(0.1)


@pytest.mark.parametrize("content", [None, [], {}, [{"token": "A"}], [{"token": "no code", "logprob": -1}]])
def test_absent_log_probabilities_or_ones_without_a_code_are_none(content: object) -> None:
    assert code_mass(content, ["A", "B"]) is None


@settings(max_examples=300, deadline=None)
@given(JSON, JSON)
def test_foreign_log_probabilities_never_raise_and_sum_to_one_at_most(content: Any, top: Any) -> None:
    for tokens in (
        json.loads(json.dumps(content)),
        [{"token": '{"code":"', "logprob": 0.0}, {"token": "A", "logprob": -1, "top_logprobs": top}],
    ):
        mass = code_mass(tokens, ["A", "B"])
        assert mass is None or mass.invalid >= 0.0
