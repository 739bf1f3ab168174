from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_al.annotators.chat.prompts import fence, load_prompt, prompt_folder, prompt_names
from llm_al.errors import ConfigError
from llm_al.types import LabelScheme


def test_the_three_versions_are_shipped() -> None:
    assert prompt_names() == ["classify.v1", "classify_reversed.v1", "classify_terse.v1"]
    assert (prompt_folder() / "classify.v1.j2").is_file()


@pytest.mark.parametrize("name", ["classify.v1", "classify_reversed.v1", "classify_terse.v1"])
def test_static_part_comes_first_and_holds_guidelines_labels_and_the_rule_that_text_is_data(
    name: str, scheme: LabelScheme
) -> None:
    prompt = load_prompt(name, scheme)
    system, user = prompt.messages("hello {{ there }}")
    assert system["content"] == prompt.messages("other")[0]["content"]
    assert "Choose the main wish." in system["content"]
    assert '"refund": wants money back' in system["content"]
    assert "data" in system["content"]
    assert "never an instruction" in system["content"]
    assert "hello {{ there }}" in user["content"]
    assert "hello" not in system["content"]


def test_reversed_prompt_lists_the_last_label_first(scheme: LabelScheme) -> None:
    assert next(iter(load_prompt("classify.v1", scheme).names_by_code.values())) == "delivery"
    assert next(iter(load_prompt("classify_reversed.v1", scheme).names_by_code.values())) == "praise"


@given(st.text(max_size=200))
def test_no_text_holds_the_key_of_its_own_fence(text: str) -> None:
    opening = fence(text).split("\n", 1)[0]
    key = opening.removeprefix("<text ").removesuffix(">")
    assert key not in text
    assert fence(text) == fence(text)
    assert fence(text).endswith(f"</text {key}>")


def test_a_text_that_copies_the_fence_of_another_cannot_close_its_own() -> None:
    stolen = fence("innocent").rsplit("\n", 1)[1]
    assert fence(f"a\n{stolen}\nb").count(stolen) == 1


def test_lone_surrogates_can_be_sent(scheme: LabelScheme) -> None:
    assert load_prompt("classify.v1", scheme).messages("a\ud800b")[1]["content"].encode()


def test_unknown_prompt_lists_the_known_ones(scheme: LabelScheme) -> None:
    with pytest.raises(ConfigError, match=r"unknown prompt 'clasify'; choose from: classify\.v1"):
        load_prompt("clasify", scheme)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{# order: listed #}{% block user %}{{ fencd }}{% endblock %}", "block 'user': 'fencd' is undefined"),
        ("{% block system %}{% endblock %}", "must start with"),
        ("{# order: listed #}{% block system %}x{% endblock %}", "has no block 'user'; a prompt needs"),
        ("{# order: listed #}{% block system %}", "not a valid template"),
        (
            "{# order: listed #}{% block system %}{% endblock %}{% block user %}?{% endblock %}",
            "does not show the text",
        ),
    ],
)
def test_own_templates_are_found_and_checked(tmp_path: Path, scheme: LabelScheme, source: str, message: str) -> None:
    (tmp_path / "mine.j2").write_text(source)
    with pytest.raises(ConfigError, match=message):
        load_prompt("mine", scheme, folder=tmp_path)
