"""The report: one HTML file that needs nothing else, neither scripts nor a network."""

import contextlib
import errno
import math
import os
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from llm_al.errors import StorageFullError, StoreError
from llm_al.measures import ClassMetrics, Metrics, ReportData
from llm_al.reports import _sections, amounts, confidence, figures, people
from llm_al.reports.tables import round_rows

__all__ = ["render", "write"]

_FULL_DISK = frozenset({errno.ENOSPC, errno.EDQUOT})
_TEXT_WIDTH = 160


def render(data: ReportData) -> str:
    """Return the report as one HTML document.

    Texts, labels and names are escaped; a Content-Security-Policy forbids scripts and requests even
    if they were not. The same data give the same bytes. Without a test split, an LLM, spending or
    finished rounds, a sentence stands where the figure would be.
    """
    template = _environment().get_template("report.html.j2")
    metrics = figures.last_metrics(data)
    return template.render(
        data=data,
        metrics=metrics,
        figures=_figures(data),
        subtitle=_sections.subtitle(data),
        tiles=_sections.tiles(data),
        round_rows=round_rows(data.rounds),
        label_rows=_sections.label_rows(data),
        weakest_first=_weakest_first(metrics),
        confusions=_sections.top_confusions(metrics) if metrics else [],
        why_not_measured=_sections.why_not_measured(data),
        certificate=_sections.last_certificate(data),
        why_no_certificate=_sections.why_no_certificate(data),
        spending_by_prompt=_sections.spending_by_prompt(data.spending),
        step_times=_sections.step_times(data.rounds),
        diagrams=[(row, _inlined(svg)) for row, svg in confidence.reliability_diagrams(data)],
        confidence_rows=confidence.confidence_rows(data.llm_quality) if data.llm_quality else [],
        coefficients=people.coefficients(data.people) if data.people else [],
        pairs=people.closest_pairs(data.people) if data.people else [],
        has_llm=any(record.n_llm_answers for record in data.rounds),
        version=_installed_version(),
    )


def write(data: ReportData, path: Path) -> None:
    """Write the report to `path`; a reader sees the old file or the new one, never a part.

    Raises
    ------
    StorageFullError
        If the disk is full; the old file, if any, is untouched.
    StoreError
        If the folder cannot be written to.
    """
    page = render(data).encode()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if exc.errno in _FULL_DISK:
            raise StorageFullError(
                f"no space left for the report {path} ({len(page):,} bytes); nothing was written; "
                "free some space and run `llm-al report` again"
            ) from exc
        raise StoreError(
            f"the report {path} cannot be written: {exc.strerror}; check the folder and its rights"
        ) from exc


def _installed_version() -> str:
    try:
        return metadata.version("llm-al")
    except metadata.PackageNotFoundError:  # run from a source tree
        return ""


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("llm_al.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(
        capitalised=_capitalised,
        count=amounts.count,
        estimate=amounts.estimate,
        interval=amounts.interval,
        number=amounts.number,
        percent=amounts.percent,
        seconds=amounts.seconds,
        sentences=_sections.certificate_sentences,
        short_name=people.short_name,
        shorten=amounts.shorten,
        usd=amounts.usd,
    )
    environment.globals.update(text_width=_TEXT_WIDTH, max_rows=figures.MAX_ROWS)
    return environment


def _printable(value: Any) -> Any:
    return amounts.clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _figures(data: ReportData) -> dict[str, Markup]:
    drawn = {
        "learning_curve": figures.learning_curve(data),
        "sources_by_round": figures.sources_by_round(data),
        "sources_by_label": figures.sources_by_label(data),
        "money": figures.money_by_round(data),
        "confusion": figures.confusion_matrix(data),
        "annotators": figures.annotator_reliability(data),
        "reliability": figures.reliability_diagram(data),
        "risk_coverage": confidence.risk_coverage_curve(data),
        "agreement": people.label_agreement(data),
    }
    return {name: _inlined(svg) for name, svg in drawn.items()}


def _inlined(svg: str) -> Markup:
    # Markup is safe here: the SVG is serialised from a tree, so every text and attribute in it is escaped.
    return Markup(svg.replace(' xmlns="http://www.w3.org/2000/svg"', "", 1))


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _weakest_first(metrics: Metrics | None) -> Sequence[ClassMetrics]:
    if metrics is None:
        return ()
    return sorted(metrics.per_class, key=lambda entry: math.inf if math.isnan(entry.f1) else entry.f1)
