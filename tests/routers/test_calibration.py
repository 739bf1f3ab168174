import json

import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.evaluation.selective import Checked, auroc, calibration_error
from llm_al.routers.calibration import Calibrator, evidence_score
from llm_al.routers.evidence import Evidence


def planted(n, seed=0):
    """Cases whose agreement and student's probability tell right from wrong."""
    rng = np.random.default_rng(seed)
    is_correct = rng.random(n) < 0.7
    cases = []
    for i, right in enumerate(is_correct):
        signal = float(np.clip(rng.normal(0.75 if right else 0.45, 0.15), 0, 1))
        student = float(np.clip(rng.normal(0.7 if right else 0.3, 0.2), 0.01, 0.99))
        agrees = "x" if student > 0.5 else "y"
        cases.append(
            Evidence(
                str(i), "x", signal, 3, 3, confidence=0.9 if i % 2 else None, student_label=agrees,
                student_best=max(student, 0.5), student_proba=student, neighbour_share=0.5, n_chars=40,
            )
        )  # fmt: skip
    return cases, is_correct


def test_evidence_score_averages_what_is_known_with_agreement_twice():
    assert evidence_score(Evidence("a", "x", 0.7, 3, 3)) == pytest.approx(0.7)
    full = Evidence("a", "x", 0.7, 3, 3, confidence=0.9, student_proba=0.4, neighbour_share=0.3)
    assert evidence_score(full) == pytest.approx((1.4 + 0.9 + 0.4 + 0.3) / 5)


@pytest.mark.parametrize(
    ("n", "method"), [(0, "evidence"), (29, "evidence"), (30, "isotonic"), (99, "isotonic"), (100, "logistic")]
)
def test_the_method_follows_the_number_of_answers(n, method):
    cases, is_correct = planted(n, seed=3)
    assert Calibrator.fit(cases, is_correct).method == method


def test_few_answers_give_the_evidence_score_itself():
    cases, is_correct = planted(29)
    np.testing.assert_allclose(Calibrator.fit(cases, is_correct).predict(cases), [evidence_score(c) for c in cases])


def test_one_outcome_only_teaches_nothing():
    cases, _ = planted(120)
    assert Calibrator.fit(cases, np.ones(120, dtype=bool)).method == "evidence"


@pytest.mark.parametrize("n", [90, 400])
def test_fitted_probabilities_are_calibrated_and_rank_on_new_cases(n):
    calibrator = Calibrator.fit(*planted(n, seed=1))
    cases, is_correct = planted(2000, seed=2)
    p = calibrator.predict(cases)
    assert p.min() >= 0
    assert p.max() <= 1
    assert abs(p.mean() - is_correct.mean()) < 0.07
    assert p[is_correct].mean() > p[~is_correct].mean() + 0.2


def test_isotonic_never_claims_certainty():
    p = Calibrator.fit(*planted(40, seed=1)).predict(planted(500, seed=2)[0])
    assert p.min() >= 1 / 42 - 1e-12
    assert p.max() <= 1 - 1 / 42 + 1e-12


def test_weights_pull_towards_the_rarely_asked():
    cases, is_correct = planted(200, seed=1)
    plain = Calibrator.fit(cases, is_correct).predict(cases).mean()
    weighted = Calibrator.fit(cases, is_correct, np.where(is_correct, 1.0, 10.0)).predict(cases).mean()
    assert weighted < plain - 0.07


@pytest.mark.parametrize("n", [5, 50, 150])
def test_a_calibrator_survives_json(n):
    calibrator = Calibrator.fit(*planted(n, seed=1))
    again = Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    cases, _ = planted(50, seed=2)
    assert again == calibrator
    np.testing.assert_array_equal(again.predict(cases), calibrator.predict(cases))


def test_unknown_signals_and_missing_labels_are_handled():
    calibrator = Calibrator.fit(*planted(150, seed=1))
    bare = Evidence("a", "x", 0.7, 3, 3)
    without_label = Evidence("b", None, 0.0, 3, 0)
    p = calibrator.predict([bare, without_label])
    assert 0 < p[0] < 1
    assert p[1] == 0
    assert calibrator.predict([]).shape == (0,)


def test_wrong_input_is_refused():
    cases, is_correct = planted(10)
    with pytest.raises(ShapeError, match="10 cases, 9 outcomes"):
        Calibrator.fit(cases, is_correct[:9])
    with pytest.raises(ShapeError, match="positive weight"):
        Calibrator.fit(cases, is_correct, np.zeros(10))
    with pytest.raises(ConfigError, match="unknown calibration 'platt'"):
        Calibrator.from_dict({"method": "platt", "n": 1, "state": None})


def panel(n, seed=0, *, n_voters=4, with_signals=False):
    """Voters of which only the first is worth hearing; labels of class "hard" are mostly wrong."""
    rng = np.random.default_rng(seed)
    is_hard = rng.random(n) < 0.3
    is_correct = rng.random(n) < np.where(is_hard, 0.3, 0.8)
    cases = []
    for i, right in enumerate(is_correct):
        says = [right if rng.random() < 0.85 else not right, *(rng.random(n_voters - 1) < 0.5)]
        label = "hard" if is_hard[i] else f"easy{i % 3}"
        votes = {f"m{j}/p": label if agrees else "other" for j, agrees in enumerate(says)}
        signals = {"p_true": 0.9 if right else 0.2} if with_signals and i % 2 else {}
        cases.append(
            Evidence(
                str(i), label, (sum(says) + 0.25) / (n_voters + 1), n_voters, n_voters, votes=votes,
                model_shares={f"m{j}": float(agrees) for j, agrees in enumerate(says)}, signals=signals,
            )
        )  # fmt: skip
    return cases, is_correct


def gap(p, is_correct):
    return calibration_error(Checked.of(p, is_correct))


def test_each_voter_is_weighed_by_how_often_people_agree_with_it():
    calibrator = Calibrator.fit(*panel(600, seed=1))
    cases, is_correct = panel(2000, seed=2)
    share = np.array([case.agreement for case in cases])
    p = calibrator.predict(cases)
    assert auroc(Checked.of(p, is_correct)) > auroc(Checked.of(share, is_correct)) + 0.1
    assert gap(p, is_correct) < 0.05


def test_more_than_twenty_voters_are_heard_model_by_model():
    calibrator = Calibrator.fit(*panel(400, seed=1, n_voters=25))
    assert calibrator.columns.voters == ()
    assert len(calibrator.columns.models) == 25
    cases, is_correct = panel(1000, seed=2, n_voters=25)
    assert auroc(Checked.of(calibrator.predict(cases), is_correct)) > 0.8


def test_a_class_that_the_llm_gets_wrong_scores_lower():
    calibrator = Calibrator.fit(*panel(600, seed=1))
    votes = {f"m{j}/p": "hard" for j in range(4)}
    hard, easy, unseen = (
        Evidence("a", label, 0.85, 4, 4, votes=dict.fromkeys(votes, label)) for label in ("hard", "easy0", "new")
    )
    p = calibrator.predict([hard, easy, unseen])
    assert p[0] < p[1] - 0.2
    assert 0 < p[2] < 1


def test_a_signal_that_is_sometimes_missing_helps_where_it_is_known_and_never_reads_as_zero():
    calibrator = Calibrator.fit(*panel(800, seed=1, with_signals=True))
    cases, is_correct = panel(2000, seed=2, with_signals=True)
    p, is_known = calibrator.predict(cases), np.array([bool(case.signals) for case in cases])
    assert auroc(Checked.of(p[is_known], is_correct[is_known])) > 0.95
    # Were "unknown" read as p_true = 0, these would all score near 0.
    assert abs(p[~is_known].mean() - is_correct[~is_known].mean()) < 0.07


def test_fitting_is_deterministic_and_a_rich_calibrator_survives_json():
    calibrator = Calibrator.fit(*panel(300, seed=1, with_signals=True))
    assert Calibrator.fit(*panel(300, seed=1, with_signals=True)) == calibrator
    again = Calibrator.from_dict(json.loads(json.dumps(calibrator.to_dict())))
    cases, _ = panel(50, seed=2)
    np.testing.assert_array_equal(again.predict(cases), calibrator.predict(cases))


def test_a_logistic_calibrator_of_an_older_version_is_refused():
    with pytest.raises(ConfigError, match="fit it anew"):
        Calibrator.from_dict({"method": "logistic", "n": 120, "state": {"mean": [0.0]}})


def test_noise_alone_gives_the_base_rate():
    rng = np.random.default_rng(0)
    cases, _ = panel(300, seed=1)
    is_correct = rng.random(300) < 0.7
    p = Calibrator.fit(cases, is_correct).predict(panel(500, seed=2)[0])
    assert abs(p.mean() - is_correct.mean()) < 0.05
    assert p.std() < 0.15
