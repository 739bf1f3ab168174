"""A small safe part of Markdown: headings, lists, paragraphs, bold, emphasis, code. Everything else stays text."""

import re
from collections.abc import Iterator

from markupsafe import escape

__all__ = ["to_html"]

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_ITEM = re.compile(r"\s*(?:([-*+])|\d{1,9}[.)])\s+(.*)$")
_FENCE = re.compile(r"\s*(```|~~~)")
_CODE = re.compile(r"`([^`\n]+)`")
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]+?)(?<=\S)\*\*")
_EMPHASIS = re.compile(r"(?<![*\w])\*(?=\S)([^*\n]+?)(?<=\S)\*(?![*\w])")


def to_html(source: str) -> str:
    """Return HTML that holds no markup of the source, only what is made here.

    Examples
    --------
    >>> to_html("# A & B")
    '<h1>A &amp; B</h1>'
    >>> to_html("**bold** <b>not</b>")
    '<p><strong>bold</strong> &lt;b&gt;not&lt;/b&gt;</p>'
    """
    return "\n".join(_blocks(source.replace("\r\n", "\n").split("\n")))


def _inline(text: str) -> str:
    """Escape a piece of text, then mark it up; code is left as it is written."""
    parts = _CODE.split(text)
    shown = []
    for place, part in enumerate(parts):
        plain = str(escape(part))
        if place % 2:
            shown.append(f"<code>{plain}</code>")
        else:
            shown.append(_EMPHASIS.sub(r"<em>\1</em>", _BOLD.sub(r"<strong>\1</strong>", plain)))
    return "".join(shown)


def _kind(line: str) -> str:
    if not line.strip():
        return "blank"
    if _FENCE.match(line):
        return "fence"
    if _HEADING.match(line):
        return "heading"
    item = _ITEM.match(line)
    return ("ul" if item[1] else "ol") if item else "text"


def _blocks(lines: list[str]) -> Iterator[str]:
    start = 0
    while start < len(lines):
        kind, end = _kind(lines[start]), start + 1
        if kind == "fence":
            while end < len(lines) and not _FENCE.match(lines[end]):
                end += 1
            yield f"<pre><code>{escape(chr(10).join(lines[start + 1 : end]))}</code></pre>"
            end += 1
        elif kind == "heading":
            yield _heading(lines[start])
        elif kind != "blank":
            # A line of text below an item or a paragraph belongs to it.
            while end < len(lines) and _kind(lines[end]) in (kind, "text"):
                end += 1
            yield _list(kind, lines[start:end]) if kind != "text" else f"<p>{_joined(lines[start:end])}</p>"
        start = end


def _joined(lines: list[str]) -> str:
    return _inline("\n".join(line.strip() for line in lines))


def _heading(line: str) -> str:
    match = _HEADING.match(line)
    level, text = (len(match[1]), match[2]) if match else (1, line)
    return f"<h{level}>{_inline(text)}</h{level}>"


def _list(kind: str, lines: list[str]) -> str:
    items: list[list[str]] = []
    for line in lines:
        match = _ITEM.match(line)
        if match:
            items.append([match[2]])
        else:
            items[-1].append(line)
    return f"<{kind}>" + "".join(f"<li>{_joined(item)}</li>" for item in items) + f"</{kind}>"
