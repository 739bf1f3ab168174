"""The colours of the pages, computed: no browser needed."""

import re
from importlib.resources import files

import pytest

TEXT = 4.5
"""WCAG 2.2, 1.4.3: contrast of text with what is behind it, level AA."""
SHAPE = 3.0
"""WCAG 2.2, 1.4.11: contrast of the outline of a control, a mark of focus, a line of a chart."""

BACKGROUNDS = ("page", "surface", "raised", "soft")
PAIRS = [
    *((ink, behind, TEXT) for ink in ("ink", "muted") for behind in BACKGROUNDS),
    *(("accent", behind, TEXT) for behind in ("page", "surface", "raised")),
    *((f"{mood}", f"{mood}-soft", TEXT) for mood in ("good", "warn", "bad", "accent")),
    *(("ink", f"{mood}-soft", TEXT) for mood in ("good", "warn", "bad", "accent")),
    *(("muted", f"{mood}-soft", TEXT) for mood in ("good", "warn", "accent")),
    ("accent-strong", "accent-soft", TEXT),
    ("accent-strong", "surface", TEXT),
    ("on-accent", "accent", TEXT),
    ("on-accent", "accent-strong", TEXT),
    # A message at the bottom has the colours the other way round.
    ("page", "ink", TEXT),
    *(("edge", behind, SHAPE) for behind in ("page", "surface", "raised")),
    *((kind, behind, SHAPE) for kind in ("human", "llm", "student", "rule") for behind in ("soft", "surface")),
]


def _tokens() -> dict[str, tuple[str, str]]:
    css = (files("llm_al.web") / "static" / "tokens.css").read_text(encoding="utf-8")
    found = re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", css)
    return {name: (light, dark) for name, light, dark in found}


def luminance(color: str) -> float:
    """Return the relative luminance of ``#rrggbb`` (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_of_black_on_white_is_twenty_one() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_text_and_controls_can_be_seen_in_both_modes(mode: int) -> None:
    tokens = _tokens()
    found = {
        f"{ink} on {behind}": (round(contrast(tokens[ink][mode], tokens[behind][mode]), 2), wanted)
        for ink, behind, wanted in PAIRS
    }
    assert {pair: figures for pair, figures in found.items() if figures[0] < figures[1]} == {}
