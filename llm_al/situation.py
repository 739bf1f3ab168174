"""Where a project stands, read from the store: answers, candidates, the view that steps get."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from llm_al.answers import Answers, read_answers
from llm_al.bank import LabelledBank
from llm_al.candidates import CandidateTable, evidence_from_json, read_candidates
from llm_al.corpus import Corpus
from llm_al.demonstrated import agreed_labels, labelled_bank
from llm_al.measures import Certificate
from llm_al.opinions import out_of_fold, people_at_work
from llm_al.pool import PoolView
from llm_al.protocols import Aggregator, LoopStore, Refine
from llm_al.routers.evidence import Context
from llm_al.routers.neighbours import neighbour_shares
from llm_al.student_files import StudentFiles
from llm_al.supervision import SUPERVISION_NOTE, Summary
from llm_al.synthesis import read_synthetic
from llm_al.types import (
    Annotation,
    AnnotatorKind,
    Decision,
    Embeddings,
    Example,
    Known,
    Outcome,
    Positions,
    Proba,
    Stage,
    SyntheticText,
)
from llm_al.views import view_beside

__all__ = ["Moment", "Situation"]


@dataclass(frozen=True)
class Moment:
    """What is known at the start of a step of a round."""

    number: int
    answers: Answers
    accepted: Mapping[int, str]
    """Pool position to the LLM label that the last certificate covers."""
    view: PoolView


@dataclass(frozen=True)
class Situation:
    """Reads the store and the students' files; writes nothing."""

    corpus: Corpus
    store: LoopStore
    students: StudentFiles
    consensus: Aggregator
    n_neighbours: int = 10
    _heard: dict[int, Mapping[str, tuple[float, ...]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def answers(self) -> Answers:
        """Return all standing answers about the pool."""
        annotations = self.store.annotations()
        return read_answers(annotations, self.corpus, self.consensus, known=self.known(annotations))

    def settled(self) -> dict[str, str]:
        """Return the labels that reviewers settled, by example id."""
        return {id_: ruling.label for id_, ruling in self.store.rulings.standing().items()}

    def known(self, annotations: Sequence[Annotation]) -> Known:
        """Return what the consensus is told beside the answers.

        A student speaks where people have answered, and only when several are at work: one person is not outvoted.
        """
        gold = self.settled()
        if len(people_at_work(annotations)) < 2:
            return Known(gold)
        said = frozenset((a.example_id, a.source, a.label) for a in annotations if a.kind.is_human)
        key = hash((said, frozenset(gold.items())))
        if key not in self._heard:
            self._heard.clear()
            self._heard[key] = out_of_fold(annotations, self.corpus, gold)
        return Known(gold, self._heard[key])

    def candidates(self) -> CandidateTable:
        """Return every LLM label that could be accepted, as frozen at review."""
        numbers = [int(row["number"]) for row in self.store.rounds()]
        notes = {number: self.store.read_note(number, "evidence") or [] for number in numbers}
        return read_candidates({n: evidence_from_json(rows) for n, rows in notes.items()}, self.store.decisions())

    def synthetic(self) -> list[SyntheticText]:
        """Return every text that an LLM wrote for a label without examples."""
        numbers = [int(row["number"]) for row in self.store.rounds()]
        return read_synthetic([self.store.read_note(number, "synthetic") for number in numbers])

    def certificate(self, number: int) -> Certificate | None:
        """Return what the audits proved in a round; None when there was nothing to audit."""
        kept = self.store.read_note(number, "certificate") if number >= 1 else None
        return Certificate(**kept) if kept else None

    def now(self, number: int) -> Moment:
        """Return what is known in a round before its student is trained."""
        answers = self.answers()
        return self.moment(number, answers, self.candidates().accepted(self.certificate(number - 1), self.corpus))

    def moment(self, number: int, answers: Answers, accepted: Mapping[int, str]) -> Moment:
        """Return a moment with given accepted labels and the student of the round before."""
        labels, is_open = answers.human.copy(), ~answers.is_asked
        for position, label in accepted.items():
            if not answers.is_asked[position]:
                labels[position] = self.corpus.scheme.index(label)
                is_open[position] = False
        seen = self.corpus.view_for(answers.human, self._standing_view(number - 1))
        embeddings, label_embeddings = self.corpus.seen(seen)
        view = PoolView(
            texts=self.corpus.texts,
            embeddings=embeddings,
            n_classes=len(self.corpus.scheme),
            labels=labels,
            is_available=is_open,
            proba=self.students.pool_proba(number - 1, self.corpus),
            groups=self.corpus.groups,
            label_embeddings=label_embeddings,
            view=seen,
            beside=view_beside(self.corpus.vectors, seen),
            catch_all=self.corpus.scheme.catch_all_index,
        )
        return Moment(number, answers, accepted, view)

    def _standing_view(self, number: int) -> int | None:
        """Return the view that people's labels chose in a round; None where there was no such round, or no choice."""
        kept = self.store.read_note(number, SUPERVISION_NOTE) if number >= 1 else None
        return Summary.from_json(kept).view if kept else None

    def bank(self, last_row: int, agreed: Mapping[str, str] | None = None) -> LabelledBank:
        """Return `agreed` labels by id, and what people had labelled when the annotations ended at row `last_row`."""
        return labelled_bank(self._answers_to(last_row), self.corpus, agreed or {})

    def agreed(self, number: int, last_row: int, refine: Refine) -> dict[str, str]:
        """Return LLM labels up to row `last_row` that the student before a round shares, by id; see `agreed_labels`."""
        proba = self.students.pool_proba(number - 1, self.corpus)
        if proba is None:
            return {}
        answers, settled = self._answers_to(last_row), frozenset(self.settled())
        return agreed_labels(answers, self.corpus, proba, refine=refine, settled=settled)

    def embed(self, examples: Sequence[Example]) -> Embeddings:
        """Return the embeddings of some examples of the pool, shape (k, d)."""
        rows = np.array([self.corpus.position_of[example.id] for example in examples], dtype=np.intp)
        return self.corpus.embeddings[rows]

    def context(self, now: Moment, rows: Positions) -> Context:
        """Return what the student and the labelled neighbours say about some rows."""
        proba = None if now.view.proba is None else np.asarray(now.view.proba[rows], dtype=np.float64)
        return Context(self.corpus.scheme.names, proba, self._neighbours(now, rows))

    def decided(self, number: int, stage: Stage, outcome: Outcome | None = None) -> list[Decision]:
        """Return the decisions of a stage of a round."""
        decisions = [d for d in self.store.decisions(round=number) if d.stage is stage]
        return [d for d in decisions if outcome is None or d.outcome is outcome]

    def rows(self, decisions: Sequence[Decision]) -> Positions:
        """Return the pool positions of decisions."""
        return np.array([self.corpus.position_of[d.example_id] for d in decisions], dtype=np.intp)

    def ids_llm_answered(self) -> set[str]:
        """Return the ids of examples that an LLM has answered."""
        return {a.example_id for a in self.store.annotations() if a.kind is AnnotatorKind.LLM}

    def _answers_to(self, last_row: int) -> Answers:
        known = [answer for answer in self.store.annotations() if (answer.row_id or 0) <= last_row]
        return read_answers(known, self.corpus, self.consensus)

    def _neighbours(self, now: Moment, rows: Positions) -> Proba | None:
        known = np.flatnonzero((now.answers.human >= 0) | now.answers.is_outside)
        return neighbour_shares(
            self.corpus.embeddings[rows],
            self.corpus.embeddings[known],
            label_index=now.answers.human[known],
            n_classes=len(self.corpus.scheme),
            n_neighbours=self.n_neighbours,
        )
