from dataclasses import replace

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.students.setfit import SetFit, _paired_rows
from llm_al.types import TrainingSet

LABELS = ("animals", "money")


def _is_tuned(tiny_encoder: str, student: SetFit, training: TrainingSet, labels: tuple[str, ...] = LABELS) -> bool:
    fitted = student.fit(training, labels=labels, seed=0)
    before = SetFit(tiny_encoder, n_iterations=0).fit(training, labels=labels, seed=0)
    assert (fitted.predict_proba(["a cat"]) > 0).all()
    after_vector, before_vector = (f.body.encode(["a cat"]) for f in (fitted, before))
    return not np.array_equal(after_vector, before_vector)


def test_one_example_a_class_has_pairs(tiny_encoder: str, two_topics: TrainingSet) -> None:
    pair = TrainingSet([two_topics.texts[0], two_topics.texts[6]], np.eye(2), np.ones(2))
    assert _is_tuned(tiny_encoder, SetFit(tiny_encoder, n_iterations=20, learning_rate=1e-2), pair)


def test_one_class_has_no_pairs_and_leaves_the_encoder(tiny_encoder: str, two_topics: TrainingSet) -> None:
    only = TrainingSet(two_topics.texts[:3], np.eye(2)[[0, 0, 0]], np.ones(3))
    assert not _is_tuned(tiny_encoder, SetFit(tiny_encoder, n_iterations=20, learning_rate=1e-2), only)


def test_a_class_without_examples_shares_laplaces_probability(tiny_encoder: str, two_topics: TrainingSet) -> None:
    three = replace(two_topics, targets=np.eye(3)[two_topics.targets.argmax(axis=1)])
    fitted = SetFit(tiny_encoder, n_iterations=1).fit(three, labels=(*LABELS, "food"), seed=0)
    assert fitted.predict_proba(["a cat"])[0, 2] == pytest.approx(1 / 15)


def test_weights_reach_the_head(tiny_encoder: str, two_topics: TrainingSet) -> None:
    first_six = np.r_[np.full(6, 1.0), np.full(6, 0.01)]
    light = replace(two_topics, weights=first_six)
    student = SetFit(tiny_encoder, n_iterations=0)
    one, two = (student.fit(t, labels=LABELS, seed=0).predict_proba(["pay the cat"]) for t in (two_topics, light))
    assert two[0, 0] > one[0, 0]


def test_pairs_take_people_first_and_then_the_heaviest() -> None:
    weights = np.array([0.9, 0.1, 0.5, 1.0, 1.0])
    is_human = np.array([False, False, False, True, True])
    training = TrainingSet(list("abcde"), np.eye(2)[[0, 1, 0, 1, 0]], weights, is_human=is_human)
    rng = np.random.default_rng(0)
    assert _paired_rows(training, 3, rng).tolist() == [0, 3, 4]
    assert _paired_rows(training, 4, rng).tolist() == [0, 2, 3, 4]
    assert _paired_rows(training, 5, rng).tolist() == [0, 1, 2, 3, 4]


def test_a_limit_on_pairs_of_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="setfit max_pair_rows is 0; it must be at least 1"):
        SetFit("offline", max_pair_rows=0)
