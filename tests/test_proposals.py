import pytest
import yaml

from llm_al.errors import ConfigError, DataError
from llm_al.proposals import (
    DescriptionProposal,
    RuleProposal,
    accept_descriptions,
    accept_rules,
    accepted_rules,
    write_descriptions,
    write_rules,
)

SETTINGS = """\
# Mine.
# Second line.
name: shop
labels:
- delivery   # a plain name
- name: refund
  description: old
seed: 3
"""
PROPOSED = [
    DescriptionProposal("delivery", "", "about: parcels # not a comment\n'quoted'"),
    DescriptionProposal("refund", "old", "about money"),
    DescriptionProposal("praise", "", "", "no answer"),
]


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "project.yaml"
    path.write_text(SETTINGS, encoding="utf-8")
    write_descriptions(tmp_path, PROPOSED)
    return path


def test_plain_names_become_mappings_and_everything_else_stays(config):
    accepted, backup = accept_descriptions(config.parent, config, ["delivery"])
    assert accepted == ["delivery"]
    assert backup.read_text(encoding="utf-8") == SETTINGS
    after = config.read_text(encoding="utf-8")
    assert after.startswith("# Mine.\n# Second line.\nname: shop\n")
    values = yaml.safe_load(after)
    assert values == {
        "name": "shop",
        "labels": [
            {"name": "delivery", "description": "about: parcels # not a comment 'quoted'"},
            {"name": "refund", "description": "old"},
        ],
        "seed": 3,
    }


def test_each_backup_has_a_name_of_its_own(config):
    first = accept_descriptions(config.parent, config, ["all"])[1]
    second = accept_descriptions(config.parent, config, ["all"])[1]
    assert (first.name, second.name) == ("project.yaml.1.bak", "project.yaml.2.bak")


def test_labels_without_a_proposal_and_edited_files_are_refused_before_anything_is_written(config):
    with pytest.raises(DataError, match="no description is proposed for 'praise'; proposed are: delivery, refund"):
        accept_descriptions(config.parent, config, ["praise"])
    (config.parent / "proposals/descriptions.yaml").write_text("- label: x", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be a list of label, proposed"):
        accept_descriptions(config.parent, config, ["x"])
    assert config.read_text(encoding="utf-8") == SETTINGS


def test_people_may_edit_a_proposal_before_they_accept_it(config):
    page = config.parent / "proposals/descriptions.yaml"
    page.write_text(page.read_text(encoding="utf-8").replace("about money", "my own words"), encoding="utf-8")
    accept_descriptions(config.parent, config, ["refund"])
    assert yaml.safe_load(config.read_text(encoding="utf-8"))["labels"][1]["description"] == "my own words"


RULES = [RuleProposal(1, "What of both?", "Take the first.", ("p1",)), RuleProposal(2, "g", "Second rule.", ("p2",))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# Page\n\nText.\n", "# Page\n\nText.\n\n- Take the first.\n- Second rule.\n"),
        ("Text", "Text\n\n- Take the first.\n- Second rule.\n"),
        ("- old\n", "- old\n- Take the first.\n- Second rule.\n"),
        ("", "- Take the first.\n- Second rule.\n"),
    ],
)
def test_rules_are_appended_as_a_list(tmp_path, before, after):
    page = tmp_path / "guidelines.md"
    page.write_text(before, encoding="utf-8")
    write_rules(tmp_path, RULES, {"p1": "a\ntext", "p2": "x" * 300})
    accept_rules(tmp_path, page, [1, 2])
    assert page.read_text(encoding="utf-8") == after
    assert accept_rules(tmp_path, page, [2]) == ([], None)


def test_a_page_that_is_not_there_yet_is_made_and_none_is_refused(tmp_path):
    write_rules(tmp_path, RULES, {})
    assert accepted_rules(tmp_path, "guidelines.md", ["2"])[0] == "1 rules added to guidelines.md"
    with pytest.raises(ConfigError, match="the project has no guidelines page"):
        accepted_rules(tmp_path, None, ["2"])


def test_the_page_of_gaps_shows_short_texts_on_one_line(tmp_path):
    page = write_rules(tmp_path, RULES, {"p1": "a\ntext", "p2": "x" * 300}).read_text(encoding="utf-8")
    assert "- `p1`: a text" in page
    assert "x" * 200 + "..." in page
    assert "No gap was found." in write_rules(tmp_path, [], {}).read_text(encoding="utf-8")
