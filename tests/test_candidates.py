import json

import numpy as np
import pytest

from llm_al.answers import Answers, read_answers
from llm_al.candidates import CandidateTable, evidence_from_json, evidence_to_json, read_candidates
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.corpus import Corpus
from llm_al.measures import Certificate
from llm_al.routers.evidence import Evidence
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Decision, Label, LabelScheme, Outcome, Stage

NAMES = ("cat", "dog")


def corpus(n: int = 6) -> Corpus:
    ids = [f"e{row}" for row in range(n)]
    scheme = LabelScheme(tuple(map(Label, NAMES)))
    return Corpus(scheme, ids, ids, np.eye(n, dtype=np.float32), np.arange(n))


def answers(**labels: str) -> Answers:
    given = [Annotation(id_, label, "ann", kind=AnnotatorKind.HUMAN) for id_, label in labels.items()]
    return read_answers(given, corpus(), OneCoin(NAMES))


def case(row: int, label: str | None = "cat") -> Evidence:
    return Evidence(f"e{row}", label, agreement=1.0, n_answers=3, n_valid=3, failures=("x",))


def table(n: int = 6, scores: tuple[float, ...] = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)) -> CandidateTable:
    return CandidateTable(tuple(map(case, range(n))), scores[:n], (0.5,) * n, (True,) * n)


def certificate(threshold: float | None) -> Certificate:
    return Certificate(threshold, 0.1, n_audited=10, n_errors=0, max_error=0.1, confidence=0.95, reason="")


@pytest.mark.parametrize(("label", "is_error"), [("cat", False), ("dog", True), (SKIP, True), (NONE_OF_THESE, True)])
def test_an_audit_is_an_error_unless_the_person_says_the_same(label: str, is_error: bool) -> None:
    tested = table().tested(answers(e0=label), corpus())
    assert tested.is_audited.tolist() == [True, False, False, False, False, False]
    assert tested.is_error[0] == is_error


def test_an_answer_outside_of_the_draw_is_no_audit() -> None:
    drawn = CandidateTable((case(0), case(1)), (0.9, 0.8), (0.5, 0.5), (True, False))
    tested = drawn.tested(answers(e0="cat", e1="cat"), corpus())
    assert tested.is_audited.tolist() == [True, False]
    assert tested.probability.tolist() == [0.5, 0.5]


def test_labels_at_or_above_the_threshold_are_accepted() -> None:
    assert table().accepted(certificate(0.7), corpus()) == {0: "cat", 1: "cat", 2: "cat"}


@pytest.mark.parametrize("given", [None, certificate(None)])
def test_without_a_threshold_nothing_is_accepted(given: Certificate | None) -> None:
    assert table().accepted(given, corpus()) == {}


def test_a_calibrator_learns_from_audits_only() -> None:
    calibrator = table().calibrator(answers(e0="cat", e1="dog"), corpus())
    (score,) = calibrator.predict([case(0)])
    assert 0.0 <= score <= 1.0
    assert len(CandidateTable().calibrator(answers(), corpus()).predict([])) == 0


def test_evidence_survives_the_store() -> None:
    cases = [case(0), case(1, None)]
    assert evidence_from_json(json.loads(json.dumps(evidence_to_json(cases)))) == cases


def test_candidates_are_what_review_let_pass_in_their_own_round() -> None:
    def decision(row: int, stage: Stage, outcome: Outcome, round: int = 1) -> Decision:
        return Decision(f"e{row}", round, stage, outcome, "", score=0.8, probability=0.25)

    found = read_candidates(
        {1: [case(0), case(1)], 2: [case(2)]},
        [
            decision(0, Stage.REVIEW, Outcome.CANDIDATE),
            decision(1, Stage.REVIEW, Outcome.ESCALATE),
            decision(2, Stage.REVIEW, Outcome.CANDIDATE, round=2),
            decision(2, Stage.AUDIT, Outcome.AUDIT, round=2),
            decision(3, Stage.REVIEW, Outcome.CANDIDATE),
        ],
    )
    assert [case.example_id for case in found.cases] == ["e0", "e2"]
    assert found.is_drawn == (False, True)
    assert found.scores == (0.8, 0.8)
    assert found.probabilities == (0.25, 0.25)
    assert len(found) == 2


def test_evidence_of_an_older_version_still_loads_with_what_it_lacks_unknown() -> None:
    row = {
        "example_id": "e0", "label": "cat", "agreement": 0.8, "n_answers": 3, "n_valid": 3, "n_none_of_these": 0,
        "confidence": None, "student_label": "cat", "student_best": 0.9, "student_proba": 0.9,
        "neighbour_share": 0.5, "n_chars": 12, "failures": ["x"],
    }  # fmt: skip
    (found,) = evidence_from_json([json.loads(json.dumps(row))])
    assert (found.votes, found.signals, found.model_agreement, found.proba_margin) == ({}, {}, None, None)
    assert found.failures == ("x",)


def test_evidence_of_a_newer_version_is_read_without_what_is_not_known_here() -> None:
    (row,) = evidence_to_json([case(0)])
    assert evidence_from_json([{**row, "phase_of_the_moon": 0.5}]) == [case(0)]


def test_votes_and_signals_survive_the_store() -> None:
    rich = Evidence("e0", "cat", 1.0, 3, 3, votes={"a": "cat"}, confidences={"a": 0.5}, signals={"p_true": 0.25})
    assert evidence_from_json(json.loads(json.dumps(evidence_to_json([rich])))) == [rich]
