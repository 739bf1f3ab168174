import errno
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from llm_al.errors import StorageFullError, StoreError
from llm_al.measures import Certificate, HardExample
from llm_al.reports import html
from llm_al.types import Label

VOID = {"meta", "link", "br", "img", "hr", "input"}
ATTACK = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"' {{ 7*7 }}"


class Page(HTMLParser):
    """Elements, attributes and text; refuses tags that do not nest."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], [], []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def says(self):
        return " ".join(" ".join(self.text).split())


def assert_inert(parsed):
    assert not {"script", "img", "iframe", "object", "embed", "form", "base"} & set(parsed.tags)
    for tag, name, value in parsed.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in {"src", "href", "xlink:href", "action"}:
            assert value.startswith("#") or value == "data:,", (tag, name, value)


def test_the_report_nests_and_asks_for_nothing_from_outside(page):
    assert_inert(Page(page))
    assert "://" not in page
    assert "@import" not in page
    assert set(re.findall(r"url\(([^)]*)", page)) <= set(re.findall(r"url\((#[^)]*)", page))
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page


def test_the_report_is_the_same_bytes_each_time(run, page):
    assert html.render(run) == page


def test_ids_are_unique_and_section_links_resolve(page):
    attributes = Page(page).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for tag, name, value in attributes if tag == "a" and name == "href"} <= set(ids)


def test_figures_and_tables_are_named_for_those_who_do_not_see_them(page):
    parsed = Page(page)
    assert parsed.tags.count("svg") == 7
    assert page.count('role="img"') == 7
    assert parsed.tags.count("table") == parsed.tags.count("caption")
    scopes = [tag for tag, name, _ in parsed.attributes if name == "scope"]
    assert len(scopes) == parsed.tags.count("th")


def test_headline_numbers_are_those_of_the_run(page):
    says = Page(page).says()
    assert "Human labels 130 of 700 texts (18.6%); budget 130" in says
    assert "LLM labels accepted 402 from 1,500 answers" in says
    assert "Spent on LLM $0.17 82045 1,500 calls" in says
    assert "Test accuracy 89.3% interval 85.8% to 92.8%; 300 test texts" in says
    assert "Share of that macro-F1 reached 97.1%" in says
    assert "Stopped: the human budget of 130 labels is used up" in says
    assert "With 95% confidence, at most 9.3% of the accepted LLM labels differ" in says


def test_text_labels_and_names_are_never_markup(run):
    attacked = replace(
        run,
        project=ATTACK,
        labels=tuple(Label(ATTACK + str(i), ATTACK) for i in range(10)),
        label_sources={ATTACK: {"human": 3}},
        hardest=(HardExample(ATTACK, ATTACK * 5, ATTACK, ATTACK, 0.5, ATTACK),),
        annotators=tuple(replace(quality, name=ATTACK) for quality in run.annotators),
        spending=tuple(replace(line, model=ATTACK, prompt=ATTACK) for line in run.spending),
        facts=((ATTACK, ATTACK),),
        recipe={ATTACK: ATTACK},
        rounds=tuple(
            replace(
                record,
                guard=ATTACK,
                stop_reason=ATTACK,
                seconds={ATTACK: 1.0},
                metrics=replace(
                    record.metrics, per_class=tuple(replace(entry, label=ATTACK) for entry in record.metrics.per_class)
                ),
                certificate=Certificate(None, None, 3, 2, 0.1, 0.95, ATTACK),
            )
            for record in run.rounds
        ),
    )
    page = html.render(attacked)
    parsed = Page(page)
    assert_inert(parsed)
    assert "<script" not in page
    assert "<img" not in page
    assert "{{ 7*7 }}" in page
    assert parsed.tags.count("style") == parsed.tags.count("title") == 1
    assert "".join(parsed.text).count("<script>alert(1)</script>") > 20


def test_texts_that_utf8_cannot_hold_are_still_written(small_run, tmp_path):
    broken = replace(small_run, hardest=(HardExample("a", "\ud800 \x00 ok", None, "b", 0.1),))
    html.write(broken, tmp_path / "report.html")
    assert "\ufffd \ufffd ok" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_long_texts_are_cut_with_the_whole_text_behind(small_run):
    text = "word " * 100 + "end"
    page = html.render(replace(small_run, hardest=(HardExample("a", text, "x", "y", 0.4),)))
    assert "<summary" in page
    assert text in page


def test_before_the_first_round_every_section_says_so(empty_run):
    parsed = Page(html.render(empty_run))
    assert "svg" not in parsed.tags
    says = parsed.says()
    for sentence in (
        "No round has finished yet; run llm-al run to start one.",
        "No label has been exported yet.",
        "No LLM took part in this run, so there is nothing to certify.",
        "No round has finished yet, so there is nothing to measure.",
        "Nobody has answered yet.",
        "Nothing was spent: no LLM took part in this run.",
        "No round has finished yet, so the guard has decided nothing.",
        "There are no predictions to compare yet.",
        "No step has been timed yet.",
        "No recipe was recorded.",
    ):
        assert sentence in says


def test_one_round_has_sentences_instead_of_curves(run):
    says = Page(html.render(replace(run, rounds=run.rounds[:1]))).says()
    assert "One round was measured, so there is no curve yet: accuracy 59.7% (54.1-65.2%), macro-F1 0.561." in says
    assert "One round has finished: 30 human, 0 LLM and 0 pseudo-labels." in says


def test_without_a_test_split_quality_says_why(small_run):
    rounds = tuple(replace(record, metrics=None) for record in small_run.rounds)
    says = Page(html.render(replace(small_run, rounds=rounds, n_test=0))).says()
    assert "There is no test split, so the student's quality was not measured" in says
    assert "Test accuracy - there is no test split" in says


def test_free_answers_are_told_from_no_answers(run, small_run):
    says = Page(html.render(replace(small_run, spending=()))).says()
    assert "Nothing was spent: the LLM answers of this run were free of charge." in says
    free = tuple(replace(line, cost_nanousd=0) for line in run.spending)
    assert "All calls were free of charge." in Page(html.render(replace(small_run, spending=free))).says()


def test_when_nothing_was_accepted_the_report_says_why(small_run):
    certificate = Certificate(None, None, 20, 6, 0.1, 0.95, "the error of the strictest threshold may be 51%")
    last = replace(small_run.rounds[-1], certificate=certificate, n_llm_accepted=0)
    says = Page(html.render(replace(small_run, rounds=(*small_run.rounds[:-1], last)))).says()
    assert "No LLM label was accepted on its own." in says
    assert "disagreed with it on 6." in says
    assert "The error of the strictest threshold may be 51%." in says


@pytest.mark.parametrize("n_labels", [2, 20, 21, 150])
def test_two_to_150_labels_fit(small_run, n_labels):
    metrics = small_run.rounds[-1].metrics
    classes = tuple(replace(metrics.per_class[i % 10], label=f"label {i}") for i in range(n_labels))
    confusion = tuple(
        tuple(9 if i == j else int((i + 1) % n_labels == j) for j in range(n_labels)) for i in range(n_labels)
    )
    last = replace(small_run.rounds[-1], metrics=replace(metrics, per_class=classes, confusion=confusion))
    many = replace(
        small_run, labels=tuple(Label(entry.label) for entry in classes), rounds=(*small_run.rounds[:-1], last)
    )
    says = Page(html.render(many)).says()
    assert ("Most frequent confusions" in says) == (n_labels > 20)
    assert ("Confusion matrix" in says) == (n_labels <= 20)


def test_write_replaces_the_file_and_leaves_nothing_else(small_run, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    html.write(small_run, path)
    assert path.read_text(encoding="utf-8") == html.render(small_run)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("number", "error", "message"),
    [
        (errno.ENOSPC, StorageFullError, "no space left for the report"),
        (errno.EDQUOT, StorageFullError, "nothing was written"),
        (errno.EIO, StoreError, "cannot be written"),
    ],
)
def test_a_failed_write_keeps_the_old_report(empty_run, tmp_path, monkeypatch, number, error, message):
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(error, match=message):
        html.write(empty_run, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_a_store_error(empty_run, tmp_path):
    with pytest.raises(StoreError, match="check the folder"):
        html.write(empty_run, tmp_path / "absent" / "report.html")


@pytest.mark.parametrize("module", ["tables", "model_card", "amounts"])
def test_only_figures_pay_for_matplotlib(module):
    code = f"import sys, llm_al.reports.{module}; sys.exit('matplotlib' in sys.modules)"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
