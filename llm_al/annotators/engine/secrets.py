"""Takes the key out of whatever a server sent back, before anything is stored, logged or shown."""

import json
from typing import Any

__all__ = ["HIDDEN", "redacted"]

HIDDEN = "***"
_MIN_CHARACTERS = 8
"""A shorter key (`none`, `EMPTY`) is a stand-in on a server without keys, and may be a word of the answer."""


def redacted(text: str, key: str | None) -> str:
    r"""Return a text without the key, in whatever spelling JSON allows.

    In a JSON document the tokens of an answer that spelt the key are dropped with it.

    Parameters
    ----------
    text : str
        A response body, or any other text.
    key : str or None
        Keys of fewer than 8 characters are no secret and stay.

    Examples
    --------
    >>> redacted('{"a": "you sent sk-12345678"}', "sk-12345678")
    '{"a": "you sent ***"}'
    """
    if not key or len(key) < _MIN_CHARACTERS or not (key in text or "\\" in text):
        return text
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return text.replace(key, HIDDEN)
    if not _holds(data, key):
        return text
    try:
        return json.dumps(_without(data, key), ensure_ascii=False)
    except RecursionError:
        return HIDDEN


def _holds(value: Any, key: str) -> bool:
    """Return whether the key is in any string; iterative, since answers may be nested deeply."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            if key in item:
                return True
        elif isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, list):
            waiting += item
    return False


def _without(value: Any, key: str) -> Any:
    if isinstance(value, str):
        return value.replace(key, HIDDEN)
    if isinstance(value, list):
        return [_without(item, key) for item in value]
    if isinstance(value, dict):
        return {name.replace(key, HIDDEN): _without(item, key) for name, item in value.items() if name != "logprobs"}
    return value
