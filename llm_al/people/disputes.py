"""Texts on which annotators differ: people among themselves, people and LLMs, people and a firm student."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from llm_al.consensus.crowdlab import Crowdlab
from llm_al.people.suggestions import Suggestions
from llm_al.protocols import Aggregator
from llm_al.store.schema import annotations, annotators, examples
from llm_al.store.store import SqlStore
from llm_al.types import SKIP, Annotation, AnnotatorKind, Consensus, Known, LabelScheme, Proba, Split

__all__ = ["FIRM", "Dispute", "Opinions", "find_disputes"]

FIRM = 0.8
"""A student that is less sure than this contradicts nobody."""
_PEOPLE = [kind.value for kind in AnnotatorKind if kind.is_human]


@dataclass(frozen=True, slots=True)
class Dispute:
    """A text on which annotators differ.

    Parameters
    ----------
    stake : float
        Probability that the label at hand is wrong when student, LLMs and people all have a say, in [0, 1].
    why : str
        Who differs, in words.
    """

    example_id: str
    stake: float
    why: str


@dataclass(frozen=True)
class Opinions:
    """What annotators hold of each text that a person has answered.

    Parameters
    ----------
    disputes : tuple of Dispute
        Most at stake first.
    consensus : mapping of str to Consensus
        By example id, as the project makes it.
    """

    disputes: tuple[Dispute, ...]
    consensus: Mapping[str, Consensus]


@dataclass(frozen=True)
class _Voices:
    """Who says what about one text."""

    people: Mapping[str, str]
    machine: str | None
    student: tuple[str, float] | None

    def why(self) -> str:
        """Return who differs; empty when nobody does."""
        said = Counter(self.people.values())
        if len(said) > 1:
            return "people differ: " + ", ".join(f"{label} ({n})" for label, n in said.most_common())
        label = next(iter(said), None)
        if label is None:
            return ""
        if self.machine is not None and self.machine != label:
            return f"people say {label}, the LLM says {self.machine}"
        if self.student is not None and self.student[1] >= FIRM and self.student[0] != label:
            return f"people say {label}, the student is {self.student[1]:.0%} sure of {self.student[0]}"
        return ""


def find_disputes(store: SqlStore, scheme: LabelScheme, consensus: Aggregator, student: Suggestions) -> Opinions:
    """Find the texts of the pool on which annotators differ; reads the store and the student's kept predictions.

    The stake comes from CROWDLAB with the student as a voter and machines heard even where people agree, since the
    project's consensus lets people stand. Texts that no person has answered are left out.
    """
    ordinals = _answered(store)
    given = store.annotations(ids=list(ordinals)) if ordinals else []
    proba = {id_: row for id_, ordinal in ordinals.items() if (row := student.proba(ordinal)) is not None}
    known = Known({id_: r.label for id_, r in store.rulings.standing().items() if id_ in ordinals})
    agreed = {vote.example_id: vote for vote in consensus.aggregate(given, known=known)[0]}
    heard = Crowdlab(scheme.names, people_stand=False).aggregate(
        given, known=Known(known.gold, {id_: row.tolist() for id_, row in proba.items()})
    )[0]
    stakes = {vote.example_id: _doubt(agreed[vote.example_id].label, vote, scheme) for vote in heard}
    voices = _voices(given, proba, scheme)
    found = [Dispute(id_, stakes[id_], why) for id_, voice in voices.items() if (why := voice.why())]
    # Ties of people among themselves come first: there nobody has decided yet.
    found.sort(key=lambda dispute: (-round(dispute.stake, 6), not dispute.why.startswith("people differ")))
    return Opinions(tuple(found), agreed)


def _answered(store: SqlStore) -> dict[str, int]:
    """Return the ordinals of pool texts that a person has answered, by example id, in pool order."""
    query = (
        select(examples.c.id, examples.c.ordinal)
        .select_from(annotations.join(examples).join(annotators))
        .where(annotators.c.kind.in_(_PEOPLE), examples.c.split == Split.POOL.value)
        .distinct()
        .order_by(examples.c.ordinal)
    )
    with store.database.reading() as connection:
        return {row.id: row.ordinal for row in connection.execute(query)}


def _doubt(label: str | None, heard: Consensus, scheme: LabelScheme) -> float:
    """Return the probability that a label is wrong; certain is nothing where that is none of the scheme."""
    if label is None or not any(heard.posterior):
        return 0.5 if heard.label != label else 0.0
    if label not in scheme.names:
        return max(heard.posterior)
    return 1.0 - heard.posterior[scheme.index(label)]


def _voices(given: Sequence[Annotation], proba: Mapping[str, Proba], scheme: LabelScheme) -> dict[str, _Voices]:
    people: dict[str, dict[str, str]] = {}
    machines: dict[str, Counter[str]] = {}
    for answer in given:
        if answer.label is None or answer.label == SKIP:
            continue
        if answer.kind.is_human:
            people.setdefault(answer.example_id, {})[answer.source] = answer.label
        elif answer.kind is AnnotatorKind.LLM:
            machines.setdefault(answer.example_id, Counter())[answer.label] += 1
    return {id_: _Voices(said, _most(machines.get(id_)), _best(proba.get(id_), scheme)) for id_, said in people.items()}


def _most(counts: Counter[str] | None) -> str | None:
    """Return what most runs of the LLMs say; None where they are split evenly."""
    first = counts.most_common(2) if counts else []
    if not first or (len(first) > 1 and first[0][1] == first[1][1]):
        return None
    return first[0][0]


def _best(row: Proba | None, scheme: LabelScheme) -> tuple[str, float] | None:
    return None if row is None else (scheme.names[int(row.argmax())], float(row.max()))
