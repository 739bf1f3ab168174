"""The figures of the report: each reads `ReportData` and returns one SVG element, or "" with nothing to show."""

from collections import defaultdict
from collections.abc import Mapping
from functools import partial

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from llm_al.measures import Metrics, ReportData, RoundRecord
from llm_al.reports._canvas import COLOURS, SERIES, draw, legend, name_ticks, plain
from llm_al.reports._reliability import paint_reliability
from llm_al.reports.amounts import count, interval, number, percent, shorten, usd
from llm_al.types import NANO_PER_USD, AnnotatorKind, AnnotatorQuality, Source

__all__ = [
    "MAX_MATRIX_LABELS",
    "MAX_ROWS",
    "annotator_reliability",
    "confusion_matrix",
    "last_metrics",
    "learning_curve",
    "money_by_round",
    "reliability_diagram",
    "sources_by_label",
    "sources_by_round",
]

MAX_MATRIX_LABELS = 20
"""Above this many labels a confusion matrix cannot be read any more."""
MAX_ROWS = 20
"""Most bars in a figure with one bar a name; the tables beside hold the rest."""

_WIDTH = 420.0
_SOURCE_NAMES = {Source.HUMAN: "Human", Source.LLM: "LLM, accepted", Source.PSEUDO: "Pseudo-labels"}
_KIND_COLOURS = {
    AnnotatorKind.HUMAN: COLOURS["human"],
    AnnotatorKind.SIMULATED: COLOURS["human"],
    AnnotatorKind.LLM: COLOURS["llm"],
    AnnotatorKind.RULE: COLOURS["rule"],
}


def last_metrics(data: ReportData) -> Metrics | None:
    """Return the newest metrics of the run; None when no round was measured."""
    return next((record.metrics for record in reversed(data.rounds) if record.metrics), None)


def learning_curve(data: ReportData) -> str:
    """Return accuracy (with interval) and macro-F1 against human labels; needs two measured rounds."""
    measured = [(record, record.metrics) for record in data.rounds if record.metrics]
    if len(measured) < 2:
        return ""
    first, last = measured[0], measured[-1]
    alt = (
        f"Learning curve. Accuracy goes from {percent(first[1].accuracy)} with {first[0].n_human} human labels "
        f"to {percent(last[1].accuracy)} with {last[0].n_human}; macro-F1 from {number(first[1].macro_f1)} "
        f"to {number(last[1].macro_f1)}."
    )
    return draw(partial(_paint_curve, measured), size=(_WIDTH, 270), name="learning-curve", alt=alt)


def _paint_curve(measured: list[tuple[RoundRecord, Metrics]], axes: Axes) -> None:
    humans = [record.n_human for record, _ in measured]
    lows = [metrics.accuracy_low for _, metrics in measured]
    highs = [metrics.accuracy_high for _, metrics in measured]
    axes.fill_between(humans, lows, highs, color=COLOURS["human"], alpha=0.16, linewidth=0)
    accuracies = [metrics.accuracy for _, metrics in measured]
    axes.plot(humans, accuracies, color=COLOURS["human"], marker="o", markersize=5, linewidth=2)
    f1s = [metrics.macro_f1 for _, metrics in measured]
    axes.plot(humans, f1s, color=COLOURS["llm"], marker="s", markersize=4, linewidth=1.6, linestyle=(0, (4, 2)))
    _annotate_rounds(measured, axes)
    floor = min([*lows, *(f1 for f1 in f1s if f1 == f1)])
    axes.set_ylim(max(0.0, floor - 0.04), 1.02)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol="%"))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(axis="y")
    axes.set_xlabel("human labels")
    legend(axes, [("human", "Accuracy, with interval"), ("llm", "Macro-F1")], columns=2)


def _annotate_rounds(measured: list[tuple[RoundRecord, Metrics]], axes: Axes) -> None:
    step = -(-len(measured) // 12)  # a dozen names are as many as fit
    last = len(measured) - 1
    for position, (record, metrics) in enumerate(measured):
        is_hidden_by_next = position < last and measured[position + 1][0].n_human == record.n_human
        if is_hidden_by_next or (last - position) % step:
            continue
        axes.annotate(
            f"r{record.number}",
            (record.n_human, max(metrics.accuracy, metrics.macro_f1)),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=COLOURS["muted"],
        )


def sources_by_round(data: ReportData) -> str:
    """Return stacked bars of the labels at hand after each round; needs two rounds."""
    if len(data.rounds) < 2:
        return ""
    last = data.rounds[-1]
    alt = (
        f"Labels after each round, by source. After round {last.number}: {count(last.n_human)} human, "
        f"{count(last.n_llm_accepted)} accepted from the LLM, {count(last.n_pseudo)} pseudo-labels."
    )
    return draw(partial(_paint_sources, data.rounds), size=(_WIDTH, 270), name="sources-by-round", alt=alt)


def _paint_sources(rounds: tuple[RoundRecord, ...], axes: Axes) -> None:
    counts = {
        Source.HUMAN: [record.n_human for record in rounds],
        Source.LLM: [record.n_llm_accepted for record in rounds],
        Source.PSEUDO: [record.n_pseudo for record in rounds],
    }
    numbers = [record.number for record in rounds]
    bottoms = [0] * len(rounds)
    for source, values in counts.items():
        axes.bar(numbers, values, 0.72, bottom=bottoms, color=COLOURS[source], linewidth=0)
        bottoms = [below + value for below, value in zip(bottoms, values, strict=True)]
    if len(rounds) <= 12:
        for position, total in zip(numbers, bottoms, strict=True):
            axes.annotate(count(total), (position, total), (0, 3), textcoords="offset points", ha="center", fontsize=9)
    axes.set_ylim(0, 1.1 * max(*bottoms, 1))
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="y")
    axes.set_xlabel("round")
    legend(axes, [(source.value, name) for source, name in _SOURCE_NAMES.items()])


def sources_by_label(data: ReportData) -> str:
    """Return stacked bars of exported labels, most frequent first, `MAX_ROWS` of them at most."""
    rows = [(name, by_source) for name, by_source in data.label_sources.items() if sum(by_source.values())]
    if not rows:
        return ""
    rows.sort(key=lambda row: -sum(row[1].values()))
    shown = rows[:MAX_ROWS]
    top, total = shown[0], sum(sum(by_source.values()) for _, by_source in rows)
    alt = (
        f"Exported labels by source, {len(rows)} labels, {count(total)} examples. "
        f"The most frequent is {shorten(top[0], 40)} with {count(sum(top[1].values()))}."
    )
    size = (_WIDTH, 74.0 + 21.0 * len(shown))
    return draw(partial(_paint_label_sources, shown), size=size, name="sources-by-label", alt=alt)


def _paint_label_sources(rows: list[tuple[str, Mapping[str, int]]], axes: Axes) -> None:
    lefts = [0] * len(rows)
    for source in _SOURCE_NAMES:
        values = [by_source.get(source.value, 0) for _, by_source in rows]
        axes.barh(range(len(rows)), values, 0.72, left=lefts, color=COLOURS[source], linewidth=0)
        lefts = [left + value for left, value in zip(lefts, values, strict=True)]
    for position, total in enumerate(lefts):
        axes.annotate(count(total), (total, position), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xlim(0, 1.1 * max(lefts))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.grid(axis="x")
    name_ticks(axes, [name for name, _ in rows])
    axes.set_xlabel("examples")
    legend(axes, [(source.value, name) for source, name in _SOURCE_NAMES.items()])


def money_by_round(data: ReportData) -> str:
    """Return stacked bars of money by round and model; needs spending in two rounds."""
    rounds = sorted({line.round for line in data.spending if line.cost_nanousd})
    if len(rounds) < 2:
        return ""
    by_model: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for line in data.spending:
        by_model[line.model][line.round] += line.cost_nanousd
    ranked = sorted(by_model, key=lambda model: (-sum(by_model[model].values()), model))
    rest: dict[int, int] = defaultdict(int)
    for model in ranked[len(SERIES) - 1 :]:
        for position, cost in by_model[model].items():
            rest[position] += cost
    stacks: list[tuple[str, Mapping[int, int]]] = [(model, by_model[model]) for model in ranked[: len(SERIES) - 1]]
    if rest:
        stacks.append(("other models", rest))
    total = sum(line.cost_nanousd for line in data.spending)
    alt = f"Money by round and model: {usd(total)} over {len(rounds)} rounds, {len(ranked)} models."
    return draw(partial(_paint_money, rounds, stacks), size=(_WIDTH, 250), name="money", alt=alt)


def _paint_money(rounds: list[int], stacks: list[tuple[str, Mapping[int, int]]], axes: Axes) -> None:
    bottoms = [0.0] * len(rounds)
    for role, (_, by_round) in zip(SERIES, stacks, strict=False):
        values = [by_round.get(position, 0) / NANO_PER_USD for position in rounds]
        axes.bar(rounds, values, 0.72, bottom=bottoms, color=COLOURS[role], linewidth=0)
        bottoms = [below + value for below, value in zip(bottoms, values, strict=True)]
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"${value:.4g}"))
    axes.grid(axis="y")
    axes.set_xlabel("round")
    legend(axes, [(role, model) for role, (model, _) in zip(SERIES, stacks, strict=False)], columns=2)


def confusion_matrix(data: ReportData) -> str:
    """Return the confusion matrix of the newest metrics, up to `MAX_MATRIX_LABELS` labels."""
    metrics = last_metrics(data)
    if metrics is None or not 0 < len(metrics.confusion) <= MAX_MATRIX_LABELS:
        return ""
    n_right = sum(row[position] for position, row in enumerate(metrics.confusion))
    n_all = sum(map(sum, metrics.confusion))
    alt = f"Confusion matrix of {len(metrics.confusion)} labels: {n_right} of {n_all} test texts on the diagonal."
    side = max(_WIDTH, 130.0 + 25.0 * len(metrics.confusion))
    return draw(partial(_paint_confusion, metrics), size=(side, side), name="confusion", alt=alt)


def _paint_confusion(metrics: Metrics, axes: Axes) -> None:
    names = [entry.label for entry in metrics.per_class]
    n_classes = len(metrics.confusion)
    for true, row in enumerate(metrics.confusion):
        for predicted, n in enumerate(row):
            if n:
                _paint_cell(axes, (predicted, true), n, share=n / sum(row))
    name_ticks(axes, names, width=18)
    axes.set_xlim(-0.5, n_classes - 0.5)
    axes.set_xticks(range(n_classes), [shorten(name, 18) for name in names], rotation=90)
    for text in axes.get_xticklabels():
        plain(text).set_color(COLOURS["ink"])
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    edges = [position - 0.5 for position in range(n_classes + 1)]
    axes.hlines(edges, -0.5, n_classes - 0.5, color=COLOURS["grid"], linewidth=0.6, zorder=0)
    axes.vlines(edges, -0.5, n_classes - 0.5, color=COLOURS["grid"], linewidth=0.6, zorder=0)
    axes.set_aspect("equal")


def _paint_cell(axes: Axes, centre: tuple[int, int], n: int, *, share: float) -> None:
    colour = COLOURS["right" if centre[0] == centre[1] else "wrong"]
    corner = (centre[0] - 0.47, centre[1] - 0.47)
    axes.add_patch(Rectangle(corner, 0.94, 0.94, color=colour, alpha=0.12 + 0.88 * share, linewidth=0))
    ink = COLOURS["surface" if share > 0.45 else "ink"]
    axes.text(*centre, str(n), ha="center", va="center_baseline", fontsize=9, color=ink)


def annotator_reliability(data: ReportData) -> str:
    """Return a dot with its interval for each annotator whose reliability is known, best first."""
    known = [(quality.accuracy, quality) for quality in data.annotators if quality.accuracy is not None]
    if not known:
        return ""
    known.sort(key=lambda pair: -pair[0])
    shown = known[:MAX_ROWS]
    listed = "; ".join(
        f"{shorten(quality.name, 40)} {interval(accuracy, quality.low, quality.high)}" for accuracy, quality in shown
    )
    size = (_WIDTH, 62.0 + 26.0 * len(shown))
    return draw(
        partial(_paint_annotators, shown), size=size, name="annotators", alt=f"Reliability of each annotator: {listed}."
    )


def _paint_annotators(rows: list[tuple[float, AnnotatorQuality]], axes: Axes) -> None:
    lowest = 1.0
    for position, (accuracy, quality) in enumerate(rows):
        low = accuracy if quality.low is None else quality.low
        high = accuracy if quality.high is None else quality.high
        colour = _KIND_COLOURS[quality.kind]
        axes.plot([low, high], [position, position], color=colour, linewidth=3, alpha=0.45, solid_capstyle="round")
        axes.plot([accuracy], [position], color=colour, marker="o", markersize=7, linestyle="none")
        lowest = min(lowest, low)
    axes.set_xlim(max(0.0, lowest - 0.05), 1.01)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol="%"))
    axes.grid(axis="x")
    name_ticks(axes, [quality.name for _, quality in rows], width=26)
    axes.set_xlabel("agrees with the estimated truth")


def reliability_diagram(data: ReportData) -> str:
    """Return confidence against what came true for the newest metrics, with the calibration error."""
    metrics = last_metrics(data)
    bins = [bar for bar in metrics.reliability if bar.n] if metrics else []
    if metrics is None or not bins:
        return ""
    alt = f"Reliability diagram, {len(bins)} bins of confidence; expected calibration error {number(metrics.ece)}."
    paint = partial(
        paint_reliability,
        bins=metrics.reliability,
        title=f"ECE {number(metrics.ece)}",
        role="human",
        subject="the student",
    )
    return draw(paint, size=(_WIDTH, 300), name="reliability", alt=alt)
