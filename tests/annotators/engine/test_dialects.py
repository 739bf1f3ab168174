import pytest

from llm_al.annotators.engine.dialects import Dialect, body_of, weaker
from llm_al.annotators.engine.requests import Request, Schema, make_request
from llm_al.annotators.engine.settings import Endpoint, Sampling

SCHEMA = Schema.of("label", {"code": {"type": "string", "enum": ["A", "B"]}})


def request() -> Request:
    return make_request(
        Endpoint("http://llm.test/v1", "m"),
        Sampling(),
        prompt="p.v1",
        messages=({"role": "system", "content": "s"}, {"role": "user", "content": "u"}),
        schema=SCHEMA,
        n_top_logprobs=5,
    )


def test_forms_get_weaker_one_by_one() -> None:
    dialect, forms = Dialect(), ["json_schema"]
    for complaint in ("response_format is not supported", "no tools here", "json_object unknown"):
        learnt = weaker(dialect, complaint)
        assert learnt is not None
        dialect = learnt
        forms.append(dialect.form)
    assert forms == ["json_schema", "tool", "json_object", "plain"]
    assert dialect.next_form is None
    assert weaker(dialect, "response_format is not supported") is None


@pytest.mark.parametrize(
    ("complaint", "changed"),
    [
        ("'logprobs' is not supported", {"has_logprobs": False}),
        ("use max_completion_tokens", {"token_limit": "max_completion_tokens"}),
        ("temperature must be 1", {"has_temperature": False}),
    ],
)
def test_what_a_complaint_names_is_left_out(complaint: str, changed: dict[str, object]) -> None:
    assert weaker(Dialect(), complaint) == Dialect(**changed)  # type: ignore[arg-type]


def test_a_complaint_about_something_else_teaches_nothing() -> None:
    assert weaker(Dialect(), "your messages are bad") is None


def test_each_form_is_asked_for_as_the_protocol_says() -> None:
    bodies = {form: body_of(request(), "m", Dialect(form)) for form in ("json_schema", "tool", "json_object", "plain")}
    strict = bodies["json_schema"]["response_format"]["json_schema"]
    assert strict == {"name": "label", "strict": True, "schema": SCHEMA.as_json}
    assert bodies["tool"]["tools"][0]["function"]["parameters"] == SCHEMA.as_json
    assert bodies["tool"]["tool_choice"]["function"]["name"] == "label"
    assert bodies["json_object"]["response_format"] == {"type": "json_object"}
    assert not {"response_format", "tools"} & set(bodies["plain"])


def test_a_dialect_survives_being_written_down() -> None:
    dialect = Dialect("tool", has_logprobs=False, token_limit="max_completion_tokens")
    assert Dialect.from_text(dialect.to_text()) == dialect
    for text in (None, "", "{", '{"form": "telepathy"}', '{"other": 1}', "[]"):
        assert Dialect.from_text(text) is None


@pytest.mark.parametrize(
    "complaint",
    [
        "[{'type': 'missing', 'loc': ('body', 'x'), 'msg': 'required', 'input': {'logprobs': True, 'tools': []}}]",
        '[{"type": "missing", "msg": "Field required", "input": {"temperature": 0, "response_format": {}}}]',
    ],
)
def test_what_a_complaint_merely_echoes_teaches_nothing(complaint: str) -> None:
    assert weaker(Dialect(), complaint) is None


def test_what_a_complaint_names_before_the_echo_is_left_out() -> None:
    said = "[{'loc': ('body', 'logprobs'), 'msg': 'Extra inputs are not permitted', 'input': True}]"
    assert weaker(Dialect(), said) == Dialect(has_logprobs=False)
