"""The JSON object in what a model wrote, or the one code that it wrote instead. Nothing is guessed."""

import re
from collections.abc import Collection, Mapping
from typing import Any

from llm_al.annotators.engine.answers import strict_json

__all__ = ["find_object", "is_object"]

MAX_SEARCHED_CHARACTERS = 100_000
"""Longer answers are read only when they are one JSON object and nothing else."""
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*)\n[ \t]*```\Z", re.DOTALL)
_SIGN = re.compile(r'[{}"]|\\.', re.DOTALL)
_BLANK = " \t\r\n"


def _after_thoughts(content: str) -> str:
    """Return what follows a first block of thoughts; some templates have written its opening mark for the model."""
    head, mark, tail = content.partition("</think>")
    return tail if mark and "<think>" not in head.removeprefix("<think>") else content


def _spans(content: str) -> list[str] | None:
    """Return the outermost braces with what they hold; None if braces do not pair up.

    Quotes count inside braces only: prose is full of stray ones.
    """
    found: list[str] = []
    start, depth, is_string = 0, 0, False
    for sign in _SIGN.finditer(content):
        mark = sign[0]
        if mark == '"':
            is_string = depth > 0 and not is_string
        elif is_string or len(mark) > 1:
            continue
        elif mark == "{":
            start = start if depth else sign.start()
            depth += 1
        else:
            depth -= 1
            if depth < 0:
                return None
            if depth == 0:
                found.append(content[start : sign.end()])
    return None if depth else found


def _whole(content: str) -> Mapping[str, Any] | None:
    fenced = _FENCED.match(content)
    try:
        value = strict_json(fenced[1] if fenced else content)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def is_object(content: str) -> bool:
    """Return whether the whole answer is one JSON object, possibly in one Markdown fence."""
    return _whole(content.strip(_BLANK)) is not None


def _bare(content: str, key: str, codes: Collection[str]) -> dict[str, Any] | str:
    # A line ends at a line feed, not at the exotic separators of str.splitlines.
    lines = {line.strip(_BLANK) for line in content.split("\n")}
    found = sorted(lines & set(codes))
    if len(found) == 1:
        return {key: found[0]}
    return f"holds several codes: {', '.join(found)}" if found else "is not a JSON object"


def find_object(content: str, key: str, codes: Collection[str]) -> Mapping[str, Any] | str:
    """Return the object that an answer consists of or holds, or what is wrong with the answer.

    In this order: the whole answer is one JSON object, possibly in one Markdown fence; it is prose with
    objects, all of which are JSON and agree on `key`; it has no braces, and one code, written exactly,
    fills a line of it. Where a model thinks aloud first, only what follows its thoughts is read.

    Parameters
    ----------
    key : str
        Under which the object holds the code.
    codes : collection of str

    Returns
    -------
    mapping or str
        A bare code comes as an object that holds nothing else.

    Examples
    --------
    >>> find_object('Sure: {"code": "A"}', "code", ["A", "B"])
    {'code': 'A'}
    >>> find_object('{"code": "A"} or {"code": "B"}', "code", ["A", "B"])
    'holds several objects that differ'
    """
    content = content.strip(_BLANK)
    whole = _whole(content)
    if whole is not None:
        return whole
    if len(content) > MAX_SEARCHED_CHARACTERS:
        return f"is not a JSON object, and too long to search ({len(content)} characters)"
    content = _after_thoughts(content).strip(_BLANK)
    spans = _spans(content)
    if spans is None:
        return "is not a JSON object: its braces do not pair up"
    if not spans:
        return _bare(content, key, codes)
    objects = [_whole(span) for span in spans]
    first = objects[0]
    if first is None or None in objects:
        return "holds braces that are not JSON"
    if any(other is None or key not in other or other[key] != first.get(key) for other in objects):
        return "holds several objects that differ" if len(objects) > 1 else f'has no "{key}"'
    return first
