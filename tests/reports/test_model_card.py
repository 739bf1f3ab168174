from dataclasses import replace

import pytest
import yaml

from llm_al.reports.model_card import ModelCardData, render
from llm_al.types import Label


@pytest.fixture
def facts(run):
    last = run.rounds[-1]
    return ModelCardData(
        name="tickets",
        labels=run.labels,
        counts={"human": 130, "llm": 402, "pseudo": 71},
        metrics=last.metrics,
        certificate=last.certificate,
        base_model="sentence-transformers/all-MiniLM-L6-v2",
        languages=("en",),
        recipe={"student": "Transformer(epochs=20)"},
        versions={"llm-al": "0.1.0", "torch": "2.13"},
    )


def header_of(card):
    _, header, body = card.split("---\n", 2)
    return yaml.safe_load(header), body


def test_the_header_is_yaml_that_hubs_read(facts):
    header, _ = header_of(render(facts))
    assert header["pipeline_tag"] == "text-classification"
    assert header["base_model"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert header["language"] == ["en"]
    metrics = {m["type"]: m["value"] for m in header["model-index"][0]["results"][0]["metrics"]}
    assert metrics == {"accuracy": 0.8933, "f1": 0.8746, "expected_calibration_error": 0.0312}


def test_the_card_states_counts_quality_and_proof(facts):
    card = render(facts)
    assert "| people | 130 |" in card
    assert "| all | 603 |" in card
    assert "| accuracy | 89.3% (85.8-92.8%) |" in card
    assert "at most 9.3% of the accepted LLM labels differ" in card
    assert "Fewer than 20 test texts each, so their figures are rough: account, praise, stock." in card
    assert "| llm-al | 0.1.0 |" in card


def test_a_card_without_metrics_says_that_and_why(facts):
    card = render(replace(facts, metrics=None))
    header, body = header_of(card)
    assert "model-index" not in header
    assert "Not measured: there was no test split." in body
    assert "Its quality is unknown" in body


def test_nan_is_left_out_of_the_header(facts):
    header, _ = header_of(render(replace(facts, metrics=replace(facts.metrics, ece=float("nan")))))
    kinds = [m["type"] for m in header["model-index"][0]["results"][0]["metrics"]]
    assert kinds == ["accuracy", "f1"]


def test_names_add_neither_headings_nor_html_nor_header_keys(facts):
    evil = "x\n---\n# Heading\nlicense: evil\n<script>|\x00"
    card = render(replace(facts, name=evil, labels=(Label(evil, evil), Label("b")), recipe={evil: evil}))
    header, body = header_of(card)
    assert "license" not in header
    assert "<script" not in body
    assert [line for line in body.splitlines() if line.startswith("# ")] == [
        r"# x --- \# Heading license: evil &lt;script&gt;\|" + "\ufffd"
    ]


def test_empty_recipe_and_versions_are_said_to_be_missing(facts):
    assert render(replace(facts, recipe={}, versions={})).count("Not recorded.") == 2
