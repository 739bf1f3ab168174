import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import softmax

from llm_al.errors import ConfigError, ShapeError
from llm_al.pseudo_labels._agreement import excess_correlation, independent_share
from llm_al.pseudo_labels.noise_matrix import NoiseModel

C = 3
NOISE = np.array([[0.8, 0.1, 0.1], [0.5, 0.4, 0.1], [0.0, 0.1, 0.9]])


def said(truth, noise, rng):
    return np.array([rng.choice(len(noise), p=noise[y]) for y in truth])


def planted(n=1500, n_voters=3, seed=0, known=60, copies=0):
    """Votes by one noise matrix a voter, a student that is right on 70 %, and the first rows known."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(C, size=n)
    columns = [said(truth, NOISE, rng) for _ in range(n_voters)]
    columns += [columns[0]] * copies
    guess = np.where(rng.random(n) < 0.7, truth, rng.integers(C, size=n))
    prior = 0.7 * np.eye(C)[guess] + 0.1
    prior[:known] = np.eye(C)[truth[:known]]
    return np.column_stack(columns).astype(np.int64), prior, np.arange(n) < known, truth


def test_matrices_come_near_to_the_planted_ones():
    votes, prior, is_known, _ = planted()
    fit = NoiseModel().fit(votes, prior, is_known)
    assert fit.matrices.shape == (3, C, C)
    np.testing.assert_allclose(fit.matrices.sum(axis=2), 1.0)
    assert np.abs(fit.matrices - NOISE).max() < 0.12
    np.testing.assert_allclose(fit.accuracies, 0.7, atol=0.05)


def test_the_corrected_rows_are_right_more_often_than_votes_and_student():
    votes, prior, is_known, truth = planted()
    fit = NoiseModel().fit(votes, prior, is_known)

    def accuracy(labels):
        return (labels == truth)[~is_known].mean()

    assert accuracy(fit.posterior.argmax(axis=1)) > max(accuracy(prior.argmax(axis=1)), accuracy(votes[:, 0])) + 0.1


def test_known_rows_keep_their_targets():
    votes, prior, is_known, _ = planted()
    np.testing.assert_array_equal(NoiseModel().fit(votes, prior, is_known).posterior[is_known], prior[is_known])


def test_a_hand_made_matrix_is_counted_with_its_prior():
    # One voter, three known rows of class 0 said 0, 0, 1. Accuracy (2 + .5 * 10) / (3 + 10); habits (2 + 1, 1 + 1) / 5.
    fit = NoiseModel(strength=2.0).fit(np.array([[0], [0], [1]]), np.array([[1.0, 0.0]] * 3), np.ones(3, dtype=bool))
    accuracy = 7.0 / 13.0
    mixture = (1 - accuracy) * np.array([0.6, 0.4]) + accuracy * np.array([1.0, 0.0])
    np.testing.assert_allclose(fit.matrices[0, 0], (2.0 * mixture + np.array([2.0, 1.0])) / 5.0, rtol=1e-3)


def test_a_matrix_does_not_depend_on_the_other_voters():
    votes, prior, is_known, _ = planted()
    alone, together = (NoiseModel().fit(columns, prior, is_known) for columns in (votes[:, :1], votes))
    np.testing.assert_array_equal(alone.matrices[0], together.matrices[0])


def test_less_trust_stays_nearer_to_the_prior():
    votes, prior, is_known, _ = planted()
    full, half = (NoiseModel().fit(votes, prior, is_known, trust=trust).posterior for trust in (1.0, 0.5))
    assert np.abs(half - prior).mean() < 0.8 * np.abs(full - prior).mean()


def test_no_answer_says_nothing():
    votes, prior, is_known, _ = planted(n=80)
    votes[70:] = -1
    np.testing.assert_allclose(NoiseModel().fit(votes, prior, is_known).posterior[70:], prior[70:], rtol=1e-3)


def test_a_voter_that_is_given_twice_counts_about_once():
    once, prior, is_known, _ = planted(n_voters=1)
    twice = np.column_stack([once, once])
    alone, doubled = (NoiseModel().fit(votes, prior, is_known) for votes in (once, twice))
    assert doubled.correlation[0, 1] > 0.95
    np.testing.assert_allclose(doubled.discounts, 0.5, atol=0.02)
    assert np.abs(doubled.posterior - alone.posterior).mean() < 0.02


def test_independent_voters_are_hardly_discounted_and_copies_are():
    votes, prior, is_known, _ = planted(copies=2)
    fit = NoiseModel().fit(votes, prior, is_known)
    assert fit.correlation[1, 2] < 0.3
    assert fit.correlation[0, 3] > 0.95
    assert fit.discounts[0] < 0.45 < fit.discounts[1]


def test_correlation_is_the_share_of_the_way_from_chance_to_full_dependence():
    # Both matrices are .75 / .25: chance .75^2 + .25^2 = .625, at most 1; they agree on 3 of 4: (.75 - .625) / .375.
    votes = np.array([[0, 0], [0, 0], [1, 1], [0, 1]])
    matrices = np.full((2, 2, 2), 0.25) + 0.5 * np.eye(2)
    found = excess_correlation(votes, np.full((4, 2), 0.5), matrices, prior=0.5, strength=4.0)
    np.testing.assert_allclose(found, [[1.0, (4 / 3 + 2) / 8], [(4 / 3 + 2) / 8, 1.0]])


def test_correlated_votes_are_worth_the_effective_number_of_independent_ones():
    correlation = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    worth = independent_share(np.array([[0, 1, 2], [0, -1, -1], [-1, -1, -1]]), correlation)
    np.testing.assert_allclose(worth, [[0.5, 0.5, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])


def test_soft_targets_do_what_forward_correction_does():
    # A linear student on one-hot regions: the minimum of -log(p @ T)[v] against repeated EM steps on soft targets.
    rng = np.random.default_rng(1)
    truth = rng.integers(C, size=3000)
    votes = said(truth, NOISE, rng)
    region = np.where(rng.random(3000) < 0.5, truth, rng.integers(C, size=3000))
    table = np.array([[np.sum((region == r) & (votes == v)) for v in range(C)] for r in range(C)])

    def forward(flat):
        return -(table * np.log(softmax(flat.reshape(C, C), axis=1) @ NOISE)).sum()

    direct = softmax(minimize(forward, np.zeros(C * C), options={"gtol": 1e-8}).x.reshape(C, C), axis=1)
    proba = np.full((C, C), 1 / C)
    for _ in range(2000):
        targets = proba[:, :, None] * NOISE[None]
        targets /= targets.sum(axis=1, keepdims=True)
        proba = (targets * table[:, None, :]).sum(axis=2) / table.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(proba, direct, atol=5e-3)


def test_no_rows_and_no_votes_are_fine():
    empty = NoiseModel().fit(np.zeros((0, 2), dtype=np.int64), np.zeros((0, C)), np.zeros(0, dtype=bool))
    assert empty.posterior.shape == (0, C)
    assert (
        NoiseModel().fit(np.zeros((4, 0), dtype=np.int64), np.full((4, C), 1 / C), np.zeros(4, bool)).matrices.size == 0
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strength": 0.0}, "strength is 0.0; allowed is more than 0"),
        ({"accuracy": 1.0}, "accuracy is 1.0; allowed is between 0 and 1"),
        ({"correlation": 1.5}, "correlation is 1.5; allowed is 0 to 1"),
        ({"discount": 0.0}, "discount is 0.0; allowed is more than 0, to 1, or none"),
        ({"max_steps": 0}, "max_steps is 0; allowed is 1 or more"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        NoiseModel(**settings)


def test_votes_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="give each one row an example"):
        NoiseModel().fit(np.zeros((2, 1), dtype=np.int64), np.full((3, 2), 0.5), np.zeros(3, dtype=bool))
    with pytest.raises(ShapeError, match="a vote is class 5; there are 2 classes"):
        NoiseModel().fit(np.full((1, 1), 5), np.full((1, 2), 0.5), np.zeros(1, dtype=bool))
