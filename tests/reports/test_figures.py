import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import matplotlib
import pytest

from llm_al.reports import figures
from llm_al.reports._canvas import _fitted
from llm_al.types import AnnotatorKind, AnnotatorQuality, Source

ALL = [
    figures.learning_curve,
    figures.sources_by_round,
    figures.sources_by_label,
    figures.money_by_round,
    figures.confusion_matrix,
    figures.annotator_reliability,
    figures.reliability_diagram,
]
NASTY = ["$x$", "$", "_hidden", "<script>alert(1)</script>", "a&b\x00", "日本語", '"quoted"', "\ud800", "#0b6bb3", "ok"]


def texts_of(svg):
    return [element.text for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]


@pytest.mark.parametrize("draw", ALL, ids=lambda draw: draw.__name__)
def test_a_figure_is_one_described_svg_with_the_same_bytes_each_time(draw, run):
    svg = draw(run)
    root = ET.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert len(root.attrib["aria-label"]) > 30
    assert svg == draw(run)
    assert "<style" not in svg
    assert "<script" not in svg


@pytest.mark.parametrize("draw", ALL, ids=lambda draw: draw.__name__)
def test_every_colour_can_be_changed_by_the_page(draw, run):
    bare = re.sub(r"var\(--[a-z0-9-]+, #[0-9a-f]{6}\)", "", draw(run))
    assert not re.search(r"(fill|stroke): #", bare)


@pytest.mark.parametrize("draw", ALL, ids=lambda draw: draw.__name__)
def test_nothing_to_show_draws_nothing(draw, empty_run):
    assert draw(empty_run) == ""


@pytest.mark.parametrize("draw", [figures.learning_curve, figures.sources_by_round])
def test_one_round_is_not_a_curve(draw, run):
    assert draw(replace(run, rounds=run.rounds[:1])) == ""


def test_ids_of_two_figures_differ(run):
    ids = [re.findall(r'\bid="([^"]+)"', draw(run)) for draw in ALL]
    flat = [name for names in ids for name in names]
    assert len(flat) == len(set(flat))


def test_local_references_resolve(run):
    for draw in ALL:
        svg = draw(run)
        names = set(re.findall(r'\bid="([^"]+)"', svg))
        assert set(re.findall(r'href="#([^"]+)"', svg)) <= names
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) <= names


def test_the_users_matplotlib_settings_play_no_part(run):
    before = figures.learning_curve(run)
    with matplotlib.rc_context({"font.size": 30, "axes.grid": True, "text.color": "red"}):
        assert figures.learning_curve(run) == before
        assert matplotlib.rcParams["font.size"] == 30


def test_label_names_are_shown_as_they_are(run):
    sources = {name: {"human": 3, "llm": 1} for name in NASTY}
    shown = texts_of(figures.sources_by_label(replace(run, label_sources=sources)))
    for name in ("$x$", "$", "_hidden", "日本語", "#0b6bb3", "a&b\ufffd"):
        assert name in shown


def test_nasty_names_pass_through_every_figure(run):
    metrics = run.rounds[-1].metrics
    classes = tuple(replace(entry, label=name) for entry, name in zip(metrics.per_class, NASTY, strict=True))
    last = replace(run.rounds[-1], metrics=replace(metrics, per_class=classes))
    nasty = replace(
        run,
        rounds=(*run.rounds[:-1], last),
        spending=tuple(replace(line, model=NASTY[i % 10]) for i, line in enumerate(run.spending)),
        annotators=tuple(AnnotatorQuality(name, AnnotatorKind.LLM, 5, 0.5) for name in NASTY),
    )
    for draw in ALL:
        svg = draw(nasty)
        assert "<script" not in svg
        ET.fromstring(svg)


def test_confusion_counts_are_in_the_matrix(run):
    confusion = run.rounds[-1].metrics.confusion
    shown = texts_of(figures.confusion_matrix(run))
    assert sorted(text for text in shown if text.isdigit()) == sorted(str(n) for row in confusion for n in row if n)


def test_too_many_labels_have_no_matrix(run):
    metrics = run.rounds[-1].metrics
    large = replace(metrics, confusion=tuple((0,) * 21 for _ in range(21)))
    assert figures.confusion_matrix(replace(run, rounds=(replace(run.rounds[-1], metrics=large),))) == ""


def test_annotators_without_known_reliability_have_no_figure(run):
    unknown = (AnnotatorQuality("a", AnnotatorKind.HUMAN, 3, None),)
    assert figures.annotator_reliability(replace(run, annotators=unknown)) == ""


def test_every_round_is_named_unless_they_are_many(run):
    assert {"r1", "r2", "r3", "r4", "r5", "r6"} <= set(texts_of(figures.learning_curve(run)))
    many = tuple(replace(run.rounds[0], number=i, n_human=10 * i) for i in range(1, 61))
    named = [t for t in texts_of(figures.learning_curve(replace(run, rounds=many))) if t.startswith("r")]
    assert len(named) == 12
    assert "r60" in named


def test_all_zero_counts_and_nan_scores_still_draw(run):
    nan = float("nan")
    metrics = replace(run.rounds[0].metrics, macro_f1=nan, ece=nan)
    rounds = tuple(
        replace(record, n_human=0, n_llm_accepted=0, n_pseudo=0, metrics=metrics, sources=(Source.HUMAN,))
        for record in run.rounds
    )
    for draw in ALL:
        assert ET.fromstring(draw(replace(run, rounds=rounds))).tag.endswith("svg")


def test_long_names_stay_apart_by_their_ends() -> None:
    names = ["llm:some-model/classify.v2", "llm:some-model/classify_terse.v2", "ann"]
    assert _fitted(names, 16) == ["…del/classify.v2", "…assify_terse.v2", "ann"]
    assert _fitted(["one", "two"], 16) == ["one", "two"]
