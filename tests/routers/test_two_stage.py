import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.routers.calibration import Calibrator
from llm_al.routers.evidence import Evidence
from llm_al.routers.two_stage import RouteInput, TwoStage
from llm_al.types import Outcome, Stage


def rng(seed=0):
    return np.random.default_rng(seed)


def request(n=4, **changes):
    fields = {
        "round": 2,
        "example_ids": [f"e{i}" for i in range(n)],
        "scores": np.linspace(1.0, 0.1, n),
        "n_human": 1,
        "has_llm": True,
    }
    return RouteInput(**(fields | changes))


def outcomes(decisions):
    return [d.outcome.value for d in decisions]


PROBA = np.array([[0.9, 0.1], [0.52, 0.48], [0.7, 0.3], [0.6, 0.4]])


def test_people_get_the_closest_calls_and_the_llm_the_rest():
    routed = TwoStage().route(request(n_human=2, proba=PROBA), rng())
    assert outcomes(routed) == ["llm", "human", "llm", "human"]
    assert routed[1].reason == "the student's two likeliest labels are 0.04 apart; people answer the 2 closest calls"
    assert routed[0].reason == (
        "the 2 places for people this round are taken by closer calls; "
        "the student's two likeliest labels are 0.80 apart"
    )
    assert {(d.stage, d.round) for d in routed} == {(Stage.ROUTE, 2)}


def test_cold_start_labels_come_from_people_in_the_order_of_selection():
    routed = TwoStage().route(request(n_human=2, is_cold=True, scores=np.array([0.1, 0.2, 0.3, 0.4])), rng())
    assert outcomes(routed) == ["human", "human", "llm", "llm"]
    assert "cold start" in routed[0].reason


def test_without_a_student_the_highest_scores_go_to_people():
    routed = TwoStage().route(request(scores=np.array([0.1, 0.9, 0.2, 0.3])), rng())
    assert outcomes(routed) == ["llm", "human", "llm", "llm"]
    assert "0.90 is among the highest" in routed[1].reason


def test_without_an_llm_the_surplus_is_held():
    routed = TwoStage().route(request(has_llm=False, proba=PROBA), rng())
    assert outcomes(routed) == ["hold", "human", "hold", "hold"]
    assert "no LLM to ask" in routed[0].reason


def test_texts_too_long_for_the_llm_go_to_people_first_or_are_held():
    lengths = np.array([9000, 10, 8500, 10])
    routed = TwoStage().route(request(proba=PROBA, n_chars=lengths, max_text_chars=8000), rng())
    assert outcomes(routed) == ["hold", "llm", "human", "llm"]
    assert "8500 characters are more than the 8000" in routed[2].reason


def test_equal_margins_are_settled_by_disagreeing_neighbours():
    even = np.full((4, 2), 0.5)
    routed = TwoStage().route(request(proba=even, neighbour_agreement=np.array([0.9, 0.8, 0.3, 0.7])), rng())
    assert outcomes(routed) == ["llm", "llm", "human", "llm"]


@pytest.mark.parametrize(("n_human", "expected"), [(0, 0), (4, 4), (99, 4)])
def test_places_for_people_are_never_exceeded(n_human, expected):
    routed = TwoStage().route(request(n_human=n_human, proba=PROBA), rng())
    assert outcomes(routed).count("human") == expected


def test_an_empty_selection_routes_nothing():
    assert TwoStage().route(request(0, proba=np.zeros((0, 2))), rng()) == []


def test_routing_repeats_with_the_seed():
    even = request(proba=np.full((4, 2), 0.5))
    assert TwoStage().route(even, rng(3)) == TwoStage().route(even, rng(3))


def case(name="a", label="x", agreement=0.8, **changes):
    return Evidence(name, label, agreement, **({"n_answers": 3, "n_valid": 3} | changes))


def review(*cases, router=None, seed=0):
    return (router or TwoStage()).review(cases, rng(seed), calibrator=Calibrator(), round=5)


@pytest.mark.parametrize(
    ("evidence", "outcome", "reason"),
    [
        (case(), "candidate", "the LLM says 'x' with a score of 0.800: agreement of its 3 valid answers 0.80"),
        (case(label=None, n_answers=0, n_valid=0), "hold", "has not answered yet"),
        (
            case(label=None, n_valid=0, agreement=0.0, failures=("off-list answer",)),
            "escalate",
            "none of the LLM's 3 answers names a label of the list: off-list answer",
        ),
        (case(agreement=0.525), "escalate", "agree on 'x' to 0.53 only; 0.60 is asked for"),
        (case(agreement=0.55, n_answers=1, n_valid=1), "candidate", "score of 0.550"),
        (case(agreement=0.55, n_answers=3, n_valid=1), "escalate", "0.55 only"),
        (case(n_none_of_these=2), "escalate", "2 of the LLM's 3 valid answers say that no label fits"),
        (case(label=None, n_none_of_these=3), "escalate", "say that no label fits"),
        (case(student_label="y", student_best=0.95, student_proba=0.02), "escalate", "the student gives 'y'"),
        (case(student_label="y", student_best=0.85, student_proba=0.1), "candidate", "student's probability 0.10"),
        (case(student_label="x", student_best=0.95, student_proba=0.95), "candidate", "0.95"),
    ],
)  # fmt: skip
def test_review_judges_and_explains(evidence, outcome, reason):
    decision = review(evidence)[0]
    assert decision.outcome.value == outcome
    assert reason in decision.reason
    assert (decision.stage, decision.round) == (Stage.REVIEW, 5)


def test_every_candidate_records_the_audit_probability_and_a_frozen_score():
    decision = review(case(), router=TwoStage(audit_rate=0.25))[0]
    assert (decision.probability, decision.score) == (0.25, 0.8)


def test_only_candidates_are_audited_and_all_of_them_at_rate_one():
    decisions = review(case("a"), case("b", agreement=0.1), case("c"), router=TwoStage(audit_rate=1.0))
    audits = [d for d in decisions if d.stage is Stage.AUDIT]
    assert [d.example_id for d in audits] == ["a", "c"]
    assert {(d.outcome, d.probability, d.score) for d in audits} == {(Outcome.AUDIT, 1.0, 0.8)}
    assert len(decisions) == 5


def test_the_audit_draws_its_share_regardless_of_the_score():
    cases = [case(f"e{i}", agreement=0.95 if i % 2 else 0.65) for i in range(4000)]
    drawn = [d for d in review(*cases) if d.stage is Stage.AUDIT]
    assert abs(len(drawn) - 400) < 4 * np.sqrt(4000 * 0.09)
    sure = sum(d.score == 0.95 for d in drawn)
    assert abs(sure - len(drawn) / 2) < 4 * np.sqrt(len(drawn) / 4)


def test_review_repeats_with_the_seed_and_takes_nothing():
    cases = [case(f"e{i}") for i in range(50)]
    assert review(*cases, seed=1) == review(*cases, seed=1)
    assert review() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"audit_rate": 0.0}, "audit_rate is 0.0"),
        ({"max_error": 1.0}, "max_error is 1.0"),
        ({"confidence": 0.0}, "confidence is 0.0"),
        ({"min_agreement": 1.5}, "min_agreement is 1.5"),
        ({"n_neighbours": 0}, "n_neighbours is 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        TwoStage(**settings)


def test_arrays_must_fit_the_examples():
    with pytest.raises(ShapeError, match="proba has 4 rows; there are 3 examples"):
        request(3, proba=PROBA)
