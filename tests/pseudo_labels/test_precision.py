import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.precision import PrecisionEstimate, measured


def planted(n=1500, n_labeled=60, spread=0.6, seed=0):
    """Three overlapping clouds in 12 dimensions; the student is a softmax of the distances to their true centres."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(3, size=n)
    vectors = np.eye(12)[gold] * 1.5 + rng.normal(0, spread, (n, 12))
    logits = vectors[:, :3] * 1.5 / spread**2
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    proba = odds / odds.sum(axis=1, keepdims=True)
    # People are asked about the rows that the student is least sure of.
    labels = np.full(n, -1)
    hard = rng.choice(np.argsort(proba.max(axis=1))[: n // 2], n_labeled, replace=False)
    labels[hard] = gold[hard]
    return PoolView(["t"] * n, vectors.astype(np.float32), 3, labels, labels < 0, proba), gold


def estimate(view, rows, targets=None, seed=0, **fields):
    targets = np.eye(view.n_classes)[view.proba[rows].argmax(axis=1)] if targets is None else targets
    return PrecisionEstimate(**fields).of(view, rows, targets, np.random.default_rng(seed))


def test_the_estimate_is_near_the_truth_although_people_were_asked_about_hard_rows():
    errors, covered = [], 0
    for seed in range(8):
        view, gold = planted(seed=seed)
        rows = np.flatnonzero((view.proba.max(axis=1) > 0.6) & ~view.is_labeled)
        truth = float((view.proba[rows].argmax(axis=1) == gold[rows]).mean())
        found = estimate(view, rows)
        errors.append(found.estimate - truth)
        covered += found.low <= truth <= found.high
        # Counting how often the head is right on people's rows says far less.
        assert found.n_right / found.n_checked < truth - 0.1
    assert np.abs(errors).mean() < 0.06
    assert covered >= 7


def test_wrong_labels_are_noticed_by_the_head():
    view, gold = planted()
    rows = np.flatnonzero(~view.is_labeled)[:300]
    right = estimate(view, rows, np.eye(3)[gold[rows]], n_prior=0)
    wrong = estimate(view, rows, np.eye(3)[(gold[rows] + 1) % 3], n_prior=0)
    assert right.estimate > 0.7
    assert wrong.estimate < 0.25


def test_the_students_own_confidence_counts_when_labels_are_few():
    view, _ = planted(n_labeled=10)
    rows = np.flatnonzero(~view.is_labeled)
    own = float(view.proba[rows].max(axis=1).mean())
    trusting, checking = estimate(view, rows, n_prior=1e9), estimate(view, rows, n_prior=0)
    assert trusting.estimate == pytest.approx(own, abs=1e-3)
    between = estimate(view, rows, n_prior=10).estimate
    assert min(own, checking.estimate) < between < max(own, checking.estimate)


def test_without_a_comparison_the_confidence_stands_and_nothing_is_claimed():
    view, _ = planted(n_labeled=3)
    rows = np.array([int(np.flatnonzero(~view.is_labeled)[0])])
    found = estimate(view, rows)
    assert (found.low, found.high, found.n_checked, found.n_right) == (0.0, 1.0, 0, 0)
    assert found.estimate == pytest.approx(view.proba[rows].max())


def test_no_pseudo_labels_have_no_precision():
    view, _ = planted()
    assert estimate(view, np.zeros(0, dtype=np.intp)).estimate is None


def test_one_seed_gives_one_estimate():
    view, _ = planted()
    rows = np.flatnonzero(~view.is_labeled)[:50]
    assert estimate(view, rows) == estimate(view, rows)


def test_later_answers_measure_earlier_labels():
    # Wilson's interval for 8 of 10.
    given = np.array([0] * 10 + [1, -1])
    answered = np.array([0] * 8 + [1, 1, -1, 1])
    found = measured(given, answered)
    assert (found.estimate, found.n_checked, found.n_right) == (0.8, 10, 8)
    assert (found.low, found.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert measured(given[-2:], answered[-2:]).estimate is None
    with pytest.raises(ShapeError, match="2 pseudo-labels and 1 answers"):
        measured(given[:2], answered[:1])


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="n_folds is 1; allowed is 2 or more"):
        PrecisionEstimate(n_folds=1)
    with pytest.raises(ConfigError, match="prior_sd is 0; allowed is more than 0"):
        PrecisionEstimate(prior_sd=0)
