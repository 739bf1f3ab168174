"""The figures about how honest LLM annotators are: reliability diagrams, and what trusting the surest brings."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from llm_al.measures import ConfidenceQuality, LLMQuality, ReportData
from llm_al.reports._canvas import COLOURS, SERIES, draw, legend
from llm_al.reports._reliability import paint_reliability
from llm_al.reports.amounts import estimate, number, percent, shorten

__all__ = ["MAX_DIAGRAMS", "confidence_rows", "reliability_diagrams", "risk_coverage_curve"]

MAX_DIAGRAMS = 7
"""Most reliability diagrams on a page; the table holds the rest."""

_WIDTH = 420.0


def confidence_rows(quality: LLMQuality) -> list[ConfidenceQuality]:
    """Return the combined probability, where there is one, and then the annotators."""
    return [*([quality.combined] if quality.combined else []), *quality.annotators]


def reliability_diagrams(data: ReportData) -> list[tuple[ConfidenceQuality, str]]:
    """Return annotators whose confidence was measured, each with its diagram, `MAX_DIAGRAMS` at most."""
    rows = [] if data.llm_quality is None else confidence_rows(data.llm_quality)
    known = [row for row in rows if any(bar.n for bar in row.reliability)]
    return [(row, _diagram(row, position)) for position, row in enumerate(known[:MAX_DIAGRAMS])]


def _diagram(row: ConfidenceQuality, position: int) -> str:
    n_bins = sum(bar.n > 0 for bar in row.reliability)
    alt = (
        f"Reliability diagram of {shorten(row.name, 60)}, {n_bins} bins of confidence; "
        f"expected calibration error {estimate(row.ece)}."
    )
    paint = partial(
        paint_reliability,
        bins=row.reliability,
        title=f"ECE {number(row.ece.value)}",
        role="llm",
        subject="the label",
    )
    return draw(paint, size=(_WIDTH, 270), name=f"confidence-{position}", alt=alt)


def risk_coverage_curve(data: ReportData) -> str:
    """Return the accuracy of the surest share of labels against that share, one line an annotator, six at most."""
    rows = [] if data.llm_quality is None else confidence_rows(data.llm_quality)
    known = [row for row in rows if row.curve][: len(SERIES)]
    if not known:
        return ""
    listed = "; ".join(
        f"{shorten(row.name, 40)} {percent(row.kept_50.value)} at half, {percent(row.accuracy.value)} at all"
        for row in known
    )
    size = (_WIDTH, 250.0 + 16.0 * (len(known) + 1) // 2)
    return draw(
        partial(_paint_curves, known), size=size, name="risk-coverage", alt=f"Accuracy of the labels kept: {listed}."
    )


def _paint_curves(rows: Sequence[ConfidenceQuality], axes: Axes) -> None:
    lowest = 1.0
    for role, row in zip(SERIES, rows, strict=False):
        coverage, accuracy = zip(*row.curve, strict=True)
        # Before the first tie is kept whole nothing is known, so each accuracy holds back to the point before.
        axes.step([0.0, *coverage], [accuracy[0], *accuracy], where="pre", color=COLOURS[role], linewidth=1.8)
        lowest = min(lowest, *accuracy)
    axes.set_xlim(0, 1.01)
    axes.set_ylim(max(0.0, lowest - 0.05), 1.02)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol="%"))
    axes.grid(axis="y")
    axes.set_xlabel("share of labels kept, surest first")
    axes.set_ylabel("accuracy of what is kept")
    legend(axes, [(role, row.name) for role, row in zip(SERIES, rows, strict=False)], columns=2)
