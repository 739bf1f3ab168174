"""One neutral record that the files of every annotation tool are read into and written from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["STATUSES", "Answer", "Flag", "Record", "Suggestion"]

STATUSES = ("submitted", "skipped", "discarded", "draft")
"""What became of a question; only a submitted answer is a vote."""

Extra = Mapping[str, Mapping[str, Any]]
"""Tool -> what its file says that has no place here (see `llm_al.formats.lossless`)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one annotator said about one text.

    Parameters
    ----------
    annotator : str
        Name or number of who answered; empty where the file does not say.
    kind : str
        ``human``, ``llm``, ``rule`` or ``simulated``.
    labels : tuple of str
        Empty for a skip. ``("none_of_these",)`` says that no label fits.
    negative_labels : tuple of str
        Labels that the annotator holds to be wrong.
    status : {"submitted", "skipped", "discarded", "draft"}
    confidence : float or None
        The annotator's own, in [0, 1]; None is unknown.
    seconds : float or None
        Time that the answer took.
    created : str or None
        ISO 8601, as the tool wrote it.
    seen_suggestion : bool or None
        Whether a suggestion was on the page; None where the file does not say.
    form : str
        How the annotator was asked (see `llm_al.phrasing.Form`); empty where nobody said.
    """

    annotator: str = ""
    kind: str = "human"
    labels: tuple[str, ...] = ()
    negative_labels: tuple[str, ...] = ()
    status: str = "submitted"
    confidence: float | None = None
    seconds: float | None = None
    created: str | None = None
    seen_suggestion: bool | None = None
    notes: str = ""
    form: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Flag:
    """Somebody wants the text to be looked at; `note` says why."""

    person: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a machine proposed to the annotators; `score` is its own, on its own scale."""

    labels: tuple[str, ...] = ()
    score: float | None = None
    agent: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """One text with everything that was said about it.

    Parameters
    ----------
    id : str
        Empty where the file names none.
    meta : mapping
        Plain JSON values.
    flags : tuple of Flag
        Those that are open.
    """

    id: str
    text: str
    meta: Mapping[str, Any] = field(default_factory=dict)
    annotations: tuple[Answer, ...] = ()
    suggestions: tuple[Suggestion, ...] = ()
    flags: tuple[Flag, ...] = ()
    extra: Extra = field(default_factory=dict)
