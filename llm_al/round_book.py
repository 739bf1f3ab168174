"""What a finished round has come to: counts, figures, and whether another one follows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from llm_al.corpus import Corpus
from llm_al.evaluation.metrics import evaluate
from llm_al.evaluation.stopping import Progress as Standing
from llm_al.evaluation.stopping import Stopping, prediction_kappa
from llm_al.measures import Metrics, RoundRecord
from llm_al.protocols import LoopStore
from llm_al.pseudo_labels.precision import measured
from llm_al.situation import Situation
from llm_al.student_files import StudentFiles
from llm_al.supervision import SUPERVISION_NOTE, Summary
from llm_al.types import Source

__all__ = ["PSEUDO_NOTE", "RoundBook"]

PSEUDO_NOTE = "pseudo_rows"
"""Key of the note that keeps which pseudo-labels a round learned from."""


@dataclass(frozen=True)
class RoundBook:
    """Reads store and students' files; writes nothing."""

    corpus: Corpus
    store: LoopStore
    students: StudentFiles
    situation: Situation
    stopping: Stopping

    def record(self, number: int, steps: Sequence[str]) -> RoundRecord:
        """Return what a finished round has come to; `steps` are the names whose seconds are kept."""
        answers = self.situation.answers()
        summary = Summary.from_json(self.store.read_note(number, SUPERVISION_NOTE) or {})
        record = RoundRecord(
            number=number,
            n_human=answers.n_human,
            n_llm_accepted=summary.n_llm,
            n_pseudo=summary.n_pseudo,
            n_llm_answers=int(answers.is_llm.sum()),
            cost_nanousd=self.store.spent_nanousd(),
            metrics=self._metrics(number),
            certificate=self.situation.certificate(number),
            n_synthetic=summary.n_synthetic,
            sources=summary.sources,
            guard="; ".join(part for part in (summary.reason, self._why_chosen(number)) if part),
            pseudo_precision=summary.pseudo_precision,
            pseudo_checked=self._checked(number),
            kappa=self._kappa(number),
            seconds={name: float(self.store.read_note(number, f"seconds.{name}") or 0.0) for name in steps},
        )
        return replace(record, stop_reason=self.stop_reason(record))

    def sources(self, number: int) -> tuple[Source, ...]:
        """Return what the student of a round learned from; nothing where there was no such round."""
        kept = self.store.read_note(number, SUPERVISION_NOTE) if number >= 1 else None
        return Summary.from_json(kept).sources if kept else ()

    def _why_chosen(self, number: int) -> str:
        why = self.students.why_chosen(number)
        return f"student {why}" if why else ""

    def stop_reason(self, record: RoundRecord) -> str:
        """Return why no round follows; empty where one does."""
        answers = self.situation.answers()
        records = [*(r for r in self.store.round_records() if r.number < record.number), record]
        return _nothing_asked(records) or self.stopping.reason(
            Standing(
                round=record.number,
                n_human=answers.n_human,
                cost_nanousd=record.cost_nanousd,
                minutes=sum(sum(r.seconds.values()) for r in records) / 60.0,
                metrics=record.metrics,
                kappas=tuple(r.kappa for r in records if r.kappa is not None),
                n_available=int((~answers.is_asked).sum()),
            )
        )

    def _metrics(self, number: int) -> Metrics | None:
        test, proba = self.corpus.test, self.students.test_proba(number, self.corpus)
        if test is None or proba is None or not len(test):
            return None
        return evaluate(test.labels, proba, self.corpus.scheme.names)

    def _kappa(self, number: int) -> float | None:
        now, before = (self.students.pool_proba(n, self.corpus) for n in (number, number - 1))
        if now is None or before is None:
            return None
        return prediction_kappa(before.argmax(axis=1), now.argmax(axis=1))

    def _checked(self, number: int) -> tuple[int, int] | None:
        """Return how many of the last round's pseudo-labels people have labelled since, and how many were right."""
        rows = self.store.read_note(number - 1, PSEUDO_NOTE) if number > 1 else None
        if not rows or not rows["positions"]:
            return None
        given = np.array(rows["classes"], dtype=np.int64)
        found = measured(given, self.situation.answers().human[np.array(rows["positions"], dtype=np.intp)])
        return (found.n_checked, found.n_right) if found.n_checked else None


def _nothing_asked(records: Sequence[RoundRecord]) -> str:
    """Return a reason to stop when the last round brought no answer at all; the next would bring none either."""
    counts = [(record.n_human, record.n_llm_answers) for record in records[-2:]]
    return "nothing more can be asked of people or of the LLM" if len(counts) == 2 and counts[0] == counts[1] else ""
