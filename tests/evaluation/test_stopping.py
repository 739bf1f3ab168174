import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.evaluation.metrics import evaluate
from llm_al.evaluation.stopping import Progress, Stopping, prediction_kappa


def metrics(n_right, n):
    truth = np.zeros(n, dtype=np.int64)
    return evaluate(truth, np.eye(2)[(np.arange(n) >= n_right).astype(int)], ("a", "b"))


@pytest.mark.parametrize(
    ("rules", "progress", "reason"),
    [
        ({"max_human_labels": 200}, Progress(3, n_human=200), "budget of 200 human labels is used up"),
        ({"max_human_labels": 200}, Progress(3, n_human=199), ""),
        ({"max_usd": 0.5}, Progress(3, cost_nanousd=500_000_000), "LLM budget of $0.50 is used up"),
        ({"max_usd": 0.5}, Progress(3, cost_nanousd=499_999_999), ""),
        ({"max_usd": 0.0}, Progress(3), ""),
        ({"max_minutes": 10}, Progress(3, minutes=10.5), "time budget of 10 minutes is used up"),
        ({"max_rounds": 3}, Progress(3), "budget of 3 rounds is used up"),
        ({}, Progress(3, n_available=0), "every example of the pool has been asked about"),
        ({}, Progress(3), ""),
    ],
)
def test_budgets_stop_when_used_up(rules, progress, reason):
    found = Stopping(**rules).reason(progress)
    assert reason in found
    assert bool(found) == bool(reason)


def test_a_target_needs_the_lower_end_of_the_interval():
    # 95 of 100: Wilson's interval starts at .888; 950 of 1000 at .935.
    rules = Stopping(target_accuracy=0.93)
    assert rules.reason(Progress(1, metrics=metrics(95, 100))) == ""
    assert "accuracy 0.950, at least 0.935 with 95% confidence" in rules.reason(Progress(1, metrics=metrics(950, 1000)))
    assert rules.reason(Progress(1)) == ""


def test_kappa_stops_on_the_mean_of_the_last_rounds():
    rules = Stopping(kappa=0.99, kappa_rounds=3)
    assert rules.reason(Progress(9, kappas=(1.0, 1.0))) == ""
    assert rules.reason(Progress(9, kappas=(0.2, 0.98, 1.0, 0.99))).startswith("the student has settled")
    assert rules.reason(Progress(9, kappas=(1.0, 1.0, 1.0, 0.9))) == ""
    assert Stopping(kappa=None).reason(Progress(9, kappas=(1.0,) * 9)) == ""


def test_a_reached_target_is_named_before_a_used_budget():
    found = Stopping(target_accuracy=0.5, max_rounds=1).reason(Progress(1, metrics=metrics(95, 100)))
    assert found.startswith("target reached")


def test_kappa_of_predictions_is_one_when_identical_even_with_one_class():
    same = np.zeros(5, dtype=np.int64)
    assert prediction_kappa(same, same) == 1.0
    assert prediction_kappa(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 0])) == pytest.approx(0.5)
    assert prediction_kappa(np.array([0, 1]), np.array([1, 0])) == pytest.approx(-1.0)
    assert prediction_kappa(np.array([0, 0]), np.array([1, 1])) == 0.0


def test_wrong_input_is_refused():
    with pytest.raises(ShapeError, match="expected two vectors of one length"):
        prediction_kappa(np.zeros(2, dtype=np.int64), np.zeros(3, dtype=np.int64))
    with pytest.raises(ConfigError, match="kappa_rounds is 0"):
        Stopping(kappa_rounds=0)
