"""A person at the terminal: one key an answer."""

import string
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from llm_al.annotators._keys import keyboard, read_key
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Example, LabelScheme

__all__ = ["Answer", "Terminal", "Undo", "label_keys"]

_UNDO = frozenset({"u", "\x7f", "\b"})
_LETTERS = [letter for letter in string.ascii_lowercase if letter not in "xuqg"]
_NONE = "x: none of these   "
_HELP = (
    "1-9, letters: label   {none}Space: skip   u or Backspace: undo   "
    "/: find a label by name   g: guidelines   ?: keys   q: quit"
)


@dataclass(frozen=True)
class Answer:
    """The person answered; store it before the next example is drawn."""

    annotation: Annotation


@dataclass(frozen=True)
class Undo:
    """The person takes back the last answer to this example, and is asked again."""

    example_id: str


class _Quit(Exception):  # noqa: N818 - a way out, not an error
    """The person wants to leave."""


def label_keys(labels: Sequence[str]) -> dict[str, str]:
    """Return key -> label: digits 1 to 9, then free letters; later labels have no key.

    Examples
    --------
    >>> label_keys(["spam", "ham"])
    {'1': 'spam', '2': 'ham'}
    """
    return dict(zip([*string.digits[1:], *_LETTERS], labels, strict=False))


def _printable(text: str) -> Text:
    """Keep a text from steering the terminal: control characters and direction marks are shown as a sign."""
    unsafe = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {0x09, 0x0A}
    return Text(
        text.encode("utf-8", "replace").decode("utf-8").translate(dict.fromkeys(unsafe, "\N{REPLACEMENT CHARACTER}"))
    )


@dataclass(frozen=True)
class Terminal:
    """Shows one text after the other and reads keys; also lines of a pipe, one key or label name each.

    `answers` yields each answer at once, so that it can be stored before the next text is shown.

    Parameters
    ----------
    scheme : LabelScheme
    name : str
        Who answers.
    console : rich.console.Console, optional
        Where to draw; None is the standard output.
    read_key : callable
        Returns one key, or a whole line; "" at the end of the input.
    round : int
    """

    scheme: LabelScheme
    name: str = "human"
    console: Console | None = field(default=None, repr=False, compare=False)
    read_key: Callable[[], str] = field(default=read_key, repr=False, compare=False)
    round: int = 0

    @property
    def kind(self) -> AnnotatorKind:
        """Always HUMAN."""
        return AnnotatorKind.HUMAN

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return what was answered and not taken back; use `answers` to lose nothing in a crash."""
        standing: dict[str, Annotation] = {}
        for event in self.answers(examples):
            if isinstance(event, Undo):
                standing.pop(event.example_id, None)
            else:
                standing[event.annotation.example_id] = event.annotation
        return list(standing.values())

    def answers(self, examples: Sequence[Example]) -> Iterator[Answer | Undo]:
        """Yield answers and undos as they happen; ends after the last example, on `q` or at end of input.

        Undo reaches back to the first example of this call.
        """
        with keyboard():
            yield from self._ask_all(examples)

    def _ask_all(self, examples: Sequence[Example]) -> Iterator[Answer | Undo]:
        position = 0
        while position < len(examples):
            example = examples[position]
            self._show(example, position, len(examples))
            started = time.monotonic()
            try:
                label = self._ask(can_undo=position > 0)
            except _Quit:
                return
            if label is None:
                position -= 1
                yield Undo(examples[position].id)
                continue
            position += 1
            yield Answer(self._annotation(example, label, time.monotonic() - started))

    def _annotation(self, example: Example, label: str, duration_s: float) -> Annotation:
        return Annotation(example.id, label, self.name, kind=self.kind, round=self.round, duration_s=duration_s)

    def _ask(self, *, can_undo: bool) -> str | None:
        """Return a label, or None for undo."""
        keys = label_keys(self.scheme.names)
        while True:
            key = self.read_key()
            if key in ("", "q", "\x04"):
                raise _Quit
            if key == "\x03":
                raise KeyboardInterrupt
            if key in _UNDO and can_undo:
                return None
            label = self._label(key, keys)
            if label is not None:
                return label
            self._say(key)

    def _label(self, key: str, keys: Mapping[str, str]) -> str | None:
        known = {**keys, " ": SKIP, **({"x": NONE_OF_THESE} if self.scheme.is_open else {})}
        if key in known:
            return known[key]
        if key.startswith("/"):
            return self._find(key[1:] or self._line("label: "))
        return next((name for name in self.scheme.names if name.casefold() == key.casefold()), None)

    def _find(self, wanted: str) -> str | None:
        """Return the only label whose name holds `wanted`; list them when there are several."""
        needle = wanted.strip().casefold()
        hits = [name for name in self.scheme.names if needle in name.casefold()]
        exact = [name for name in hits if name.casefold() == needle]
        if len(exact or hits) == 1:
            return (exact or hits)[0]
        self._print(Text(f"{len(hits)} labels match {wanted!r}: {', '.join(hits)}"))
        return None

    @property
    def _help(self) -> str:
        return _HELP.format(none=_NONE if self.scheme.is_open else "")

    def _line(self, prompt: str) -> str:
        """Read keys up to Enter, or one line."""
        self._print(Text(prompt), end="")
        typed = ""
        while True:
            key = self.read_key()
            if key in ("", "\r", "\n"):
                return typed
            if len(key) > 1:
                return key
            typed = typed[:-1] if key in ("\x7f", "\b") else typed + key
            self._print(Text(key), end="")

    def _say(self, key: str) -> None:
        if key == "g":
            self._print(Panel(_printable(self.scheme.guidelines or "no guidelines"), title="guidelines"))
        elif key in _UNDO:
            self._print(Text("nothing to undo yet"))
        else:
            self._print(Text(self._help))

    def _show(self, example: Example, position: int, n: int) -> None:
        table = Table.grid(padding=(0, 2))
        keys = {label: key for key, label in label_keys(self.scheme.names).items()}
        for label in self.scheme.labels:
            table.add_row(
                Text(keys.get(label.name, "/"), "bold"), _printable(label.name), _printable(label.description)
            )
        self._print(Group(Panel(_printable(example.text), title=f"{position + 1} of {n}", width=90), table))
        self._print(Text(self._help, "dim"))

    def _print(self, what: object, end: str = "\n") -> None:
        (self.console or Console(file=sys.stdout)).print(what, end=end)
