"""How far each LLM annotator, and the calibrated probability, can be believed: measured on people's audits.

People answer LLM-labelled texts for two reasons. Audits are drawn at random with a recorded probability: weighted by
one over it, they speak for all labels that review let pass. Escalations were odd to begin with, so no estimate uses
them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from llm_al.answers import Answers
from llm_al.candidates import CandidateTable
from llm_al.corpus import Corpus
from llm_al.evaluation import selective
from llm_al.evaluation.selective import Checked
from llm_al.measures import ConfidenceQuality, Estimate, LLMQuality, SignalQuality
from llm_al.routers.evidence import Evidence
from llm_al.situation import Situation
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Signal

__all__ = ["COMBINED", "MIN_AUDITS", "llm_quality"]

COMBINED = "calibrated probability"
"""Name of the row for what was written down at review."""
MIN_AUDITS = 30
"""Fewer answers say nothing about how a confidence ranks."""

_WHY_UNKNOWN = {
    "confidence": "unknown: it says nothing about how sure it is",
    Signal.TOKEN_PROBABILITY: "unknown: no logprobs from this server",
    Signal.INVALID_MASS: "unknown: no logprobs from this server",
    Signal.VERBALISED: "unknown: its prompt does not ask how sure it is",
    Signal.P_TRUE: "unknown: it was not asked to verify its label",
    "agreement of prompts": "unknown: one prompt only",
    "agreement of models": "unknown: one model only",
    "student": "unknown: there was no student yet",
    "neighbours": "unknown: there were no labelled neighbours yet",
}
_EVIDENCE: Mapping[str, Callable[[Evidence], float | None]] = {
    "agreement": lambda case: case.agreement,
    "agreement of prompts": lambda case: case.prompt_agreement,
    "agreement of models": lambda case: case.model_agreement,
    "confidence": lambda case: case.confidence,
    **{str(name): lambda case, name=name: case.signals.get(name) for name in Signal},  # type: ignore[misc]
    "student": lambda case: case.student_proba,
    "neighbours": lambda case: case.neighbour_share,
}


@dataclass(frozen=True)
class _Audits:
    """What people said on random audits, by pool position."""

    said: Mapping[int, str]
    """A label, `none_of_these`, or `skip`; a skipped audit counts against the LLM, as it does in the certificate."""
    weight: Mapping[int, float]


@dataclass(frozen=True)
class _Sample:
    """Labels of one annotator at audited positions."""

    audits: _Audits
    labels: Mapping[int, str | None]

    def __len__(self) -> int:
        return len(self.labels)

    def scored(self, scores: Mapping[int, float | None]) -> Checked:
        """Return the labels that have a score."""
        known = [(p, score) for p in self.labels if (score := scores[p]) is not None]
        right = [self.audits.said[p] == self.labels[p] for p, _ in known]
        weights = [self.audits.weight[p] for p, _ in known]
        return Checked.of(np.array([s for _, s in known]), np.array(right, dtype=np.bool_), np.array(weights))


def llm_quality(situation: Situation) -> LLMQuality | None:
    """Return what people's answers say about the LLM; None when no LLM has answered."""
    answers, table = situation.answers(), situation.candidates()
    if not answers.is_llm.any():
        return None
    audits = _read_audits(table, answers, situation.corpus)
    n_checked = int((answers.is_llm & answers.is_asked).sum())
    return LLMQuality(
        annotators=tuple(_annotators(answers, audits)),
        combined=_combined(table, answers, audits, situation.corpus) if len(table) else None,
        n_audits=len(audits.said),
        n_escalated=n_checked - len(audits.said),
        note=_note(len(audits.said), n_checked - len(audits.said)),
    )


def _read_audits(table: CandidateTable, answers: Answers, corpus: Corpus) -> _Audits:
    rows = {
        corpus.position_of[case.example_id]: probability
        for case, probability, is_drawn in zip(table.cases, table.probabilities, table.is_drawn, strict=True)
        if is_drawn
    }
    asked = {row: probability for row, probability in rows.items() if answers.is_asked[row]}
    said = {row: _said(answers, row, corpus.scheme.names) for row in asked}
    return _Audits(said, {row: 1.0 / probability for row, probability in asked.items()})


def _said(answers: Answers, row: int, names: Sequence[str]) -> str:
    if answers.human[row] >= 0:
        return names[int(answers.human[row])]
    return NONE_OF_THESE if answers.is_outside[row] else SKIP


def _annotators(answers: Answers, audits: _Audits) -> list[ConfidenceQuality]:
    by_source: dict[str, dict[int, Annotation]] = {}
    for position, given in answers.by_example.items():
        for answer in given:
            if answer.kind is AnnotatorKind.LLM and answer.label not in (None, SKIP):
                by_source.setdefault(answer.source, {})[position] = answer
    return [_annotator(source, by_source[source], answers, audits) for source in sorted(by_source)]


def _annotator(source: str, given: Mapping[int, Annotation], answers: Answers, audits: _Audits) -> ConfidenceQuality:
    compared = [p for p in given if answers.is_asked[p]]
    sample = _Sample(audits, {p: given[p].label for p in sorted(compared) if p in audits.said})
    sure = {p: answer.confidence for p, answer in given.items()}
    signals = {str(name): {p: answer.signals.get(name) for p, answer in given.items()} for name in Signal}
    return _quality(
        source,
        sample,
        sure,
        counts=(len(given), len(compared)),
        signals=_signals(sample, {"confidence": sure, **signals}),
    )


def _combined(table: CandidateTable, answers: Answers, audits: _Audits, corpus: Corpus) -> ConfidenceQuality:
    rows = {corpus.position_of[case.example_id]: i for i, case in enumerate(table.cases)}
    cases = {p: table.cases[i] for p, i in rows.items()}
    sample = _Sample(audits, {p: cases[p].label for p in sorted(cases) if p in audits.said})
    signals = {name: {p: read(case) for p, case in cases.items()} for name, read in _EVIDENCE.items()}
    return _quality(
        COMBINED,
        sample,
        {p: table.scores[i] for p, i in rows.items()},
        counts=(len(rows), sum(bool(answers.is_asked[p]) for p in rows)),
        signals=_signals(sample, signals),
    )


def _quality(
    name: str,
    sample: _Sample,
    sure: Mapping[int, float | None],
    *,
    counts: tuple[int, int],
    signals: tuple[SignalQuality, ...],
) -> ConfidenceQuality:
    """Put together the estimates: accuracy on all audits, the others on those with a confidence."""
    rows = sample.scored(sure)
    why = _why_missing("confidence", sure, rows)
    known = None if why else rows
    everything = sample.scored(dict.fromkeys(sample.labels, 0.0))
    return ConfidenceQuality(
        name=name,
        n_answers=counts[0],
        n_compared=counts[1],
        n_audits=len(sample),
        accuracy=selective.accuracy_estimate(everything),
        ece=selective.calibration_estimate(known) if known else Estimate(None, reason=why),
        auroc=selective.auroc_estimate(known) if known else Estimate(None, reason=why),
        brier=selective.brier_estimate(known) if known else Estimate(None, reason=why),
        kept_50=selective.kept_estimate(known, 0.5) if known else Estimate(None, reason=why),
        kept_80=selective.kept_estimate(known, 0.8) if known else Estimate(None, reason=why),
        reliability=selective.reliability(known) if known else (),
        curve=_curve(known) if known else (),
        signals=signals,
    )


def _signals(sample: _Sample, values: Mapping[str, Mapping[int, float | None]]) -> tuple[SignalQuality, ...]:
    return tuple(_signal(name, sample, known) for name, known in values.items())


def _signal(name: str, sample: _Sample, values: Mapping[int, float | None]) -> SignalQuality:
    rows = sample.scored(values)
    if why := _why_missing(name, values, rows):
        return SignalQuality(name, len(rows), Estimate(None, reason=why), Estimate(None, reason=why))
    if name == Signal.INVALID_MASS:
        # Much of it speaks against the answer, and it is no probability of being right.
        turned = Checked(-rows.score, rows.is_correct, rows.weights)
        return SignalQuality(name, len(rows), selective.auroc_estimate(turned), Estimate(None, reason="no probability"))
    return SignalQuality(name, len(rows), selective.auroc_estimate(rows), selective.calibration_estimate(rows))


def _why_missing(name: str, values: Mapping[int, float | None], audited: Checked) -> str:
    """Return why nothing can be said: no answer at all has the signal, or too few audited ones do."""
    if all(value is None for value in values.values()):
        return _WHY_UNKNOWN.get(name, "unknown: no answer has it")
    missing = MIN_AUDITS - len(audited)
    return f"needs {MIN_AUDITS} audited answers, {missing} more" if missing > 0 else ""


def _curve(rows: Checked) -> tuple[tuple[float, float], ...]:
    coverage, accuracy = selective.risk_coverage(rows)
    return tuple((float(c), float(a)) for c, a in zip(coverage, accuracy, strict=True))


def _note(n_audits: int, n_escalated: int) -> str:
    audits = "1 random audit" if n_audits == 1 else f"{n_audits} random audits"
    used = (
        f"estimates come from {audits}, each weighted by one over the probability of its draw; they speak for the "
        "labels that review let pass"
    )
    left_out = f"; {n_escalated} more answers of people were asked for because something was odd, and are left out"
    missing = (
        f"; {MIN_AUDITS - n_audits} more audits are needed to say how honest a confidence is"
        if n_audits < MIN_AUDITS
        else ""
    )
    return used + (left_out if n_escalated else "") + missing
