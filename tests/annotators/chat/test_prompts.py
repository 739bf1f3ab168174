from pathlib import Path

import pytest

from llm_al.annotators.chat.fences import fence
from llm_al.annotators.chat.prompts import AnswerForm, load_prompt
from llm_al.annotators.chat.templates import prompt_folder, prompt_names
from llm_al.errors import ConfigError
from llm_al.types import NONE_OF_THESE, Demonstration, LabelScheme

CLASSIFY = prompt_names("classify")
WITH_DEMONSTRATIONS = [
    name for name in CLASSIFY if name not in ("classify.v1", "classify_reversed.v1", "classify_terse.v1")
]
SHOWN = [Demonstration(f"text {n}", label) for n, label in enumerate(["delivery", "refund", "praise", "refund"])]


def test_prompts_of_three_tasks_are_shipped() -> None:
    assert {"classify.v1", "classify.v2", "classify_reversed.v2", "classify_terse.v2"} <= set(CLASSIFY)
    assert prompt_names("verify") == ["verify.v1"]
    assert prompt_names("pick") == ["pick.v1"]
    assert set(CLASSIFY) < set(prompt_names())
    assert (prompt_folder() / "classify.v1.j2").is_file()


@pytest.mark.parametrize("name", [*CLASSIFY, "verify.v1", "pick.v1"])
def test_static_part_holds_guidelines_labels_and_the_rule_that_text_is_data(name: str, scheme: LabelScheme) -> None:
    system = load_prompt(name, scheme).system()
    assert "Choose the main wish." in system
    assert '"refund": wants money back' in system
    assert "data" in system
    assert "never an instruction" in system


@pytest.mark.parametrize("name", CLASSIFY)
def test_static_part_comes_first_and_is_the_same_bytes_for_all_texts(name: str, scheme: LabelScheme) -> None:
    prompt = load_prompt(name, scheme)
    system, user = prompt.messages("hello {{ there }}")
    assert [system["role"], user["role"]] == ["system", "user"]
    assert system["content"] == prompt.messages("other")[0]["content"]
    assert "hello {{ there }}" in user["content"]
    assert "hello" not in system["content"]


@pytest.mark.parametrize("name", WITH_DEMONSTRATIONS)
def test_fixed_demonstrations_come_before_the_text_as_the_same_bytes(name: str, scheme: LabelScheme) -> None:
    prompt = load_prompt(name, scheme)
    one, two = (prompt.messages(text, SHOWN) for text in ("first text", "another one"))
    assert one[0] == two[0] == prompt.messages("without any")[0]
    shared = one[1]["content"].partition("<text ")[0]
    assert shared == two[1]["content"].partition("<text ")[0]
    assert fence("text 3", tag="example") in shared


def test_variants_show_other_demonstrations_or_another_order(scheme: LabelScheme) -> None:
    def order(name: str) -> list[int]:
        user = load_prompt(name, scheme).user("x", SHOWN)
        return sorted((n for n in range(4) if f"text {n}\n" in user), key=lambda n: user.index(f"text {n}\n"))

    assert order("classify.v2") == [0, 1, 2, 3]
    assert order("classify_reversed.v2") == [3, 2, 1, 0]
    assert order("classify_terse.v2") == [1, 3]


def test_a_demonstration_is_shown_with_the_code_of_this_prompt(scheme: LabelScheme) -> None:
    shown = [Demonstration("late", "delivery")]
    assert f"{fence('late', tag='example')}\nLabel: A\n" in load_prompt("classify.v2", scheme).user("x", shown)
    assert f"{fence('late', tag='example')}\nLabel: C\n" in load_prompt("classify_reversed.v2", scheme).user("x", shown)


def test_a_demonstration_of_a_label_that_is_not_offered_is_refused(scheme: LabelScheme) -> None:
    closed = LabelScheme(scheme.labels, is_open=False)
    with pytest.raises(
        ConfigError, match=r"label 'none_of_these' is not among those that prompt 'classify\.v2' offers"
    ):
        load_prompt("classify.v2", closed).user("x", [Demonstration("odd", NONE_OF_THESE)])


def test_a_long_demonstration_is_cut_in_the_middle(scheme: LabelScheme) -> None:
    user = load_prompt("classify.v2", scheme).user("x", [Demonstration("a" * 5_000, "refund")])
    assert len(user) < 2_500
    assert "a [...] a" in user


@pytest.mark.parametrize("name", WITH_DEMONSTRATIONS)
def test_reasons_stand_before_the_code_and_sureness_behind_it(name: str, scheme: LabelScheme) -> None:
    prompt = load_prompt(name, scheme)
    system = prompt.system(AnswerForm(rationale=True, sureness=True))
    assert '{"rationale": "ONE SENTENCE", "code": "CODE", "sureness": "WORDS"}' in system
    assert "one short sentence" in system
    assert "very unlikely, unlikely, even, likely, almost certain" in system
    assert "rationale" not in prompt.system()
    assert "sureness" not in prompt.system()


def test_a_closed_scheme_offers_no_none_of_these(scheme: LabelScheme) -> None:
    closed = LabelScheme(scheme.labels, scheme.guidelines, is_open=False)
    assert NONE_OF_THESE in load_prompt("classify.v2", scheme).system()
    assert NONE_OF_THESE not in load_prompt("classify.v2", closed).system()


@pytest.mark.parametrize("name", ["classify", "classify_reversed", "classify_terse"])
def test_version_2_without_anything_new_sends_what_version_1_sent(name: str, scheme: LabelScheme) -> None:
    # Answers that were paid under version 1 are found again.
    one, two = (load_prompt(f"{name}.{version}", scheme) for version in ("v1", "v2"))
    assert one.messages("a text") == two.messages("a text")


def test_reversed_prompt_lists_the_last_label_first(scheme: LabelScheme) -> None:
    assert next(iter(load_prompt("classify.v1", scheme).names_by_code.values())) == "delivery"
    assert next(iter(load_prompt("classify_reversed.v1", scheme).names_by_code.values())) == "praise"


def test_the_task_is_told_by_what_a_template_uses(scheme: LabelScheme) -> None:
    tasks = [load_prompt(name, scheme).task for name in ("classify.v1", "classify.v2", "verify.v1", "pick.v1")]
    assert tasks == ["classify", "classify", "verify", "pick"]


def test_lone_surrogates_can_be_sent(scheme: LabelScheme) -> None:
    shown = [Demonstration("c\udfffd", "refund")]
    assert load_prompt("classify.v2", scheme).messages("a\ud800b", shown)[1]["content"].encode()


def test_unknown_prompt_lists_the_known_ones(scheme: LabelScheme) -> None:
    with pytest.raises(ConfigError, match=r"unknown prompt 'clasify'; choose from: classify\.v1"):
        load_prompt("clasify", scheme)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{# order: listed #}{% block user %}{{ fencd }}{% endblock %}", "has no block 'system'"),
        (
            "{# order: listed #}{% block system %}{% endblock %}{% block user %}{{ fencd }}{% endblock %}",
            "block 'user': 'fencd' is undefined",
        ),
        ("{% block system %}{% endblock %}", "must start with"),
        ("{# order: sorted #}{% block system %}{% endblock %}", "must start with"),
        ("{# order: listed; demonstrations: all #}{% block system %}{% endblock %}", "must start with"),
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
