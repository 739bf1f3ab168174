import numpy as np
import pytest
import torch

from llm_al.students._material import Material, Part, bounded, class_balanced, excess, mixed, rows_of, smoothed
from llm_al.types import TrainingSet


def test_smoothing_spreads_a_share_over_all_classes() -> None:
    assert smoothed(np.array([[1.0, 0.0, 0.0, 0.0]]), 0.2).tolist() == [[0.8 + 0.05, 0.05, 0.05, 0.05]]
    targets = np.eye(2)
    assert smoothed(targets, 0.0) is targets


def test_full_balance_gives_each_class_with_examples_the_same_weight() -> None:
    targets = np.eye(3)[[0, 0, 0, 1]]
    weights = class_balanced(targets, np.ones(4), 1.0)
    assert weights @ targets == pytest.approx([2.0, 2.0, 0.0])


def test_tempered_balance_lies_in_between_and_one_class_changes_nothing() -> None:
    targets = np.eye(2)[[0, 0, 0, 1]]
    half = class_balanced(targets, np.ones(4), 0.5)
    assert half[3] / half[0] == pytest.approx(3**0.5)
    assert class_balanced(np.eye(2)[[0, 0]], np.array([1.0, 3.0]), 1.0) == pytest.approx([1.0, 3.0])


def test_weights_are_scaled_to_mean_one() -> None:
    material = Material([[1], [2]], np.eye(2), np.array([1.0, 3.0])).prepared(label_smoothing=0.0, class_weight=0.0)
    assert material.weights.tolist() == [0.5, 1.5]


def test_the_excess_loss_of_a_perfect_fit_to_soft_targets_is_zero() -> None:
    targets = torch.tensor([[0.7, 0.3], [1.0, 0.0]])
    losses, above = excess(targets, torch.log(targets.clamp(min=1e-30)))
    assert above.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert losses[0].item() == pytest.approx(-(0.7 * np.log(0.7) + 0.3 * np.log(0.3)))


def test_mixed_rows_stay_unit_vectors_with_targets_that_sum_to_one() -> None:
    features = torch.eye(4)
    part = Part(torch.zeros(4, 1), None, torch.eye(4), torch.tensor([1.0, 1.0, 1.0, 5.0]))
    blend, targets, weights = mixed(features, part, 0.4, np.random.default_rng(0))
    assert blend.norm(dim=1).tolist() == pytest.approx([1.0] * 4)
    assert targets.sum(1).tolist() == pytest.approx([1.0] * 4)
    # The larger share stays with the row itself, in features and in targets alike.
    assert targets.argmax(1).tolist() == [0, 1, 2, 3]
    assert torch.equal(blend.argmax(1), targets.argmax(1))
    assert 1.0 <= weights.min() <= weights.max() <= 5.0


def test_a_part_has_a_mask_only_where_rows_are_padded() -> None:
    material = Material([[1, 2], [3, 4], [5]], np.eye(2)[[0, 1, 0]], np.ones(3), pad_id=9)
    cpu = torch.device("cpu")
    assert material.take(np.array([0, 1]), cpu).mask is None
    part = material.take(np.array([1, 2]), cpu)
    assert part.tokens.tolist() == [[3, 4], [5, 9]]
    assert part.mask is not None
    assert part.mask.tolist() == [[1, 1], [1, 0]]


def test_rows_of_a_training_set_keep_all_that_belongs_to_them() -> None:
    whole = TrainingSet(
        ["a", "b", "c"],
        np.eye(3),
        np.array([1.0, 2.0, 3.0]),
        embeddings=np.eye(3, dtype=np.float32),
        label_embeddings=np.eye(3, dtype=np.float32),
        is_human=np.array([True, False, True]),
        mixup=0.3,
    )
    part = rows_of(whole, np.array([2, 1]))
    assert part.texts == ["c", "b"]
    assert part.weights.tolist() == [3.0, 2.0]
    assert part.is_human is not None
    assert part.is_human.tolist() == [True, False]
    assert part.embeddings is not None
    assert part.embeddings.argmax(axis=1).tolist() == [2, 1]
    assert part.mixup == 0.3
    assert rows_of(TrainingSet(["a"], np.eye(1), np.ones(1)), np.array([0])).is_human is None


def many_others(n_human: int, n_others: int) -> TrainingSet:
    n = n_human + n_others
    return TrainingSet(
        [str(i) for i in range(n)], np.eye(2)[np.arange(n) % 2], np.ones(n), is_human=np.arange(n) < n_human
    )


def test_rows_that_nobody_labelled_are_bounded_and_those_of_people_are_not() -> None:
    kept = bounded(many_others(5, 100), 20, np.random.default_rng(0))
    assert kept.is_human is not None
    assert len(kept) == 25
    assert kept.texts[:5] == ["0", "1", "2", "3", "4"]
    assert kept.is_human.sum() == 5


def test_a_bound_that_is_not_reached_changes_nothing() -> None:
    training = many_others(5, 20)
    assert bounded(training, 20, np.random.default_rng(0)) is training
    plain = TrainingSet(training.texts, training.targets, training.weights)
    assert bounded(plain, 1, np.random.default_rng(0)) is plain
