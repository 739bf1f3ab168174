"""The reliability diagram, for the student and for annotators alike."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from llm_al.measures import ReliabilityBin
from llm_al.reports._canvas import COLOURS

__all__ = ["paint_reliability"]


def paint_reliability(axes: Axes, bins: Sequence[ReliabilityBin], *, title: str, role: str, subject: str) -> None:
    """Draw how often predictions came true at each confidence.

    Parameters
    ----------
    axes : Axes
    bins : sequence of ReliabilityBin
        At least one holds something.
    title : str
        Written into the corner.
    role : str
        Colour.
    subject : str
        Whose confidence it is.
    """
    filled = [bar for bar in bins if bar.n]
    largest = max(bar.n for bar in filled)
    axes.plot([0, 1], [0, 1], color=COLOURS["muted"], linewidth=1, linestyle=(0, (4, 3)))
    for bar in filled:
        width = bar.high - bar.low
        axes.bar(bar.low, bar.accuracy, 0.94 * width, align="edge", color=COLOURS[role], alpha=0.22, linewidth=0)
    axes.scatter(
        [bar.confidence for bar in filled],
        [bar.accuracy for bar in filled],
        s=[14 + 110 * bar.n / largest for bar in filled],
        color=COLOURS[role],
        edgecolors=COLOURS["surface"],
        linewidths=1,
        zorder=3,
    )
    axes.text(0.03, 0.94, title, fontsize=12, weight="bold")
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.04)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol="%"))
    axes.grid(axis="y")
    axes.set_xlabel(f"confidence of {subject}")
    axes.set_ylabel("came true")
