"""The labels of a project with where they came from: what is exported."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_al.corpus import Corpus
from llm_al.formats.export import ExportRow
from llm_al.situation import Moment, Situation
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Proba, Source

__all__ = ["LabelRows"]


@dataclass(frozen=True)
class LabelRows:
    """One row a pool example: a person's label, an accepted LLM label, or else the student's own.

    Parameters
    ----------
    situation : Situation
    number : int
        The last finished round.
    """

    situation: Situation
    number: int

    def __iter__(self) -> Iterator[ExportRow]:
        now = self.situation.now(self.number + 1)
        corpus = self.situation.corpus
        proba = now.view.proba
        for position, text in enumerate(corpus.texts):
            row = _labelled(now, corpus, position, text) or _predicted(corpus, proba, position, text, self.number)
            if row is not None:
                yield row

    def synthetic(self) -> Iterator[ExportRow]:
        """Yield the texts that an LLM wrote, for those who ask for them; they are no examples of the pool."""
        for n, written in enumerate(self.situation.synthetic(), start=1):
            yield ExportRow(
                id=f"synthetic-{written.round}-{n}",
                text=written.text,
                label=written.label,
                source=Source.SYNTHETIC,
                annotators=("llm",),
                round=written.round,
            )


def _labelled(now: Moment, corpus: Corpus, position: int, text: str) -> ExportRow | None:
    names = corpus.scheme.names
    answers = now.answers
    given = answers.by_example.get(position, ())
    if answers.is_outside[position]:
        label, source = NONE_OF_THESE, Source.HUMAN
    elif answers.human[position] >= 0:
        label, source = names[int(answers.human[position])], Source.HUMAN
    elif position in now.accepted and not answers.is_asked[position]:
        label, source = now.accepted[position], Source.LLM
    else:
        return None
    vote = answers.everyone.get(position)
    proba = dict(zip(names, vote.posterior, strict=True)) if vote is not None and any(vote.posterior) else {}
    voters = [a for a in given if source is Source.LLM or a.kind.is_human]
    return ExportRow(
        id=corpus.ids[position],
        text=text,
        label=label,
        posterior=proba.get(label),
        proba=proba,
        source=source,
        annotators=tuple(sorted({a.source for a in voters})),
        round=max((a.round for a in voters), default=0),
        agreement=_agreement(given, label),
        votes={} if vote is None else {n: s for n, s in zip(names, vote.votes, strict=False) if s},
    )


def _agreement(given: Sequence[Annotation], label: str) -> float | None:
    """Return the share of the LLM's valid answers that give the label; None when it gave none."""
    machine = [a.label for a in given if a.kind is AnnotatorKind.LLM and a.label is not None]
    return sum(word == label for word in machine) / len(machine) if machine else None


def _predicted(corpus: Corpus, proba: Proba | None, position: int, text: str, number: int) -> ExportRow | None:
    if proba is None:
        return None
    row = [float(p) for p in proba[position]]
    best = max(range(len(row)), key=row.__getitem__)
    return ExportRow(
        id=corpus.ids[position],
        text=text,
        label=corpus.scheme.names[best],
        posterior=row[best],
        proba=dict(zip(corpus.scheme.names, row, strict=True)),
        source=Source.PSEUDO,
        annotators=("student",),
        round=number,
    )
