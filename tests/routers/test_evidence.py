from dataclasses import replace

import numpy as np
import pytest

from llm_al.errors import ShapeError
from llm_al.routers.agreement import smoothed_agreement
from llm_al.routers.evidence import Context, gather_evidence
from llm_al.routers.neighbours import neighbour_shares
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Example

LABELS = ("billing", "refund", "other")


def answer(label, prompt="p1", model="m", example="a", confidence=None, reason=""):
    return Annotation(
        example, label, f"{model}/{prompt}", AnnotatorKind.LLM, model=model, confidence=confidence, reason=reason
    )


def gather(*annotations, proba=None, neighbours=None):
    context = Context(
        LABELS,
        None if proba is None else np.array([proba]),
        None if neighbours is None else np.array([neighbours]),
    )
    return gather_evidence([Example("a", "twelve chars")], annotations, context)[0]


def test_two_of_three_prompts_agree_to_seven_twelfths():
    case = gather(answer("refund", "p1"), answer("refund", "p2"), answer("billing", "p3"))
    assert case.label == "refund"
    assert case.agreement == pytest.approx((2 + 1 / 3) / 4)
    assert (case.n_answers, case.n_valid, case.n_chars) == (3, 3, 12)
    assert case.student_agrees is None


def test_no_answer_gives_no_label():
    case = gather()
    assert (case.label, case.agreement, case.n_answers) == (None, 0.0, 0)


def test_abstentions_and_skips_are_no_votes_but_are_counted_as_answers():
    case = gather(answer(None, "p1", reason="off-list answer 'cat'"), answer(SKIP, "p2"), answer("billing", "p3"))
    assert (case.label, case.n_answers, case.n_valid) == ("billing", 3, 1)
    assert case.failures == ("off-list answer 'cat'",)


def test_runs_of_one_model_are_one_voter():
    runs = [answer("billing", f"p{i}", model="weak") for i in range(3)]
    case = gather(*runs, answer("refund", "p1", model="x"), answer("refund", "p1", model="y"))
    assert case.label == "refund"
    # Two of three models, five answers: count = 2/3 * 5.
    assert case.agreement == pytest.approx((10 / 3 + 1 / 3) / 6)


def test_confidence_is_the_mean_over_the_winning_answers_only():
    case = gather(
        answer("refund", "p1", confidence=0.8),
        answer("refund", "p2", confidence=0.6),
        answer("billing", "p3", confidence=0.1),
    )
    assert case.confidence == pytest.approx(0.7)


def test_unknown_confidence_stays_unknown():
    assert gather(answer("refund")).confidence is None


def test_student_and_neighbours_are_read_for_the_label():
    case = gather(answer("refund"), proba=[0.7, 0.2, 0.1], neighbours=[0.3, 0.5, 0.2])
    assert (case.student_label, case.student_best, case.student_proba) == ("billing", 0.7, 0.2)
    assert case.student_agrees is False
    assert case.neighbour_share == 0.5


def test_a_tie_goes_to_the_student():
    tie = (answer("billing", "p1"), answer("refund", "p2"))
    assert gather(*tie).label == "billing"
    assert gather(*tie, proba=[0.1, 0.8, 0.1]).label == "refund"


def test_votes_for_none_of_these_are_counted_apart():
    case = gather(answer(NONE_OF_THESE, "p1"), answer(NONE_OF_THESE, "p2"), answer("refund", "p3"))
    assert (case.label, case.n_none_of_these, case.n_valid) == ("refund", 2, 3)
    assert case.agreement == pytest.approx((1 + 1 / 3) / 4)


def test_arrays_must_fit_the_examples():
    with pytest.raises(ShapeError, match=r"proba has shape \(1, 2\); expected \(1, 3\)"):
        gather(answer("refund"), proba=[0.5, 0.5])


def test_smoothing_keeps_one_vote_below_three():
    assert smoothed_agreement(1, 1, 10) == pytest.approx(0.55)
    assert smoothed_agreement(3, 3, 10) == pytest.approx(0.775)


def test_neighbour_shares_follow_the_nearest_labelled_rows():
    labelled = np.eye(4, dtype=np.float32)[:3]
    queries = np.array([[0.8, 0.6, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]], dtype=np.float32)
    shares = neighbour_shares(queries, labelled, label_index=np.array([0, 1, 1]), n_classes=2, n_neighbours=2)
    assert shares[0].tolist() == [0.5, 0.5]
    assert shares[1, 1] >= 0.5
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)


def test_fewer_labelled_rows_than_neighbours_all_vote_and_none_give_none():
    queries, labelled = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[:1]
    shares = neighbour_shares(queries, labelled, label_index=np.array([1]), n_classes=2)
    assert shares.tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert neighbour_shares(queries, labelled[:0], label_index=np.zeros(0, dtype=np.int64), n_classes=2) is None


def test_votes_and_confidences_are_kept_by_annotator():
    case = gather(answer("refund", "p1", confidence=0.8), answer("billing", "p2"), answer(None, "p3"))
    assert case.votes == {"m/p1": "refund", "m/p2": "billing"}
    assert case.confidences == {"m/p1": 0.8}


def test_agreement_is_told_apart_over_prompts_and_over_models():
    case = gather(
        answer("refund", "p1", model="a"),
        answer("refund", "p2", model="a"),
        answer("billing", "p3", model="a"),
        answer("refund", "p1", model="b"),
    )
    assert case.model_shares == pytest.approx({"a": 2 / 3, "b": 1.0})
    # Only model a had several prompts: (2 + 1/3) / 4. Over models: (5/3 + 1/3) / 3.
    assert case.prompt_agreement == pytest.approx((2 + 1 / 3) / 4)
    assert case.model_agreement == pytest.approx(2 / 3)


def test_one_prompt_of_one_model_leaves_both_agreements_unknown():
    case = gather(answer("refund"))
    assert (case.prompt_agreement, case.model_agreement) == (None, None)


def test_signals_are_means_over_the_winning_answers_and_a_missing_one_is_absent():
    first = replace(answer("refund", "p1"), signals={"verbalised": 0.5, "p_true": 0.8})
    second = replace(answer("refund", "p2"), signals={"verbalised": 1.0})
    other = replace(answer("billing", "p3"), signals={"verbalised": 0.0, "invalid_mass": 0.1})
    assert gather(first, second, other).signals == {"verbalised": 0.75, "p_true": 0.8}


def test_margin_and_entropy_are_of_the_mean_probabilities():
    case = gather(
        replace(answer("refund", "p1"), proba=(0.1, 0.9, 0.0)), replace(answer("refund", "p2"), proba=(0.3, 0.7, 0.0))
    )
    assert case.proba_margin == pytest.approx(0.8 - 0.2)
    assert case.proba_entropy == pytest.approx(-(0.8 * np.log(0.8) + 0.2 * np.log(0.2)) / np.log(3))
    assert gather(answer("refund")).proba_margin is None


def test_rivals_are_the_likeliest_other_labels():
    case = gather(answer("refund"), proba=[0.7, 0.2, 0.1], neighbours=[0.3, 0.5, 0.2])
    assert (case.student_rival, case.neighbour_rival) == (0.7, 0.3)


def test_another_label_than_the_winner_can_be_judged():
    votes = [answer("refund", "p1"), answer("refund", "p2"), answer("billing", "p3")]
    (case,) = gather_evidence([Example("a", "x")], votes, Context(LABELS), labels=["billing"])
    assert (case.label, case.agreement) == ("billing", pytest.approx((1 + 1 / 3) / 4))
    (case,) = gather_evidence([Example("a", "x")], votes, Context(LABELS), labels=["other"])
    assert case.agreement == pytest.approx((1 / 3) / 4)
    (case,) = gather_evidence([Example("a", "x")], votes, Context(LABELS), labels=[None])
    assert (case.label, case.agreement, case.n_valid) == (None, 0.0, 3)


def test_neighbours_outside_of_the_scheme_speak_for_no_label():
    labelled = np.eye(3, dtype=np.float32)
    shares = neighbour_shares(labelled[:1], labelled, label_index=np.array([0, -1, -1]), n_classes=2, n_neighbours=3)
    np.testing.assert_allclose(shares, [[1 / 3, 0.0]])
