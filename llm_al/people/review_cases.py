"""Cases for a reviewer, with everything that helps to decide them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select

from llm_al.people.suggestions import Suggestions
from llm_al.store.assignments import AssignmentState
from llm_al.store.schema import assignments, examples
from llm_al.store.store import SqlStore
from llm_al.types import Annotation, AnnotatorKind, Consensus, Example

__all__ = ["Case", "CaseReader", "Lead", "Vote"]


@dataclass(frozen=True, slots=True)
class Vote:
    """What one annotator said; of several answers of one, the last."""

    source: str
    kind: str
    label: str
    confidence: float | None
    note: str
    is_suggestion_shown: bool


@dataclass(frozen=True, slots=True)
class Case:
    """A text about which a reviewer should decide.

    Parameters
    ----------
    kind : str
        ``disagreement``, ``label_error`` or ``flag``.
    votes : tuple of Vote
        People first. Machines' are left out, as `predicted` is, while a blind audit of the text waits for an answer.
    consensus, posterior : str and float, or None
        What all annotators say together and how surely; None where it is not known yet.
    predicted, predicted_score : str and float, or None
        What a student says: that of the last round, or, of a likely label error, one that has not learned from it.
    score : float
        How much is at stake; cases of one kind come largest first.
    note : str
        Why it is here, in words.
    ruling : str or None
        What a reviewer settled before.
    """

    example_id: str
    text: str
    kind: str
    votes: tuple[Vote, ...]
    consensus: str | None
    posterior: float | None
    predicted: str | None
    predicted_score: float | None
    score: float
    note: str
    ruling: str | None


@dataclass(frozen=True, slots=True)
class Lead:
    """A case before its details are read; `predicted` is what a student says, where that is part of the case."""

    example_id: str
    score: float
    note: str
    predicted: tuple[str, float] | None = None


@dataclass(frozen=True)
class CaseReader:
    """Reads what is known of texts at this moment.

    Parameters
    ----------
    student : Suggestions
        Of the last finished round.
    consensus : mapping of str to Consensus
        By example id; a text may be missing.
    """

    store: SqlStore
    student: Suggestions
    consensus: Mapping[str, Consensus]

    def read(self, kind: str, leads: Sequence[Lead]) -> list[Case]:
        """Return leads with their details, in the same order."""
        ids = [lead.example_id for lead in leads]
        if not ids:
            return []
        votes: dict[str, list[Annotation]] = {id_: [] for id_ in ids}
        for answer in self.store.annotations(ids=ids):
            votes[answer.example_id].append(answer)
        blind = self._blind(ids)
        ruled = {id_: ruling.label for id_, ruling in self.store.rulings.standing().items()}
        cases = [
            self._case(kind, lead, example, votes[example.id])
            for lead, example in zip(leads, self.store.examples_by_id(ids), strict=True)
        ]
        cases = [replace(case, ruling=ruled.get(case.example_id)) for case in cases]
        return [_blinded(case) if case.example_id in blind else case for case in cases]

    def _case(self, kind: str, lead: Lead, example: Example, given: Sequence[Annotation]) -> Case:
        vote = self.consensus.get(example.id)
        predicted = lead.predicted or self._predicted(example)
        return Case(
            example_id=example.id,
            text=example.text,
            kind=kind,
            votes=_votes(given),
            consensus=vote.label if vote is not None else None,
            posterior=max(vote.posterior) if vote is not None and any(vote.posterior) else None,
            predicted=predicted[0] if predicted is not None else None,
            predicted_score=predicted[1] if predicted is not None else None,
            score=lead.score,
            note=lead.note,
            ruling=None,
        )

    def _blind(self, ids: Sequence[str]) -> set[str]:
        """Return which texts wait for the answer to a blind question."""
        query = (
            select(examples.c.id)
            .select_from(assignments.join(examples))
            .where(
                examples.c.id.in_(ids),
                assignments.c.state == AssignmentState.WAITING.value,
                assignments.c.is_blind.is_(True),
            )
        )
        with self.store.database.reading() as connection:
            return set(connection.execute(query).scalars())

    def _predicted(self, example: Example) -> tuple[str, float] | None:
        row = self.student.proba(example.ordinal)
        return None if row is None else (self.student.scheme.names[int(row.argmax())], float(row.max()))


def _blinded(case: Case) -> Case:
    """Leave machines out: what a reviewer rules would count as the answer to the audit."""
    people = tuple(vote for vote in case.votes if AnnotatorKind(vote.kind).is_human)
    note = "a blind audit waits for an answer, so what machines say is not shown"
    return replace(
        case,
        votes=people,
        consensus=None,
        posterior=None,
        predicted=None,
        predicted_score=None,
        note=f"{case.note}; {note}" if case.kind == "flag" else note,
    )


def _votes(given: Sequence[Annotation]) -> tuple[Vote, ...]:
    last = {answer.source: answer for answer in given if answer.label is not None}
    people_first = sorted(last.values(), key=lambda answer: (not answer.kind.is_human, answer.source))
    return tuple(
        Vote(a.source, a.kind.value, str(a.label), a.confidence, a.reason, a.is_suggestion_shown) for a in people_first
    )
