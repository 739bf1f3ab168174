import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from llm_al.errors import ShapeError
from llm_al.evaluation.metrics import evaluate, wilson_interval

LABELS = ("a", "b", "c")


def test_a_small_table_by_hand():
    truth = np.array([0, 0, 0, 1, 1])
    proba = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.0, 1.0, 0.0], [0.1, 0.3, 0.6]])
    found = evaluate(truth, proba, LABELS)
    assert (found.n, found.accuracy) == (5, 0.6)
    assert found.confusion == ((2, 1, 0), (0, 1, 1), (0, 0, 0))
    a, b, c = found.per_class
    assert (a.precision, a.recall, a.f1, a.support) == (1.0, pytest.approx(2 / 3), pytest.approx(0.8), 3)
    assert (b.precision, b.recall, b.f1, b.support) == (0.5, 0.5, 0.5, 2)
    assert (c.precision, c.recall, c.f1, c.support) == (0.0, 0.0, 0.0, 0)
    # c does not occur in the truth and is left out of the mean.
    assert found.macro_f1 == pytest.approx(0.65)
    assert found.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.3, 1.0, 0.3]).mean())
    # Bins hold .9 (right), .8 (right), .7 (wrong), 1.0 (right), .6 (wrong): gaps .1 + .2 + .7 + 0 + .6 over 5.
    assert found.ece == pytest.approx(1.6 / 5)


def test_wilson_interval_matches_newcombes_published_values():
    # Newcombe (1998), table I: 81/263, 15/148, 0/20, 1/29.
    for right, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson_interval(right, n) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(20, 20)[1] == pytest.approx(1.0)


def test_metrics_agree_with_an_independent_implementation():
    rng = np.random.default_rng(0)
    truth, proba = rng.integers(3, size=200), rng.dirichlet(np.ones(3), 200)
    found = evaluate(truth, proba, LABELS)
    assert found.macro_f1 == pytest.approx(f1_score(truth, proba.argmax(axis=1), average="macro"))
    assert found.log_loss == pytest.approx(log_loss(truth, proba))
    assert found.accuracy_low < found.accuracy < found.accuracy_high


def test_reliability_bins_cover_everything_once():
    rng = np.random.default_rng(1)
    found = evaluate(rng.integers(3, size=50), rng.dirichlet(np.ones(3), 50), LABELS)
    assert sum(b.n for b in found.reliability) == 50
    assert (found.reliability[0].low, found.reliability[-1].high) == (0.0, 1.0)
    assert all(b.low < b.confidence <= b.high for b in found.reliability if b.n)


def test_perfect_certainty_has_no_error_and_total_failure_a_finite_loss():
    truth = np.array([0, 1, 2])
    right = evaluate(truth, np.eye(3), LABELS)
    assert (right.accuracy, right.macro_f1, right.ece, right.log_loss) == (1.0, 1.0, 0.0, 0.0)
    wrong = evaluate(truth, np.roll(np.eye(3), 1, axis=1), LABELS)
    assert (wrong.accuracy, wrong.ece) == (0.0, 1.0)
    assert wrong.log_loss == pytest.approx(-np.log(1e-12))


@pytest.mark.parametrize(
    ("truth", "proba", "message"),
    [
        ([], np.zeros((0, 3)), r"expected n >= 1"),
        ([0], np.ones((1, 2)), r"rows of 3 probabilities"),
        ([0], np.array([[np.nan, 0, 1]]), "NaN"),
        ([3], np.ones((1, 3)), "allowed are 0 to 2"),
    ],
)
def test_wrong_input_is_refused(truth, proba, message):
    with pytest.raises(ShapeError, match=message):
        evaluate(np.array(truth, dtype=np.int64), proba, LABELS)
