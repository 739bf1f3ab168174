"""Cutting a stream into lists."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

__all__ = ["N_VARIABLES", "batches"]

T = TypeVar("T")

N_VARIABLES = 900
"""Values in one IN list; older SQLite builds allow 999 variables a statement."""


def batches(items: Iterable[T], size: int = N_VARIABLES) -> Iterator[list[T]]:
    """Yield lists of `size` items; the last may be shorter, none is empty.

    Examples
    --------
    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
