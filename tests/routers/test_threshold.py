import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from llm_al.errors import ConfigError, ShapeError
from llm_al.measures import Certificate
from llm_al.routers.threshold import Candidates, certify, decide, error_upper_bound, n_audits_needed
from llm_al.types import Outcome, Stage


def candidates(scores, is_audited, is_error, probability=0.1):
    scores = np.asarray(scores, dtype=np.float64)
    return Candidates(
        scores, np.asarray(is_audited, dtype=bool), np.asarray(is_error, dtype=bool), np.full(len(scores), probability)
    )


def run(cases, max_error=0.1, confidence=0.95, seed=0):
    return certify(cases, max_error=max_error, confidence=confidence, rng=np.random.default_rng(seed))


def test_upper_bound_matches_clopper_pearsons_closed_form():
    # Zero errors: 1 - alpha^(1/n).
    assert error_upper_bound(0, 29, 0.95) == pytest.approx(1 - 0.05 ** (1 / 29))
    assert error_upper_bound(3, 3, 0.95) == 1.0
    assert error_upper_bound(0, 0, 0.95) == 1.0


@given(st.integers(1, 200), st.floats(0.5, 0.999), st.data())
def test_upper_bound_inverts_the_binomial(n, confidence, data):
    k = data.draw(st.integers(0, n - 1))
    assert binom.cdf(k, n, error_upper_bound(k, n, confidence)) == pytest.approx(1 - confidence, abs=1e-8)


def test_twenty_nine_clean_audits_prove_ten_percent():
    assert n_audits_needed(0.1, 0.95) == 29
    assert n_audits_needed(0.05, 0.95) == 59
    assert error_upper_bound(0, 28, 0.95) > 0.1


def test_too_few_audits_prove_nothing_and_say_how_many_it_takes():
    found = run(candidates(np.linspace(0, 1, 100), np.arange(100) < 28, np.zeros(100)))
    assert found.threshold is None
    assert found.n_audited == 28
    assert "only 28 audited answers" in found.reason
    assert "it takes 29" in found.reason


def test_no_candidates_prove_nothing():
    assert run(candidates([], [], [])).threshold is None


def test_a_clean_full_audit_accepts_everything():
    found = run(candidates(np.linspace(0.2, 0.9, 29), np.ones(29), np.zeros(29)))
    assert found.threshold == pytest.approx(0.2)
    assert found.error_upper == pytest.approx(1 - 0.05 ** (1 / 29))
    assert "0 of 29 audited labels" in found.reason


def test_testing_stops_at_the_first_failure():
    # All audited, best first; the 46 best are clean, everything below is wrong.
    scores = np.linspace(1.0, 0.0, 100)
    found = run(candidates(scores, np.ones(100), np.arange(100) >= 46))
    # Tested sizes start at the largest step not above 50, that is 46; 61 with 15 errors fails.
    assert found.threshold == pytest.approx(scores[45])
    assert (found.n_audited, found.n_errors) == (46, 0)


def test_a_bad_top_hides_a_good_rest():
    found = run(candidates(np.linspace(1.0, 0.0, 400), np.ones(400), np.arange(400) < 25))
    # 25 of 400 would pass on their own; the strictest set fails first, and nothing later is tried.
    assert error_upper_bound(25, 400, 0.95) < 0.1
    assert found.threshold is None
    assert "10.0% is allowed" in found.reason


def test_equal_scores_are_one_set():
    found = run(candidates(np.full(60, 0.7), np.ones(60), np.arange(60) < 1))
    assert (found.threshold, found.n_audited, found.n_errors) == (0.7, 60, 1)


def test_the_order_of_thresholds_ignores_what_people_said_and_who_was_drawn():
    rng = np.random.default_rng(4)
    scores = rng.random(500)
    tested = set()
    for _ in range(20):
        drawn = np.zeros(500, dtype=bool)
        drawn[rng.choice(500, 60, replace=False)] = True
        tested.add(run(candidates(scores, drawn, np.zeros(500)), seed=1).threshold)
    # Clean audits pass every step, so all draws of 60 end at the lowest one, or fail the first for want of audits.
    assert tested <= {None, float(scores.min())}


def test_unequal_draws_are_thinned_to_equal_ones():
    n = 4000
    rng = np.random.default_rng(0)
    probability = np.where(np.arange(n) < n // 2, 0.05, 0.2)
    drawn = rng.random(n) < probability
    cases = Candidates(np.linspace(0, 1, n), drawn, np.zeros(n, dtype=bool), probability)
    found = run(cases, seed=5)
    assert found.threshold == 0.0
    assert abs(found.n_audited - 200) < 60
    assert run(cases, seed=5) == found


def _simulate(rng, max_error, n_runs):
    """Return how often the accepted set is worse than allowed, over many kinds of LLM."""
    n_bad = 0
    for _ in range(n_runs):
        n, rate = int(rng.choice([120, 300, 600])), float(rng.choice([0.1, 0.3, 0.6]))
        scores = np.round(rng.random(n), int(rng.choice([1, 8])))
        kind = rng.integers(6)
        error_rate = [
            np.full(n, max_error * 1.05),  # just too bad, everywhere
            (1.0 - scores) * 4 * max_error,  # the score is informative
            scores * 2.5 * max_error,  # the score is upside down
            np.where(scores > 0.5, 0.01, 3 * max_error),  # good above a half
            np.where(scores > 0.6, 1.3 * max_error, 0.5 * max_error),  # worst where it is surest
            np.full(n, max_error * rng.uniform(0.5, 1.5)),
        ][kind]
        is_error = rng.random(n) < error_rate
        drawn = rng.random(n) < rate
        cases = Candidates(scores, drawn, is_error, np.full(n, rate))
        found = certify(cases, max_error=max_error, confidence=0.9, rng=rng)
        if found.threshold is not None:
            n_bad += bool(is_error[scores >= found.threshold].mean() > max_error)
    return n_bad


def test_accepted_sets_are_too_bad_at_most_as_often_as_promised():
    rng = np.random.default_rng(7)
    n_runs = 4000
    n_bad = _simulate(rng, 0.15, n_runs)
    # 10 % allowed; three standard deviations of the simulation on top.
    assert n_bad / n_runs <= 0.1 + 3 * np.sqrt(0.09 / n_runs)


def test_the_guarantee_holds_for_a_fixed_worst_case():
    # Exactly one error more than allowed among fixed candidates: only the draw is random.
    rng = np.random.default_rng(8)
    n, n_runs = 200, 2000
    is_error = np.arange(n) % 6 == 0  # 34 of 200 = 17 % > 15 %
    scores = np.linspace(0, 1, n)
    n_passed = 0
    for _ in range(n_runs):
        cases = candidates(scores, rng.random(n) < 0.4, is_error, probability=0.4)
        found = certify(cases, max_error=0.15, confidence=0.9, rng=rng)
        n_passed += found.threshold is not None
    assert n_passed / n_runs <= 0.1 + 3 * np.sqrt(0.09 / n_runs)


def test_decisions_accept_at_the_threshold_and_hold_below():
    certificate = Certificate(0.8, 0.09, 40, 0, 0.1, 0.95, "0 of 40 were wrong")
    accepted, held = decide(["a", "b"], [0.8, 0.79], certificate, round=3)
    assert (accepted.outcome, held.outcome) == (Outcome.ACCEPT, Outcome.HOLD)
    assert (accepted.stage, accepted.round, accepted.score) == (Stage.REVIEW, 3, 0.8)
    assert "0 of 40 were wrong" in accepted.reason
    assert "0.790 is below the threshold 0.800" in held.reason


def test_without_a_threshold_everything_is_held_with_the_reason():
    certificate = Certificate(None, None, 3, 0, 0.1, 0.95, "only 3 audited answers so far")
    (held,) = decide(["a"], [0.99], certificate, round=1)
    assert held.outcome is Outcome.HOLD
    assert "only 3 audited answers" in held.reason


def test_wrong_input_is_refused():
    with pytest.raises(ConfigError, match="max_error is 0"):
        run(candidates([0.5], [1], [0]), max_error=0.0)
    with pytest.raises(ShapeError, match="audit probability"):
        candidates([0.5], [1], [0], probability=0.0)
    with pytest.raises(ShapeError, match="candidate arrays have lengths"):
        candidates([0.5, 0.6], [1], [0])
    with pytest.raises(ShapeError, match="finite score"):
        candidates([np.nan], [1], [0])
