"""LLM labels that could be accepted, as they were written down at review, over all rounds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from llm_al.answers import Answers
from llm_al.corpus import Corpus
from llm_al.measures import Certificate
from llm_al.routers.calibration import Calibrator
from llm_al.routers.evidence import Evidence
from llm_al.routers.threshold import Candidates
from llm_al.types import Decision, Outcome, Stage

__all__ = ["CandidateTable", "evidence_from_json", "evidence_to_json", "read_candidates"]

_KEPT = frozenset(field.name for field in fields(Evidence))


def evidence_to_json(cases: Sequence[Evidence]) -> list[dict[str, Any]]:
    """Return plain values for the store."""
    return [asdict(case) for case in cases]


def evidence_from_json(rows: Iterable[Mapping[str, Any]]) -> list[Evidence]:
    """Read what `evidence_to_json` wrote, now or in another version: what a row lacks is unknown."""
    kept: list[dict[str, Any]] = [{name: value for name, value in row.items() if name in _KEPT} for row in rows]
    return [Evidence(**{**row, "failures": tuple(row["failures"])}) for row in kept]


@dataclass(frozen=True)
class CandidateTable:
    """Reviewed LLM labels that nobody objected to.

    Parameters
    ----------
    cases : tuple of Evidence, length m
        Frozen at review.
    scores : tuple of float, length m
        Probability of being right, frozen at review.
    probabilities : tuple of float, length m
        Probability of the audit's draw.
    is_drawn : tuple of bool, length m
        Whether the audit drew it.
    """

    cases: tuple[Evidence, ...] = ()
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()
    is_drawn: tuple[bool, ...] = ()

    def __len__(self) -> int:
        return len(self.cases)

    def calibrator(self, answers: Answers, corpus: Corpus) -> Calibrator:
        """Fit a calibrator on the audits that people have answered so far."""
        audited, is_error = self._audits(answers, corpus)
        rows = np.flatnonzero(audited)
        weights = 1.0 / np.array([self.probabilities[row] for row in rows], dtype=np.float64)
        return Calibrator.fit([self.cases[row] for row in rows], ~is_error[rows], weights)

    def tested(self, answers: Answers, corpus: Corpus) -> Candidates:
        """Return the arrays that a certificate is computed from."""
        audited, is_error = self._audits(answers, corpus)
        return Candidates(np.array(self.scores), audited, is_error, np.array(self.probabilities))

    def accepted(self, certificate: Certificate | None, corpus: Corpus) -> dict[int, str]:
        """Return pool position to LLM label, for the labels that the certificate covers."""
        if certificate is None or certificate.threshold is None:
            return {}
        return {
            corpus.position_of[case.example_id]: case.label
            for case, score in zip(self.cases, self.scores, strict=True)
            if score >= certificate.threshold and case.label in corpus.scheme.names
        }

    def _audits(self, answers: Answers, corpus: Corpus) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        rows = [corpus.position_of[case.example_id] for case in self.cases]
        audited = np.array(self.is_drawn, dtype=np.bool_) & answers.is_asked[rows]
        said = [corpus.scheme.names[answers.human[row]] if answers.human[row] >= 0 else None for row in rows]
        # A skipped audit or "none of these" counts against the LLM: leaving it out would flatter the estimate.
        is_error = np.array([word != case.label for word, case in zip(said, self.cases, strict=True)], dtype=np.bool_)
        return audited, is_error


def read_candidates(evidence: Mapping[int, Sequence[Evidence]], decisions: Sequence[Decision]) -> CandidateTable:
    """Bring together the evidence of each round and what review decided on it.

    Parameters
    ----------
    evidence : mapping of round to Evidence
    decisions : sequence of Decision
        Of all rounds; only review and audit decisions are read.
    """
    cases = {(number, case.example_id): case for number, rows in evidence.items() for case in rows}
    reviews = [d for d in decisions if d.stage is Stage.REVIEW and d.outcome is Outcome.CANDIDATE]
    drawn = {(d.round, d.example_id) for d in decisions if d.stage is Stage.AUDIT}
    kept = [d for d in reviews if (d.round, d.example_id) in cases]
    return CandidateTable(
        tuple(cases[d.round, d.example_id] for d in kept),
        tuple(d.score or 0.0 for d in kept),
        tuple(d.probability or 1.0 for d in kept),
        tuple((d.round, d.example_id) in drawn for d in kept),
    )
