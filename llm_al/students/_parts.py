"""Students that are made of other students: how a part is built from the settings of the whole."""

import inspect
from collections.abc import Mapping
from typing import Any

from llm_al.errors import ConfigError

__all__ = ["make_part"]


def make_part(whole: Any, kind: str, name: str, cls: Any) -> Any:
    """Return the part `name` of a student, with its model, its device and the part's own options.

    Parameters
    ----------
    whole : Student
        With `model`, `device` and `options` by the names of parts.
    kind : str
        What the whole is called in errors.
    name : str
    cls : type
        Of the part.

    Raises
    ------
    ConfigError
        If the part has no such option, or refuses its value.
    """
    options: Mapping[str, Any] = whole.options.get(name, {})
    known = inspect.signature(cls).parameters
    for option in options:
        if option not in known:
            raise ConfigError(f"{kind} options of {name} have {option!r}; allowed: {', '.join(sorted(known))}")
    return cls(**{"model": whole.model, "device": whole.device, **options})
