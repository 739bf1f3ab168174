from dataclasses import replace

import numpy as np

from llm_al.pool import PoolView
from llm_al.pseudo_labels.adaptive import Adaptive
from llm_al.pseudo_labels.propagation import Propagation


def four_clouds(n: int = 400) -> PoolView:
    """Four clouds in forty dimensions, in which a few labels do not place a straight line well."""
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 4
    points = np.eye(40)[truth] + rng.normal(0.0, 0.3, (n, 40))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = np.where(np.arange(n) < 24, truth, -1)
    return PoolView(["text"] * n, points.astype(np.float32), 4, labels, labels < 0)


def test_on_frozen_vectors_it_propagates() -> None:
    view = four_clouds()
    ours = Adaptive().pseudo_label(view, np.random.default_rng(1))
    theirs = Propagation().pseudo_label(view, np.random.default_rng(1))
    assert len(ours[0]) > 0
    for mine, its in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, its)


def test_a_student_with_its_own_encoder_is_left_to_its_labels() -> None:
    view = replace(four_clouds(), is_outgrown=True, proba=np.full((400, 4), 0.25))
    rows, targets, weights = Adaptive().pseudo_label(view, np.random.default_rng(1))
    assert rows.shape == (0,)
    assert targets.shape == (0, 4)
    assert weights.shape == (0,)


def test_texts_to_be_taught_on_are_drawn_earlier_for_a_student_on_frozen_vectors() -> None:
    view, rng = four_clouds(), np.random.default_rng(1)
    drawn = Adaptive(n_unlabelled=100).draw(view, rng)
    assert len(drawn) == 100
    assert (view.labels[drawn] < 0).all()
    outgrown = replace(view, is_outgrown=True, proba=np.full((400, 4), 0.25))
    assert len(Adaptive(n_unlabelled=100).draw(outgrown, rng)) == 0
    assert len(Adaptive(n_unlabelled=100, min_labels=24).draw(outgrown, rng)) == 100
    assert len(Adaptive(n_unlabelled=100, min_labels_per_class=7).draw(view, rng)) == 0
