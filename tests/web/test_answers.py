import json

from llm_al.web.answers import Json, refusal


def test_numbers_that_json_does_not_have_become_null() -> None:
    body = Json({"a": [float("nan"), {"b": float("inf")}], "c": (1.5, "x", None, True)}).body
    assert json.loads(body) == {"a": [None, {"b": None}], "c": [1.5, "x", None, True]}


def test_half_characters_do_not_break_the_answer() -> None:
    assert Json({"a": "\ud800é"}).body == '{"a":"?é"}'.encode()


def test_a_refusal_is_one_sentence() -> None:
    found = refusal(429, "too often", **{"Retry-After": "3"})
    assert (found.status_code, found.headers["retry-after"]) == (429, "3")
    assert json.loads(found.body) == {"error": "too often"}
