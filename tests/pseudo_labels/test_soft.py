import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.soft import Soft, sharpened

PROBA = np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [1.0, 0.0], [0.2, 0.8]])


def view(proba=PROBA, labels=(0, -1, -1, -1, -1)):
    labels = np.array(labels)
    return PoolView(["t"] * 5, np.tile(np.float32([1, 0]), (5, 1)), 2, labels, labels < 0, proba)


def choose(pool, **fields):
    return Soft(**fields).pseudo_label(pool, np.random.default_rng(0))


def test_targets_are_sharpened_and_weights_say_how_sure_the_student_is():
    rows, targets, weights = choose(view())
    # Row 2 says nothing at all.
    assert rows.tolist() == [1, 3, 4]
    # .36 : .16, 1 : 0 and .04 : .64.
    np.testing.assert_allclose(targets, [[9 / 13, 4 / 13], [1, 0], [1 / 17, 16 / 17]])
    # 1 - H / log 2.
    np.testing.assert_allclose(weights, [0.02905, 1.0, 0.27807], atol=1e-5)
    np.testing.assert_allclose(choose(view(), weight=0.5)[2], weights / 2)


def test_a_temperature_of_one_leaves_the_distribution():
    np.testing.assert_allclose(choose(view(), temperature=1.0)[1], PROBA[[1, 3, 4]])


def test_a_tiny_temperature_makes_hard_labels_without_overflow():
    np.testing.assert_allclose(sharpened(PROBA[[1, 4]], 1e-4), [[1, 0], [0, 1]])


def test_doubtful_rows_can_be_left_out():
    assert choose(view(), min_confidence=0.7)[0].tolist() == [3, 4]


def test_it_asks_for_mixing():
    assert Soft().mixup == 0.4
    assert Soft(mixup=0).mixup == 0


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match="temperature is 0; allowed is more than 0"):
        Soft(temperature=0)
    with pytest.raises(ConfigError, match="weight is -1; allowed is more than 0"):
        Soft(weight=-1)
    with pytest.raises(ConfigError, match="mixup is -1; allowed is 0 or more"):
        Soft(mixup=-1)
