import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import beta

from llm_al.errors import ShapeError
from llm_al.evaluation.coda import ABSTAINS, Coda, lead_certainty

TINY = np.array([[0, 1, 0, 2, 1, 0], [0, 1, 1, 2, 0, 2], [0, 2, 0, 1, 1, 1]])


def brute_prior(said, c, strength=2.0, consensus=0.1):
    h, n = said.shape
    agreed = [max(range(c), key=lambda k, i=i: ((said[:, i] == k).sum(), -k)) for i in range(n)]
    alpha = np.zeros((h, c, c))
    for j in range(h):
        for t in range(c):
            rows = [i for i in range(n) if agreed[i] == t]
            for s in range(c):
                seen = np.mean([said[j, i] == s for i in rows]) if rows else 0.0
                alpha[j, t, s] = strength * ((1.0 if s == t else 1.0 / (c - 1)) + consensus * seen)
    return alpha


def brute_best(alpha, t):
    h = len(alpha)
    shapes = [(alpha[j, t, t], alpha[j, t].sum() - alpha[j, t, t]) for j in range(h)]

    def density(x, j):
        others = np.prod([beta.cdf(x, *shapes[k]) for k in range(h) if k != j])
        return beta.pdf(x, *shapes[j]) * others

    return np.array([quad(density, 0, 1, args=(j,))[0] for j in range(h)])


def brute_posterior(alpha, said):
    c = alpha.shape[1]
    theta = alpha / alpha.sum(axis=2, keepdims=True)
    p = np.array([[sum(theta[j, t, s] for j, s in enumerate(column)) for t in range(c)] for column in said.T])
    return p / p.sum(axis=1, keepdims=True)


def brute_total(alpha, shares):
    return sum(shares[t] * brute_best(alpha, t) for t in range(alpha.shape[1]))


def entropy(p):
    return -(p * np.log(p)).sum()


def brute_gain(alpha, said, item):
    posterior = brute_posterior(alpha, said)
    shares = posterior.mean(axis=0)
    expected = 0.0
    for t in range(alpha.shape[1]):
        after = alpha.copy()
        for j, s in enumerate(said[:, item]):
            after[j, t, s] += 1.0
        expected += posterior[item, t] * entropy(brute_total(after, shares))
    return entropy(brute_total(alpha, shares)) - expected


def test_probabilities_and_information_equal_a_brute_force_computation():
    coda, alpha = Coda(TINY, 3, update=1.0), brute_prior(TINY, 3)
    for item, label in ((None, None), (2, 1), (5, 0)):
        if item is not None:
            coda.update(item, label)
            for j, s in enumerate(TINY[:, item]):
                alpha[j, label, s] += 1.0
        shares = brute_posterior(alpha, TINY).mean(axis=0)
        np.testing.assert_allclose(coda.p_best, brute_total(alpha, shares), atol=2e-3)
        rows, gain = coda.information()
        expected = [brute_gain(alpha, TINY, row) for row in rows]
        np.testing.assert_allclose(gain, expected, atol=3e-4)
        assert int(rows[gain.argmax()]) == int(rows[np.argmax(expected)])


def test_examples_on_which_all_agree_are_never_asked():
    coda, asked = Coda(TINY, 3), []
    while (item := coda.next_item()) is not None:
        asked.append(item)
        coda.update(item, 0)
    assert sorted(asked) == [1, 2, 3, 4, 5]


def test_a_skipped_example_teaches_nothing_and_is_not_asked_again():
    coda = Coda(TINY, 3)
    before, item = coda.p_best, coda.next_item()
    coda.update(item, None)
    np.testing.assert_array_equal(coda.p_best, before)
    assert coda.next_item() != item


def test_identical_candidates_stay_equally_likely():
    coda = Coda(np.array([[0, 1, 0, 1], [0, 1, 0, 1], [1, 0, 0, 1]]), 2)
    coda.update(0, 0)
    assert coda.p_best[0] == pytest.approx(coda.p_best[1])
    assert coda.p_best.sum() == pytest.approx(1.0)


def test_the_better_candidate_becomes_certain():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=300)
    said = np.array([np.where(rng.random(300) < p, truth, rng.integers(3, size=300)) for p in (0.9, 0.6, 0.4)])
    coda = Coda(said, 3, update=1.0)
    for _ in range(40):
        item = coda.next_item()
        coda.update(item, truth[item])
    assert coda.p_best[0] > 0.95


def test_a_candidate_that_abstains_is_not_right():
    said = np.array([[0, 1, 0, 1, 0], [0, ABSTAINS, ABSTAINS, 1, ABSTAINS], [0, 1, 0, 1, 0]])
    coda = Coda(said, 2, update=1.0)
    for item, label in ((1, 1), (2, 0), (4, 0)):
        coda.update(item, label)
    assert coda.p_best[1] < 0.1


def test_seventy_candidates_are_told_apart():
    rng = np.random.default_rng(1)
    truth = rng.integers(2, size=200)
    said = np.array([np.where(rng.random(200) < 0.5 + j / 160, truth, 1 - truth) for j in range(70)])
    coda = Coda(said, 2, update=1.0)
    for _ in range(20):
        item = coda.next_item(rng)
        coda.update(item, truth[item])
    assert np.isfinite(coda.p_best).all()
    assert coda.p_best.argmax() > 45


def test_ties_go_to_the_first_or_to_chance():
    said = np.array([[0, 0, 0, 0], [1, 1, 1, 1]])
    assert Coda(said, 2).next_item() == 0
    drawn = {Coda(said, 2).next_item(np.random.default_rng(seed)) for seed in range(20)}
    assert drawn == {0, 1, 2, 3}


def test_the_choice_is_that_of_the_better_candidate_with_the_default_update():
    rng = np.random.default_rng(3)
    truth = rng.integers(3, size=300)
    said = np.array([np.where(rng.random(300) < p, truth, rng.integers(3, size=300)) for p in (0.3, 0.5, 0.8)])
    coda = Coda(said, 3)
    for _ in range(30):
        item = coda.next_item()
        coda.update(item, truth[item])
    assert coda.p_best.argmax() == 2


def test_the_certainty_of_a_lead_is_a_sign_test_on_who_alone_was_right():
    right = np.array([[1, 1, 1, 0, 1], [0, 1, 0, 1, 1], [0, 0, 0, 0, 0]], dtype=bool)
    expected = 1 - beta.cdf(0.5, 3, 2) - beta.cdf(0.5, 5, 1)
    assert lead_certainty(right, 0) == pytest.approx(expected)
    assert lead_certainty(right, 2) == 0.0
    assert lead_certainty(np.zeros((2, 0), dtype=bool), 0) == 0.5


def test_a_certain_lead_is_seldom_a_wrong_one():
    rng = np.random.default_rng(4)
    n_sure = 0
    for _ in range(400):
        right = rng.random((3, 60)) < np.array([[0.6], [0.6], [0.6]]) + rng.normal(size=(3, 1)) * 0.01
        leader = int(right.sum(axis=1).argmax())
        n_sure += lead_certainty(right, leader) >= 0.95
    # All three are as good: a sure lead is a mistake, and may not be more frequent than three one-sided tests of 5 %.
    assert n_sure / 400 < 0.15


def test_wrong_predictions_are_refused():
    with pytest.raises(ShapeError, match="expected at least two candidates"):
        Coda(np.zeros((1, 5), dtype=np.int64), 2)
    with pytest.raises(ShapeError, match="run from 0 to 2; allowed is -1 to 1"):
        Coda(np.array([[0, 2], [1, 1]]), 2)
    with pytest.raises(ShapeError, match="true class is 5; allowed is 0 to 1"):
        Coda(np.array([[0, 1], [1, 1]]), 2).update(0, 5)
