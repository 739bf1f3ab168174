"""Short answer codes for labels: one token where possible, and never a prefix of one another."""

import itertools
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_al.types import NONE_OF_THESE, Label

__all__ = ["Choice", "choices"]

_NONE = Label(NONE_OF_THESE, "no label above fits the text")


@dataclass(frozen=True)
class Choice:
    """One line of the label list that a model is shown."""

    code: str
    name: str
    description: str


def _alphabets(n: int) -> Iterator[list[str]]:
    """Yield lists of n codes of one length, letters first; equal length makes them prefix-free."""
    n_letters = next(k for k in itertools.count(1) if 26**k >= n)
    letters = itertools.product(string.ascii_uppercase, repeat=n_letters)
    yield ["".join(code) for code in itertools.islice(letters, n)]
    width = len(str(n))
    for n_marks in itertools.count():
        yield [f"{'L' * n_marks}{number:0{width}d}" for number in range(1, n + 1)]


def choices(labels: Sequence[Label], *, is_reversed: bool = False) -> tuple[Choice, ...]:
    """Give each label a code in display order; "none of these" always comes last.

    A code is never also the name of a label, so that an answer cannot mean two things.

    Examples
    --------
    >>> [c.code for c in choices([Label("spam"), Label("ham")])]
    ['A', 'B', 'C']
    >>> [c.code for c in choices([Label("A"), Label("B")])]
    ['1', '2', '3']
    """
    ordered = [*(reversed(labels) if is_reversed else labels), _NONE]
    names = {label.name.casefold() for label in ordered}
    codes = next(codes for codes in _alphabets(len(ordered)) if names.isdisjoint(c.casefold() for c in codes))
    return tuple(
        Choice(code, label.name, " ".join(label.description.split()))
        for code, label in zip(codes, ordered, strict=True)
    )
