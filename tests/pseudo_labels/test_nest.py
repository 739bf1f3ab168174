import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.nest import Nest


def view(proba, vectors, labels):
    vectors, labels = np.asarray(vectors, dtype=np.float32), np.asarray(labels)
    return PoolView(["t"] * len(labels), vectors, 2, labels, labels < 0, np.asarray(proba, dtype=np.float64))


def choose(pool, **fields):
    return Nest(**fields).pseudo_label(pool, np.random.default_rng(0))


EAST, NORTH = [1.0, 0.0], [0.0, 1.0]
A, B = [0.96, 0.04], [0.04, 0.96]


def crowd(n_near, n_far):
    """One labelled row, `n_near` predicted just as it is, `n_far` predicted less surely."""
    n = 1 + n_near + n_far
    proba = [A] * (1 + n_near) + [[0.91, 0.09]] * n_far
    return view(proba, [EAST] * n, [0] + [-1] * (n - 1))


def test_what_diverges_less_is_drawn_sooner_but_not_alone():
    pool, doubtful = crowd(50, 50), [[0.6, 0.4], EAST, -1]
    pool = view([*pool.proba, doubtful[0]], [*pool.embeddings, doubtful[1]], [*pool.labels, doubtful[2]])
    drawn = [
        Nest(n_neighbours=1, n_per_label=20).pseudo_label(pool, np.random.default_rng(seed))[0] for seed in range(20)
    ]
    assert {len(rows) for rows in drawn} == {20}
    shares = [np.mean(rows > 50) for rows in drawn]
    # The doubtful row has the greatest divergence, .64; the others have .00 and .02: about as many of either.
    assert 0.3 < np.mean(shares) < 0.5
    assert len(set(map(tuple, drawn))) == 20
    assert all(rows.tolist() == sorted(set(rows.tolist())) for rows in drawn)


def test_rows_predicted_unlike_their_labelled_neighbour_come_last():
    pool = view([A, B, A, B, B, A], [EAST, NORTH, EAST, NORTH, EAST, NORTH], [0, 1, -1, -1, -1, -1])
    rows, targets, weights = choose(pool, n_neighbours=1, n_per_label=1)
    assert rows.tolist() == [2, 3]
    assert targets.argmax(axis=1).tolist() == [0, 1]
    assert weights.tolist() == [1, 1]
    # Ten a label leave all in.
    assert choose(pool, n_neighbours=1)[0].tolist() == [2, 3, 4, 5]


def test_the_doubtful_take_no_places():
    doubt = [0.7, 0.3]
    pool = view([doubt, B, doubt, doubt, A], [EAST, NORTH, EAST, EAST, EAST], [0, 1, -1, -1, -1])
    assert choose(pool, n_neighbours=1, n_per_label=1)[0].tolist() == [4]
    assert choose(pool, n_neighbours=1, min_confidence=0.99)[0].tolist() == []


def test_rows_that_all_diverge_alike_are_drawn_too():
    rows = choose(crowd(30, 0), n_neighbours=1)[0]
    assert len(rows) == len(set(rows.tolist())) == 10


def test_divergence_matches_a_calculation_by_hand():
    own, others = np.array([[0.8, 0.2]]), np.array([[[0.5, 0.5], [0.9, 0.1], [0.6, 0.4]]])

    def kl(p, q):
        return sum(a * np.log(a / b) for a, b in zip(p, q, strict=True))

    first = np.mean([kl(own[0], q) for q in others[0]])
    pairs = np.mean([kl(others[0][i], others[0][j]) for i in range(3) for j in range(3) if i != j])
    np.testing.assert_allclose(Nest(beta=0.1)._divergence(own, others), [first + 0.1 * pairs])
    # A single neighbour has nobody to disagree with.
    np.testing.assert_allclose(Nest()._divergence(own, others[:, :1]), [kl(own[0], others[0][0])])


def test_disagreement_among_the_neighbours_counts():
    proba = [A, A, A, B, A, A]
    vectors = [EAST, EAST, NORTH, NORTH, EAST, NORTH]
    pool = view(proba, vectors, [0, 0, 0, 1, -1, -1])
    assert choose(pool, n_neighbours=2, n_per_label=1, min_confidence=0.5)[0].tolist() == [4, 5]
    near = Nest(n_neighbours=2)._divergences(pool, np.array([4, 5]), np.arange(4))
    assert near[0] < near[1]


def test_a_sub_pool_gives_positions_of_the_pool():
    rng = np.random.default_rng(0)
    classes = rng.integers(2, size=200)
    labels = np.where(np.arange(200) < 10, classes, -1)
    pool = view(np.where(classes[:, None] == 0, A, B), np.eye(2)[classes], labels)
    rows, targets, _ = choose(pool, n_sample=40)
    assert 0 < len(rows) <= 40
    np.testing.assert_array_equal(targets.argmax(axis=1), classes[rows])


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="n_neighbours is 0; allowed is 1 or more"):
        Nest(n_neighbours=0)
    with pytest.raises(ConfigError, match=r"beta is -0\.1; allowed is 0 or more"):
        Nest(beta=-0.1)
