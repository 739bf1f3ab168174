"""Short answer codes for labels: one token where possible, and never a prefix of one another."""

import hashlib
import itertools
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from llm_al.types import NONE_OF_THESE, Label

__all__ = ["Choice", "Order", "choices"]

Order = Literal["listed", "reversed", "shuffled"]

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


def _ordered(labels: Sequence[Label], order: Order) -> list[Label]:
    if order == "reversed":
        return list(reversed(labels))
    if order == "shuffled":
        # By a hash of the name: the same order in every run, wherever a label stands in the list.
        return sorted(labels, key=lambda label: hashlib.sha256(label.name.encode("utf-8", "replace")).digest())
    return list(labels)


def choices(labels: Sequence[Label], *, order: Order = "listed", is_open: bool = True) -> tuple[Choice, ...]:
    """Give each label a code in display order.

    A code is never also the name of a label, so that an answer cannot mean two things.

    Parameters
    ----------
    order : {"listed", "reversed", "shuffled"}
        Shuffled is one fixed order that depends on the names alone.
    is_open : bool
        Whether "none of these" is offered; it always comes last.

    Examples
    --------
    >>> [c.code for c in choices([Label("spam"), Label("ham")])]
    ['A', 'B', 'C']
    >>> [c.code for c in choices([Label("A"), Label("B")], is_open=False)]
    ['1', '2']
    """
    shown = [*_ordered(labels, order), *([_NONE] if is_open else [])]
    names = {label.name.casefold() for label in shown}
    codes = next(codes for codes in _alphabets(len(shown)) if names.isdisjoint(c.casefold() for c in codes))
    return tuple(
        Choice(code, label.name, " ".join(label.description.split())) for code, label in zip(codes, shown, strict=True)
    )
