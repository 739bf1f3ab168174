import json

import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
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
