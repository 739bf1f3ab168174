from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from llm_al.config import ProjectConfig, load_config, read_yaml, validate_config
from llm_al.errors import ConfigError, LabelError

GOOD: dict[str, Any] = {"labels": ["a", {"name": "b", "description": "the second"}]}


def test_labels_alone_are_a_project() -> None:
    config = validate_config(GOOD)
    assert config.scheme("page").names == ("a", "b")
    assert config.scheme("page").guidelines == "page"
    assert config.labels[1].description == "the second"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = validate_config({**GOOD, "seed": 3, "budget": {"llm_usd": None}})
    (tmp_path / "project.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "project.yaml") == config


def test_settings_never_change_after_loading() -> None:
    with pytest.raises(ValidationError):
        validate_config(GOOD).seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"seeds": 1}, "unknown key 'seeds'; allowed here: budget,"),
        ({"seeds": 1}, "did you mean 'seed'?"),
        ({"llm": {"modl": "x"}}, "unknown key 'llm.modl'"),
        (
            {"llm": {"price": {"input": 1.0}}},
            "unknown key 'llm.price.input'; allowed here: cached_input_usd_per_million, input",
        ),
        ({"llm": {"price": {"input_usd_per_million": 1.0}}}, "'llm.price.output_usd_per_million' is missing"),
        ({"labels": ["a", {"title": "b"}]}, "labels.1"),
        ({"seed": -1}, "'seed' is -1; input should be greater than or equal to 0; correct it"),
        ({"seed": "many"}, "'seed' is 'many'"),
        ({"budget": {"human_labels": 0}}, "'budget.human_labels' is 0"),
        ({"routing": {"confidence": 0.5}}, "'routing.confidence' is 0.5; input should be greater than 0.5"),
        ({"embedder": {"dtype": "int8"}}, "'embedder.dtype' is 'int8'; input should be 'float16' or 'float32'"),
        ({"llm": {"base_url": "models"}}, "'llm.base_url' is 'models'"),
        ({"human": {"noise": 2}}, "'human.noise' is 2"),
        ({"strategy": None}, "'strategy' is None"),
        ({"labels": "a, b"}, "'labels' is 'a, b'"),
        ({"seeds": 1, "seed": -1}, "(and 1 more)"),
    ],
)
def test_a_wrong_setting_is_named_by_its_path(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validate_config({**GOOD, **change})
    message = str(caught.value)
    assert message.startswith("project.yaml: ")
    assert expected in message
    assert "\n" not in message


def test_labels_are_needed() -> None:
    with pytest.raises(ConfigError, match="'labels' is missing"):
        validate_config({})
    for labels in (["a"], ["a", "A"], ["a", "skip"], ["a", " "], []):
        with pytest.raises(LabelError):
            validate_config({"labels": labels})


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_something_else_than_a_mapping_is_refused(data: object) -> None:
    with pytest.raises(ConfigError, match="expected a mapping of settings"):
        validate_config(data)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    with pytest.raises(ConfigError, match=r"project.yaml does not exist"):
        read_yaml(path)
    path.write_bytes(b"name: caf\xe9\n")
    with pytest.raises(ConfigError, match="not UTF-8"):
        read_yaml(path)
    path.write_text("labels: [a, b\nname: x\n")
    with pytest.raises(ConfigError, match="not valid YAML at line 2, column"):
        read_yaml(path)
    path.write_text("labels: !!python/object:os.system [a]\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_yaml(path)


def test_every_section_has_defaults_that_pass() -> None:
    assert ProjectConfig.model_validate({"labels": [{"name": "a"}, {"name": "b"}]}) == validate_config(
        {"labels": ["a", "b"]}
    )


@pytest.mark.parametrize(
    ("llm", "said"),
    [
        ({"base_url": "file:///etc"}, r"'llm\.base_url' is 'file:///etc'; URL scheme should be 'http' or 'https'"),
        (
            {"panel": [{"model": "x", "base_url": "http://a/v1"}]},
            r"'llm\.panel\.0' is .*; it has its own base_url; name",
        ),
        ({"concurrency": 0}, r"'llm\.concurrency' is 0; input should be greater than or equal to 1; correct it"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(llm: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        validate_config({"labels": ["a", "b"], "llm": llm})


def test_the_catch_all_label_is_one_of_the_list() -> None:
    assert validate_config(GOOD).scheme().catch_all_index is None
    assert validate_config({**GOOD, "catch_all": "b"}).scheme().catch_all_index == 1
    with pytest.raises(LabelError, match="catch_all is 'c', which is no label; name one of: a, b; or leave it out"):
        validate_config({**GOOD, "catch_all": "c"}).scheme()
