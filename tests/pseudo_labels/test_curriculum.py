import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.curriculum import Curriculum


def clusters(n=40, wrong=()):
    """Two tight clusters; the student is right, except about `wrong` rows, of which it is least sure."""
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 2
    vectors = np.eye(4)[classes] + rng.normal(0, 0.05, (n, 4))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sure = rng.uniform(0.7, 0.95, n)
    said = classes.copy()
    sure[list(wrong)], said[list(wrong)] = 0.55, 1 - classes[list(wrong)]
    proba = np.where(np.eye(2)[said] > 0, sure[:, None], 1 - sure[:, None])
    labels = np.where(np.arange(n) < 4, classes, -1)
    return PoolView(["t"] * n, vectors.astype(np.float32), 2, labels, labels < 0, proba), classes


def choose(pool, seed=0, **fields):
    return Curriculum(**fields).pseudo_label(pool, np.random.default_rng(seed))


def test_the_last_cycle_labels_the_whole_pool():
    pool, classes = clusters()
    rows, targets, weights = choose(pool)
    assert rows.tolist() == list(range(4, 40))
    np.testing.assert_array_equal(targets.argmax(axis=1), classes[rows])
    assert set(weights) == {1.0}


def test_later_cycles_correct_what_the_student_had_wrong():
    pool, classes = clusters(wrong=[10, 25])
    rows, targets, _ = choose(pool)
    np.testing.assert_array_equal(targets.argmax(axis=1), classes[rows])
    # A single cycle takes the student's word.
    rows, targets, _ = choose(pool, step=1.0)
    assert np.flatnonzero(targets.argmax(axis=1) != classes[rows]).tolist() == [6, 21]


def test_a_single_cycle_takes_the_surest_share():
    pool, _ = clusters()
    rows, _, _ = choose(pool, step=0.25, max_share=0.25)
    best = np.argsort(-pool.proba[4:].max(axis=1))[:9] + 4
    np.testing.assert_array_equal(rows, np.sort(best))


@pytest.mark.parametrize(
    ("step", "max_share", "shares"),
    [(0.2, 1.0, [0.2, 0.4, 0.6, 0.8, 1.0]), (0.3, 0.5, [0.3, 0.5]), (1.0, 0.4, [0.4]), (0.1, 0.3, [0.1, 0.2, 0.3])],
)
def test_shares_grow_by_the_step_up_to_the_largest(step, max_share, shares):
    np.testing.assert_allclose(Curriculum(step, max_share)._shares(), shares)


def test_a_sub_pool_gives_positions_of_the_pool():
    pool, classes = clusters(200)
    rows, targets, _ = choose(pool, n_sample=30)
    assert len(rows) == 30
    np.testing.assert_array_equal(targets.argmax(axis=1), classes[rows])


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="step is 0; allowed is more than 0 and at most 1"):
        Curriculum(step=0)
    with pytest.raises(ConfigError, match=r"max_share is 1\.5; allowed"):
        Curriculum(max_share=1.5)
