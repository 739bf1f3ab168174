"""Markers around foreign text, so that a model can tell data from instructions."""

import hashlib
from collections.abc import Sequence

__all__ = ["cut_middle", "fence", "sendable"]


def sendable(text: str) -> str:
    """Return the text without lone surrogates, which cannot be sent as UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def cut_middle(text: str, max_characters: int) -> str:
    """Shorten a text to its two ends; beginnings and endings tell most about a topic.

    Examples
    --------
    >>> cut_middle("abcdefghij", 4)
    'ab [...] ij'
    """
    if len(text) <= max_characters:
        return text
    half = max_characters // 2
    return f"{text[: max_characters - half]} [...] {text[len(text) - half :]}"


def fence(text: str, *, tag: str = "text", others: Sequence[str] = ()) -> str:
    """Put `text` between two marker lines whose key neither the text nor another one contains.

    The key comes from a hash of the text, so the same text gives the same request; it is drawn again
    until no text holds it. No text can therefore write its own closing line, nor that of a text beside it.

    Parameters
    ----------
    tag : str
        Word in the marker lines.
    others : sequence of str
        Further texts of the same message.
    """
    for attempt in range(2**16):
        key = hashlib.sha256(f"{attempt}:{text}".encode("utf-8", "replace")).hexdigest()[:12]
        if not any(key in shown for shown in (text, *others)):
            break
    return f"<{tag} {key}>\n{text}\n</{tag} {key}>"
