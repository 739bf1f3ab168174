import re
from dataclasses import replace

from llm_al.measures import ReportData
from llm_al.reports import confidence, html

ATTACK = "</title><script>alert(1)</script>"


def test_each_measured_annotator_has_a_diagram_and_the_combined_probability_comes_first(
    confident_run: ReportData,
) -> None:
    drawn = confidence.reliability_diagrams(confident_run)
    names = [row.name for row, _ in drawn]
    assert names == ["calibrated probability", "gpt-4o-mini/classify.v1", "gpt-4o-mini/classify_reversed.v1"]
    assert all("expected calibration error 0.041 (0.024-0.093)" in svg for _, svg in drawn)
    assert len(confidence.confidence_rows(confident_run.llm_quality)) == 4


def test_more_annotators_than_a_page_holds_stay_in_the_table(confident_run: ReportData) -> None:
    quality = confident_run.llm_quality
    many = tuple(replace(quality.annotators[0], name=f"model-{i}") for i in range(30))
    crowded = replace(confident_run, llm_quality=replace(quality, annotators=many))
    assert len(confidence.reliability_diagrams(crowded)) == confidence.MAX_DIAGRAMS
    assert "model-29" in html.render(crowded)


def test_the_curve_names_what_is_gained(confident_run: ReportData) -> None:
    svg = confidence.risk_coverage_curve(confident_run)
    assert "calibrated probability 96.0% at half, 82.0% at all" in svg


def test_without_an_llm_or_audits_there_is_nothing_to_draw(run: ReportData, confident_run: ReportData) -> None:
    assert confidence.risk_coverage_curve(run) == ""
    assert confidence.reliability_diagrams(run) == []
    unmeasured = replace(confident_run.llm_quality, combined=None, annotators=confident_run.llm_quality.annotators[2:])
    assert confidence.risk_coverage_curve(replace(run, llm_quality=unmeasured)) == ""


def test_the_page_says_what_is_known_and_why_the_rest_is_not(run: ReportData, confident_run: ReportData) -> None:
    page = html.render(confident_run)
    for words in (
        "Estimates come from 180 random audits",
        '82.0%<span class="under">(75.5-87.2%)</span>',
        '0.812<span class="under">(0.745-0.870)</span>',
        '<td colspan="4" class="text">unknown: no logprobs from this server</td>',
        "no probability",
        "unknown: not asked",
    ):
        assert words in page
    assert "No LLM has answered, so there is nothing to compare with people." in html.render(run)
    ids = re.findall(r'id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_names_of_annotators_are_never_markup(confident_run: ReportData) -> None:
    quality = confident_run.llm_quality
    attacked = replace(quality, note=ATTACK, annotators=tuple(replace(row, name=ATTACK) for row in quality.annotators))
    page = html.render(replace(confident_run, llm_quality=attacked))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") > 5
