"""How well a student foresees the spread of people's votes, where people may rightly differ."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.measures import SoftFigures
from llm_al.people.answer_book import Asked, is_ruling
from llm_al.people.figures import share_estimate
from llm_al.people.suggestions import Suggestions
from llm_al.types import LabelScheme

__all__ = ["soft_figures"]

_LEAST = 1e-6


@dataclass
class _Text:
    """Votes of one text, and the round before the first of them."""

    ordinal: int
    before: int
    votes: dict[str, str]


def soft_figures(
    answers: Iterable[Asked], scheme: LabelScheme, suggestions: Callable[[int], Suggestions]
) -> SoftFigures | None:
    """Compare votes with what the student had said before it learned from any of them; None without such a text.

    Texts count that at least two people gave a label of the scheme and that a student had looked at before. The loop
    picks texts on which it is unsure, so the figures are those of hard texts.

    Parameters
    ----------
    answers : iterable of Asked
        In row order; rulings are passed over.
    suggestions : callable
        From the number of a finished round to what its student says.
    """
    shared = [text for text in _texts(answers, scheme).values() if len(text.votes) > 1]
    students = {number: suggestions(number) for number in {text.before for text in shared} if number >= 1}
    pairs = [
        (_shares(text.votes, scheme), proba)
        for text in shared
        if text.before in students and (proba := students[text.before].proba(text.ordinal)) is not None
    ]
    if not pairs:
        return None
    votes, proba = (np.array(side) for side in zip(*pairs, strict=True))
    likeliest = votes[np.arange(len(votes)), proba.argmax(axis=1)]
    return SoftFigures(
        n=len(pairs),
        majority=share_estimate(int((likeliest == votes.max(axis=1)).sum()), len(pairs), reason=""),
        distance=float(np.abs(votes - proba).sum(axis=1).mean() / 2.0),
        cross_entropy=_cross_entropy(votes, proba),
        entropy=_cross_entropy(votes, votes),
    )


def _texts(answers: Iterable[Asked], scheme: LabelScheme) -> Mapping[str, _Text]:
    texts: dict[str, _Text] = {}
    for asked in answers:
        answer = asked.annotation
        if is_ruling(answer) or answer.label not in scheme.names:
            continue
        text = texts.setdefault(answer.example_id, _Text(asked.ordinal, answer.round - 1, {}))
        text.before = min(text.before, answer.round - 1)
        text.votes[answer.source] = str(answer.label)
    return texts


def _shares(votes: Mapping[str, str], scheme: LabelScheme) -> NDArray[np.float64]:
    counts = np.bincount([scheme.index(label) for label in votes.values()], minlength=len(scheme))
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _cross_entropy(votes: NDArray[np.float64], proba: NDArray[np.float64]) -> float:
    return float(-(votes * np.log(np.clip(proba, _LEAST, 1.0))).sum(axis=1).mean())
