"""The report's section on people: how far they agree, in all and label by label."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from llm_al.measures import Estimate, PairFigures, PeopleFigures, ReportData
from llm_al.reports._canvas import COLOURS, draw, name_ticks
from llm_al.reports.amounts import number, shorten

__all__ = ["MAX_PAIRS", "closest_pairs", "coefficients", "label_agreement", "short_name"]

MAX_PAIRS = 50
"""Most pairs of people in the table: those with most common texts."""

_MAX_LABELS = 20
_WIDTH = 420.0
_PERSON = "human:"


def coefficients(people: PeopleFigures) -> list[tuple[str, Estimate, str]]:
    """Return each coefficient of agreement with what it is about."""
    found = people.agreement
    return [
        ("Krippendorff's alpha", found.krippendorff, "any number of answers a text"),
        ("Fleiss' kappa", found.fleiss, "the same number of answers a text"),
        ("Cohen's kappa", found.cohen, "mean over pairs of people, weighted by common texts"),
    ]


def closest_pairs(people: PeopleFigures) -> list[PairFigures]:
    """Return the pairs with most common texts, `MAX_PAIRS` at most."""
    return sorted(people.agreement.pairs, key=lambda pair: (-pair.n, pair.first, pair.second))[:MAX_PAIRS]


def short_name(name: str) -> str:
    """Return a person's name without what marks it as a person's in the store.

    Examples
    --------
    >>> short_name("human:ann")
    'ann'
    """
    return name.removeprefix(_PERSON)


def label_agreement(data: ReportData) -> str:
    """Return a dot for the agreement on each label, lowest first, 20 at most; needs two labels with a value."""
    rows = [] if data.people is None else data.people.agreement.labels
    known = [(name, alpha.value) for name, alpha in rows if alpha.value is not None]
    if len(known) < 2:
        return ""
    shown = known[:_MAX_LABELS]
    listed = "; ".join(f"{shorten(name, 40)} {number(alpha, 2)}" for name, alpha in shown)
    size = (_WIDTH, 62.0 + 24.0 * len(shown))
    return draw(partial(_paint_labels, shown), size=size, name="agreement", alt=f"Agreement on each label: {listed}.")


def _paint_labels(rows: Sequence[tuple[str, float]], axes: Axes) -> None:
    for position, (_, alpha) in enumerate(rows):
        axes.plot([0.0, alpha], [position, position], color=COLOURS["human"], linewidth=3, alpha=0.35)
        axes.plot([alpha], [position], color=COLOURS["human"], marker="o", markersize=7, linestyle="none")
    axes.set_xlim(min(-0.02, *(alpha for _, alpha in rows)) - 0.03, 1.03)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="x")
    name_ticks(axes, [name for name, _ in rows])
    axes.set_xlabel("alpha of this label against the others")
