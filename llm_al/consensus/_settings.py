"""Ranges of settings that several ways of counting votes share."""

from collections.abc import Callable, Iterable

from llm_al.errors import ConfigError


def check_settings(
    method: object, *, open_unit: Iterable[str] = (), unit: Iterable[str] = (), positive: Iterable[str] = ()
) -> None:
    """Refuse fields of `method` outside (0, 1), [0, 1] or the positive numbers.

    Raises
    ------
    ConfigError
        At the first one that is out of its range.
    """
    ranges: tuple[tuple[Iterable[str], Callable[[float], bool], str], ...] = (
        (open_unit, lambda value: 0.0 < value < 1.0, "between 0 and 1"),
        (unit, lambda value: 0.0 <= value <= 1.0, "0 to 1"),
        (positive, lambda value: value > 0.0, "more than 0"),
    )
    for names, is_allowed, words in ranges:
        for name in names:
            if not is_allowed(getattr(method, name)):
                raise ConfigError(f"{name} is {getattr(method, name)}; allowed is {words}; correct it")
