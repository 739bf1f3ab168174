from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from llm_al.candidates import evidence_to_json
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.corpus import Corpus
from llm_al.llm_quality import COMBINED, MIN_AUDITS, llm_quality
from llm_al.llm_status import LLMStatus
from llm_al.measures import LLMQuality, SpendingLine
from llm_al.routers.evidence import Evidence
from llm_al.situation import Situation
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Decision, Label, LabelScheme, Outcome, Stage

NAMES = ("cat", "dog")
A, B = "model/a", "model/b"


class Kept:
    """What `llm_quality` reads of a store: one round of LLM answers, all of them candidates."""

    def __init__(self, annotations: Sequence[Annotation], cases: Sequence[Evidence], drawn: dict[str, float]) -> None:
        self._annotations, self._cases, self._drawn = list(annotations), list(cases), drawn

    def annotations(self, **_: Any) -> list[Annotation]:
        return self._annotations

    @property
    def rulings(self) -> "Kept":
        return self

    def standing(self) -> dict[str, Any]:
        """No reviewer has settled anything."""
        return {}

    def rounds(self) -> list[dict[str, int]]:
        return [{"number": 1}]

    def read_note(self, number: int, key: str) -> Any:
        return evidence_to_json(self._cases) if key == "evidence" else None

    def decisions(self, **_: Any) -> list[Decision]:
        reviewed = [
            Decision(
                case.example_id, 1, Stage.REVIEW, Outcome.CANDIDATE, "", score=case.confidence or 0.5,
                probability=self._drawn.get(case.example_id, 0.5),
            )
            for case in self._cases
        ]  # fmt: skip
        return reviewed + [Decision(id_, 1, Stage.AUDIT, Outcome.AUDIT, "") for id_ in self._drawn]


def quality_of(n: int, said: dict[int, str], drawn: dict[int, float], *, confidence: float | None = None) -> LLMQuality:
    """Annotator a always says cat, b only on even rows; people say `said`."""
    ids = [f"e{row}" for row in range(n)]
    llm = AnnotatorKind.LLM
    answers = [Annotation(id_, "cat", A, llm, model="m", confidence=confidence) for id_ in ids]
    answers += [Annotation(id_, None if row % 2 else "cat", B, llm, model="m") for row, id_ in enumerate(ids)]
    answers += [Annotation(ids[row], label, "ann", AnnotatorKind.HUMAN) for row, label in said.items()]
    # The score of a case falls with its row.
    cases = [Evidence(id_, "cat", 0.8, 2, 2, confidence=1.0 - row / (n + 1)) for row, id_ in enumerate(ids)]
    corpus = Corpus(LabelScheme(tuple(map(Label, NAMES))), ids, ids, np.eye(n, dtype=np.float32), np.arange(n))
    store: Any = Kept(answers, cases, {ids[row]: p for row, p in drawn.items()})
    students: Any = None
    found = llm_quality(Situation(corpus, store, students, OneCoin(NAMES)))
    assert found is not None
    return found


def test_estimates_come_from_weighted_audits_and_leave_escalations_out() -> None:
    # Two audits drawn with 1/2 (right) and 1/10 (wrong): weights 2 and 10. Row 2 is no audit.
    found = quality_of(4, {0: "cat", 1: "dog", 2: "dog"}, {0: 0.5, 1: 0.1})
    assert (found.n_audits, found.n_escalated) == (2, 1)
    assert found.combined is not None
    assert found.combined.accuracy.value == pytest.approx(2 / 12)
    assert (found.combined.n_answers, found.combined.n_compared, found.combined.n_audits) == (4, 3, 2)
    assert "2 random audits" in found.note
    assert "1 more answers of people" in found.note


def test_each_annotator_is_measured_on_the_labels_it_gave() -> None:
    a, b = quality_of(4, {0: "cat", 1: "dog"}, {0: 0.5, 1: 0.5}).annotators
    assert [(row.name, row.n_answers, row.n_audits) for row in (a, b)] == [(A, 4, 2), (B, 2, 1)]
    assert (a.accuracy.value, b.accuracy.value) == (0.5, 1.0)


@pytest.mark.parametrize("said", ["dog", NONE_OF_THESE, SKIP])
def test_an_audit_that_does_not_say_the_same_counts_against_the_llm(said: str) -> None:
    found = quality_of(2, {0: said}, {0: 0.5})
    assert found.annotators[0].accuracy.value == 0.0


def test_a_drawn_audit_that_nobody_answered_is_not_used() -> None:
    assert quality_of(3, {0: "cat"}, {0: 0.5, 1: 0.5}).n_audits == 1


def test_too_few_audits_say_how_many_are_missing() -> None:
    found = quality_of(12, dict.fromkeys(range(12), "cat"), dict.fromkeys(range(12), 0.5))
    assert found.combined is not None
    assert found.combined.auroc.reason == f"needs {MIN_AUDITS} audited answers, {MIN_AUDITS - 12} more"
    assert "18 more audits are needed" in found.note


def test_a_confidence_that_ranks_is_seen_in_every_number() -> None:
    said = {row: "cat" if row < 30 else "dog" for row in range(40)}
    found = quality_of(40, said, dict.fromkeys(range(40), 0.5)).combined
    assert found is not None
    assert (found.name, found.auroc.value) == (COMBINED, 1.0)
    assert (found.kept_50.value, found.kept_80.value) == (1.0, pytest.approx(30 / 32))
    assert (found.curve[0], found.curve[-1]) == ((1 / 40, 1.0), (1.0, 0.75))
    assert sum(bar.n for bar in found.reliability) == 40


def test_a_missing_signal_is_unknown_with_its_reason_and_never_zero() -> None:
    said = {row: "cat" if row % 3 else "dog" for row in range(40)}
    found = quality_of(40, said, dict.fromkeys(range(40), 0.5), confidence=0.9)
    why = {signal.name: signal.auroc.reason for signal in found.annotators[0].signals}
    assert why["confidence"] == ""
    assert why["token_probability"] == "unknown: no logprobs from this server"
    assert why["verbalised"] == "unknown: its prompt does not ask how sure it is"
    silent = found.annotators[1]
    assert (silent.n_audits, silent.ece.value) == (20, None)
    assert silent.ece.reason == "unknown: it says nothing about how sure it is"


def test_one_outcome_leaves_the_ranking_undefined_but_not_the_calibration() -> None:
    found = quality_of(40, dict.fromkeys(range(40), "cat"), dict.fromkeys(range(40), 0.5)).combined
    assert found is not None
    assert found.auroc.reason == "undefined because all checked answers were right"
    assert found.ece.value is not None


def test_the_text_names_every_annotator_and_what_is_unknown() -> None:
    said = {row: "cat" if row < 30 else "dog" for row in range(40)}
    text = LLMStatus(quality_of(40, said, dict.fromkeys(range(40), 0.5), confidence=0.9)).text()
    assert text.index(COMBINED) < text.index(A) < text.index(B)
    assert "accuracy: 75.0% (58.8-87.3%)" in text
    assert "AUROC: 1.000 (1.000-1.000)" in text
    assert "token probability, invalid mass: unknown: no logprobs from this server" in text
    assert "ECE, AUROC, accuracy kept: unknown: it says nothing about how sure it is" in text


def test_the_json_form_is_plain_and_holds_reasons() -> None:
    values = LLMStatus(quality_of(3, {0: "cat"}, {0: 0.5})).to_dict()
    assert values["llm"]["combined"]["auroc"] == {
        "value": None, "low": None, "high": None, "reason": "needs 30 audited answers, 29 more",
    }  # fmt: skip


def test_money_is_told_by_round_model_and_prompt() -> None:
    status = LLMStatus(None, (SpendingLine("m", "classify.v2", 3, 1_200, 5_000, 60, 2_500_000),))
    assert "round 3, m, classify.v2: 1,200 calls, 5,000 tokens in, 60 out, $0.0025" in status.text()
    assert status.to_dict()["spending"][0]["cost_nanousd"] == 2_500_000


def test_without_an_llm_there_is_nothing_to_say() -> None:
    status = LLMStatus(None)
    assert status.to_dict()["llm"] is None
    assert "no LLM has answered yet" in status.text()
