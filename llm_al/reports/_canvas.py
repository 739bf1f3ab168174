"""One look for every figure: fixed colours by role, text that stays text, bytes that repeat.

Figures are drawn in the light colours below. Each colour leaves as ``var(--role, #light)``, so the
page around an inlined figure decides about dark mode, and a figure on its own is still right.
"""

import io
import re
import warnings
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from llm_al.reports.amounts import clean, shorten

__all__ = ["COLOURS", "SERIES", "draw", "legend", "name_ticks", "plain"]

# Okabe & Ito (2008), darkened where white paper needs it; told apart with every common colour vision.
COLOURS = {
    "ink": "#1c2127",
    "muted": "#5a6470",
    "grid": "#dde2e8",
    "surface": "#fffffe",
    "human": "#0b6bb3",
    "llm": "#d9730d",
    "pseudo": "#0a9169",
    "rule": "#8a6fae",
    "right": "#0a6fb5",
    "wrong": "#d0550f",
    "series-1": "#c9700c",
    "series-2": "#3987c4",
    "series-3": "#b0629b",
    "series-4": "#2f9e80",
    "series-5": "#a99b20",
    "series-6": "#7b8794",
}
SERIES = tuple(role for role in COLOURS if role.startswith("series-"))

_ROLES = {colour: role for role, colour in COLOURS.items()}
_POINTS_PER_INCH = 72
_FONT_SIZE = 11.0  # a figure is 420 wide at most times: 8.6 px on the narrowest phone, 13.5 px on a desk
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "llm_al",
    "font.size": _FONT_SIZE,
    "axes.titlesize": _FONT_SIZE,
    "axes.labelsize": _FONT_SIZE,
    "legend.fontsize": _FONT_SIZE - 1,
    "xtick.labelsize": _FONT_SIZE - 1,
    "ytick.labelsize": _FONT_SIZE - 1,
    "text.color": COLOURS["ink"],
    "axes.edgecolor": COLOURS["grid"],
    "axes.labelcolor": COLOURS["muted"],
    "xtick.color": COLOURS["grid"],
    "ytick.color": COLOURS["grid"],
    "xtick.labelcolor": COLOURS["muted"],
    "ytick.labelcolor": COLOURS["muted"],
    "grid.color": COLOURS["grid"],
    "grid.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "ytick.major.size": 0,
    "figure.constrained_layout.use": True,
}
_NO_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_FONT_FAMILY = re.compile(r"font-family:[^;]*")
_LOCAL_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def draw(paint: Callable[[Axes], None], *, size: tuple[float, float], name: str, alt: str) -> str:
    """Return what `paint` puts on fresh axes as one ``<svg>`` element.

    Parameters
    ----------
    paint : callable
        Draws on the axes; called once.
    size : (width, height)
        In SVG user units; the element itself has no fixed size and fills its container.
    name : str
        Prefix of every id, so that many figures share a page; distinct within it.
    alt : str
        What the figure says, in a sentence, for those who do not see it.

    Notes
    -----
    The user's matplotlib settings play no part. Settings are process-wide in matplotlib; two threads
    may draw at a time because both set the same ones.
    """
    with matplotlib.rc_context(), warnings.catch_warnings():
        # The reader's browser chooses the font; a glyph that is absent here is not absent there.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = Figure(figsize=(size[0] / _POINTS_PER_INCH, size[1] / _POINTS_PER_INCH))
        paint(figure.add_subplot())
        buffer = io.BytesIO()
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    return _restyle(buffer.getvalue(), name=name, alt=alt)


def _restyle(svg: bytes, *, name: str, alt: str) -> str:
    root = ET.fromstring(svg)
    for parent in root.iter():
        for child in [child for child in parent if child.tag.endswith("}style")]:
            parent.remove(child)  # a style element would rule the whole page
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = _attributes(element, name)
    root.attrib = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": root.attrib["viewBox"],
        "role": "img",
        "aria-label": clean(alt),
        "stroke-linejoin": "round",
        "font-family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif",
    }
    return ET.tostring(root, encoding="unicode")


def _attributes(element: ET.Element, name: str) -> dict[str, str]:
    kept: dict[str, str] = {}
    for qualified, value in element.attrib.items():
        attribute = qualified.rpartition("}")[2]
        if attribute == "id":
            if element.tag == "g":
                continue
            value = f"{name}-{value}"
        elif attribute == "href":
            value = f"#{name}-{value[1:]}"
        elif attribute == "style":
            value = _COLOUR.sub(_as_variable, _FONT_FAMILY.sub("font-family: inherit", value))
        elif attribute == "d":
            value = " ".join(value.split())
        kept[attribute] = _LOCAL_REFERENCE.sub(rf"url(#{name}-\1)", value)
    return kept


def _as_variable(match: re.Match[str]) -> str:
    colour = match.group()
    return f"var(--{_ROLES[colour]}, {colour})" if colour in _ROLES else colour


def plain(text: Text) -> Text:
    """Return `text` set so that dollar signs are dollar signs, not formulae."""
    text.set_parse_math(False)
    return text


def legend(axes: Axes, entries: Sequence[tuple[str, str]], *, columns: int = 3) -> None:
    """Put a legend of (role, name) above the axes."""
    patches = [Patch(facecolor=COLOURS[role]) for role, _ in entries]
    # A name that starts with an underscore would be left out; a zero-width space keeps it.
    names = ["\u200b" + shorten(name, 26) for _, name in entries]
    drawn = axes.legend(
        patches,
        names,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=columns,
        frameon=False,
        handlelength=0.9,
        handleheight=0.9,
        borderaxespad=0.2,
        columnspacing=1.2,
    )
    for text in drawn.get_texts():
        plain(text)


def _fitted(names: Sequence[str], width: int) -> list[str]:
    """Return names of at most `width` characters; they lose their beginnings where their ends tell them apart."""
    short = [shorten(name, width) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    return [name if len(name) <= width else f"\u2026{name[1 - width :]}" for name in names]


def name_ticks(axes: Axes, names: Sequence[str], *, width: int = 22) -> None:
    """Write `names` at y = 0, 1, ... from the top down."""
    axes.set_yticks(range(len(names)), _fitted(names, width))
    for text in axes.get_yticklabels():
        plain(text).set_color(COLOURS["ink"])
    axes.set_ylim(len(names) - 0.5, -0.5)
