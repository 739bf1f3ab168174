from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import fit_labelled
from llm_al.pseudo_labels._head import predict_head
from llm_al.pseudo_labels._smoothing import Known, refined, smoothed, walk
from llm_al.pseudo_labels._teachers import HEAD_ALONE, Teachers
from llm_al.pseudo_labels.propagation import Propagation


def view(vectors, gold, n_labeled, proba=None):
    labels = np.where(np.arange(len(gold)) < n_labeled, gold, -1)
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return PoolView(["t"] * len(gold), vectors.astype(np.float32), int(gold.max()) + 1, labels, labels < 0, proba)


def clouds(seed=0, n=400):
    """Four clouds in forty dimensions, in which a few labels do not place a straight line well."""
    rng = np.random.default_rng(seed)
    gold = np.arange(n) % 4
    return np.eye(40)[gold] + rng.normal(0, 0.3, (n, 40)), gold


def choose(pool, seed=0, **fields):
    return Propagation(**fields).pseudo_label(pool, np.random.default_rng(seed))


def accuracy(targets, rows, gold):
    return float((targets.argmax(axis=1) == gold[rows]).mean())


def test_what_the_pool_looks_like_corrects_the_head():
    for seed in range(3):
        vectors, gold = clouds(seed)
        pool = view(vectors, gold, 24)
        rows, targets, weights = choose(pool)
        head = predict_head(fit_labelled(pool), pool.embeddings[rows])
        assert len(rows) > 350
        assert accuracy(targets, rows, gold) > accuracy(head, rows, gold) + 0.03
        assert weights.min() > 0
        assert weights.max() <= 1


def test_where_near_rows_are_of_any_label_nothing_is_smoothed():
    rng = np.random.default_rng(0)
    gold, cluster = rng.integers(2, size=400), rng.integers(10, size=400)
    # Ten groups of rows in ten dimensions; the label is in an eleventh, in which noise within a group is as large.
    vectors = np.column_stack([np.eye(10)[cluster] + rng.normal(0, 0.4, (400, 10)), (gold - 0.5) * 0.9])
    pool = view(vectors, gold, 80)
    one_hot = np.eye(2, dtype=np.float32)[gold[:80]]
    steps = walk(pool.embeddings, 15, 3.0)
    best = Teachers(pool.embeddings, one_hot, steps, (0.5, 0.8), 15.0).best(5, np.random.default_rng(0), min_gain_se=1)
    assert best.way.alpha == 0


def test_the_student_has_a_vote_but_gives_no_label():
    vectors, gold = clouds()
    wrong = np.arange(400) % 5 == 0
    said = np.where(wrong, (gold + 1) % 4, gold)
    proba = np.eye(4)[said] * 0.6 + 0.1
    pool = view(vectors, gold, 24, proba)
    rows, targets, _ = choose(pool)
    alone, soft, _ = choose(pool, agreement=False)
    without, same, _ = choose(view(vectors, gold, 24))
    np.testing.assert_array_equal(alone, without)
    np.testing.assert_allclose(soft, same)
    # Mistakes that are not made twice fall away.
    np.testing.assert_array_equal(rows, alone[soft.argmax(axis=1) == said[alone]])
    assert accuracy(targets, rows, gold) > accuracy(soft, alone, gold)


def test_two_shapes_of_the_pool_teach_more_than_either():
    shares = []
    for seed in range(3):
        (one, gold), (other, _) = clouds(seed), clouds(seed + 10)
        first, second = view(one, gold, 24), view(other, gold, 24)
        both = replace(first, beside=second.embeddings)
        found = [(targets, rows) for rows, targets, _ in map(choose, (first, second, both))]
        shares.append([accuracy(*each, gold) for each in found])
    single, other, together = np.mean(shares, axis=0)
    assert together > max(single, other) + 0.005


def test_a_shape_the_head_is_clearly_better_is_not_heard():
    vectors, gold = clouds()
    pool = view(vectors, gold, 60)
    noise = view(np.random.default_rng(1).normal(size=vectors.shape), gold, 60)
    alone = choose(pool)
    assert len(alone[0]) > 300
    for found, expected in zip(choose(replace(pool, beside=noise.embeddings)), alone, strict=True):
        np.testing.assert_array_equal(found, expected)
    # The folds are dealt in turn, so that the second shape sees others.
    rows, targets, _ = choose(replace(noise, beside=pool.embeddings), seed=1)
    assert accuracy(targets, rows, gold) > 0.95


def test_too_few_labels_or_one_class_teach_nothing():
    vectors, gold = clouds()
    assert not len(choose(view(vectors, gold, 4), min_labels_per_class=0)[0])
    # Seven labels of four classes.
    assert not len(choose(view(vectors, gold, 7), min_gain_se=0)[0])
    assert not len(choose(view(vectors[::2], gold[::2] * 0 + (np.arange(200) == 199), 40))[0])


def test_a_sub_pool_gives_positions_of_the_pool():
    vectors, gold = clouds()
    rows, targets, _ = choose(view(vectors, gold, 24), n_sample=120, min_gain_se=0)
    assert 0 < len(rows) <= 120
    assert rows.max() > 150
    assert accuracy(targets, rows, gold) > 0.85


def test_a_walk_steps_to_near_rows_and_a_lonely_one_stays():
    # 0 and 1 are near, 2 is at a right angle to both.
    points = np.array([[1, 0], [0.8, 0.6], [0, -1]], dtype=np.float32)
    steps = walk(points, 1, 3.0).toarray()
    np.testing.assert_allclose(steps, [[0, 1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-6)
    # cos = .8 and .6 to the third: .512 and .216.
    points = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
    np.testing.assert_allclose(walk(points, 1, 3.0).toarray()[1], [0.512 / 0.728, 0, 0.216 / 0.728], atol=1e-6)


def test_smoothing_reaches_the_fixed_point_and_keeps_known_labels():
    steps = sparse.csr_array(np.array([[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]], dtype=np.float32))
    proba = np.array([[0.5, 0.5], [0.5, 0.5], [0.2, 0.8]], dtype=np.float32)
    known = Known(np.array([0]), np.array([[1, 0]], dtype=np.float32))
    found = smoothed(steps, proba, known, 0.5)
    # f1 = .5 (.5 * 1 + .5 f2) + .5 * .5 and f2 = .5 f1 + .5 * .2, so f1 = .525 / .875.
    np.testing.assert_allclose(found[:, 0], [1, 0.6, 0.4], atol=2e-3)
    np.testing.assert_allclose(smoothed(steps, proba, known, 0.0)[1:], proba[1:])


def test_refined_prototypes_move_to_the_rows_around_them():
    rng = np.random.default_rng(0)
    gold = np.arange(60) % 2
    vectors = np.eye(2)[gold] + rng.normal(0, 0.05, (60, 2))
    points = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    known = Known(np.array([0, 1]), np.eye(2, dtype=np.float32))
    found = refined(points, np.full((60, 2), 0.5, dtype=np.float32), known, 15.0)
    np.testing.assert_array_equal(found.argmax(axis=1), gold)
    assert found[2:].max(axis=1).min() > 0.99
    np.testing.assert_array_equal(found[:2], np.eye(2))


def test_a_gain_that_is_not_enough_leaves_the_head():
    # One row a class, all rows of a class alike: the head has no mistake to be corrected.
    points = np.eye(3, dtype=np.float32)[np.arange(60) % 3]
    one_hot = np.eye(3, dtype=np.float32)[np.arange(30) % 3]
    teachers = Teachers(points, one_hot, walk(points, 5, 3.0), (0.5,), 15.0)
    assert teachers.best(5, np.random.default_rng(0), min_gain_se=1e6).way == HEAD_ALONE
    assert teachers.best(5, np.random.default_rng(0), min_gain_se=-1e6).way != HEAD_ALONE


def test_a_student_that_was_taught_keeps_its_teacher_until_the_head_is_clearly_better():
    vectors, gold = clouds()
    pool = view(vectors, gold, 24)
    taught = replace(pool, is_self_trained=True)
    assert not len(choose(pool, min_gain_se=1e6)[0])
    kept = choose(taught, min_gain_se=1e6)
    assert len(kept[0]) > 350
    for found, expected in zip(kept, choose(pool), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match=r"alphas is \(1\.0,\); each must be more than 0 and less than 1"):
        Propagation(alphas=[1.0])
    with pytest.raises(ConfigError, match="temperature is 0; allowed is more than 0"):
        Propagation(temperature=0)
    with pytest.raises(ConfigError, match="n_folds is 1; allowed is 2 or more"):
        Propagation(n_folds=1)


def test_labels_that_are_not_to_be_known_teach_nothing():
    vectors, gold = clouds()
    pool = view(vectors, gold, 40)
    chosen = Propagation(agreement=False).choose(pool, np.random.default_rng(0))
    assert chosen.without is not None
    assert np.allclose(chosen.without(np.zeros(0, dtype=np.intp)), chosen.targets)
    # Whoever does not know the labels of a class cannot hand it on.
    of_class = np.flatnonzero(gold[:40] == 3)
    told = chosen.without(of_class)
    assert told.shape == chosen.targets.shape
    assert (told.argmax(axis=1) == 3).mean() < 0.02 < (chosen.targets.argmax(axis=1) == 3).mean()


def test_what_is_kept_of_a_choice_is_kept_without_labels_too():
    vectors, gold = clouds()
    chosen = Propagation().choose(view(vectors, gold, 40), np.random.default_rng(0))
    kept = np.array([5, 2, 9])
    few = chosen.at(kept)
    assert few.positions.tolist() == chosen.positions[kept].tolist()
    assert few.without is not None
    assert chosen.without is not None
    unknown = np.arange(7)
    assert np.allclose(few.without(unknown), chosen.without(unknown)[kept])
