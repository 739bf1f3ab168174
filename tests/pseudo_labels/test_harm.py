import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pseudo_labels.guard import Rows
from llm_al.pseudo_labels.harm import HarmCheck


def planted(n, label, seed, place=None, spread=0.1, n_classes=4, weight=1.0):
    """Rows of one class near the axis of a place."""
    rng = np.random.default_rng(seed)
    points = np.eye(8)[label if place is None else place] + rng.normal(scale=spread, size=(n, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return Rows(points.astype(np.float32), np.eye(n_classes)[np.full(n, label)], np.full(n, weight))


def joined(*parts):
    return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("embeddings", "targets", "weights")))


HUMAN = joined(*(planted(12, label, label) for label in range(3)))
NONE = planted(0, 0, 0)


def choose(added, human=HUMAN, **settings):
    return HarmCheck(**settings).choose(human, NONE, added, np.random.default_rng(0), name="texts")


def test_rows_of_a_class_of_its_own_stay_with_the_full_factor():
    factor, reason = choose(planted(5, 3, 9))
    assert factor == 1.0
    assert "texts stay with a factor of 1" in reason


def test_rows_that_lie_on_the_place_of_another_class_stay_out():
    factor, reason = choose(planted(300, 3, 9, place=0))
    assert factor == 0.0
    assert "texts stay out: accuracy on people's labels changes by -" in reason


def test_a_smaller_factor_is_tried_before_rows_stay_out():
    factor, _ = choose(planted(30, 3, 9, place=0), factors=(1.0, 0.001))
    assert factor == 0.001


def test_too_few_labels_of_people_leave_them_out_and_no_rows_say_nothing():
    factor, reason = choose(planted(5, 3, 9), human=planted(12, 0, 0))
    assert factor == 0.0
    assert "12 labels of people are too few (at least 20)" in reason
    assert choose(NONE) == (0.0, "")


def test_rows_that_bring_back_a_class_that_the_fold_lacks_are_seen_as_a_gain():
    human = joined(HUMAN, planted(1, 3, 5))
    factor, reason = choose(planted(5, 3, 9), human=human)
    assert factor == 1.0
    assert "changes by +0.027" in reason


def test_same_seed_gives_the_same_verdict():
    assert choose(planted(40, 3, 9, place=0)) == choose(planted(40, 3, 9, place=0))


@pytest.mark.parametrize(("settings", "message"), [({"n_folds": 1}, "n_folds is 1"), ({"factors": ()}, "factors is")])
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        HarmCheck(**settings)
