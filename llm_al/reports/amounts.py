"""Numbers and foreign text as a reader sees them."""

import math
import re
import unicodedata

from llm_al.measures import Estimate, Metrics
from llm_al.types import NANO_PER_USD

__all__ = [
    "NOT_MEASURED",
    "accuracy",
    "clean",
    "count",
    "estimate",
    "interval",
    "number",
    "percent",
    "seconds",
    "shorten",
    "usd",
]

NOT_MEASURED = "-"
"""Stands where a number is absent or not a number."""

# Control characters (except tab and line feed) and lone surrogates: neither HTML, SVG nor UTF-8 carries them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(text: str) -> str:
    r"""Return `text` with characters that no document may hold replaced by U+FFFD.

    Examples
    --------
    >>> clean("a\x00b") == "a\ufffdb"
    True
    """
    return _UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n"))


def shorten(text: str, width: int) -> str:
    r"""Return `text` on one line of at most `width` characters, ending in an ellipsis if cut.

    Examples
    --------
    >>> shorten("where is\nmy parcel", 10)
    'where is…'
    """
    line = " ".join(clean(text).split())
    if len(line) <= width:
        return line
    end = width - 1
    while end > 1 and unicodedata.combining(line[end]):
        end -= 1  # never part a letter from its accent
    return line[:end].rstrip() + "…"


def usd(nanousd: int) -> str:
    """Write nano-dollars as dollars, exactly, with at least two decimals.

    Examples
    --------
    >>> usd(1_234_500_000_000), usd(12_345_678), usd(0)
    ('$1,234.50', '$0.012345678', '$0.00')
    """
    sign = "-" if nanousd < 0 else ""
    whole, fraction = divmod(abs(nanousd), NANO_PER_USD)
    return f"{sign}${whole:,}.{f'{fraction:09d}'.rstrip('0').ljust(2, '0')}"


def count(value: int) -> str:
    """Write a count with thousands separators.

    Examples
    --------
    >>> count(12345)
    '12,345'
    """
    return f"{value:,}"


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with fixed decimals; None and NaN give a dash.

    Examples
    --------
    >>> number(0.91267), number(None)
    ('0.913', '-')
    """
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    return f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Write a share in [0, 1] as a percentage; None and NaN give a dash.

    Examples
    --------
    >>> percent(0.9127)
    '91.3%'
    """
    if share is None or not math.isfinite(share):
        return NOT_MEASURED
    return f"{100 * share:.{digits}f}%"


def interval(value: float | None, low: float | None, high: float | None) -> str:
    """Write a share with its interval, or alone where the interval is unknown.

    Examples
    --------
    >>> interval(0.913, 0.875, 0.941), interval(0.9, None, None)
    ('91.3% (87.5-94.1%)', '90.0%')
    """
    if low is None or high is None or NOT_MEASURED in (percent(value), percent(low), percent(high)):
        return percent(value)
    return f"{percent(value)} ({percent(low)[:-1]}-{percent(high)})"


def estimate(value: Estimate, *, is_share: bool = False) -> str:
    """Write an estimate with its interval, or the reason why there is none.

    Examples
    --------
    >>> estimate(Estimate(0.0312, 0.02, 0.055)), estimate(Estimate(None, reason="no audit yet"))
    ('0.031 (0.020-0.055)', 'no audit yet')
    """
    if value.value is None:
        return value.reason or NOT_MEASURED
    if is_share:
        return interval(value.value, value.low, value.high)
    if value.low is None or value.high is None:
        return number(value.value)
    return f"{number(value.value)} ({number(value.low)}-{number(value.high)})"


def accuracy(metrics: Metrics | None) -> str:
    """Write the accuracy with its interval, or a dash."""
    if metrics is None:
        return NOT_MEASURED
    return interval(metrics.accuracy, metrics.accuracy_low, metrics.accuracy_high)


def seconds(value: float | None) -> str:
    """Write a duration; whole minutes from one hour on.

    Examples
    --------
    >>> seconds(0.42), seconds(75.0), seconds(4980.0)
    ('0.4 s', '1 min 15 s', '1 h 23 min')
    """
    if value is None or not math.isfinite(value):
        return NOT_MEASURED
    if value < 59.95:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
