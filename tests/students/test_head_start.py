import numpy as np
import pytest
import torch
from scipy.special import softmax

from llm_al.students._head_start import map_head, set_head
from llm_al.students._network import Network

UNIT = np.eye(3)


def test_the_fitted_head_tells_its_examples_apart() -> None:
    coef, intercept = map_head(8 * UNIT, np.eye(3), np.ones(3), np.zeros((3, 3)))
    proba = softmax(8 * UNIT @ coef.T + intercept, axis=1)
    assert (proba.argmax(axis=1) == [0, 1, 2]).all()
    assert proba.diagonal().min() > 0.9


def test_soft_targets_are_met() -> None:
    targets = np.array([[0.7, 0.3]])
    coef, intercept = map_head(8 * np.ones((1, 1)), targets, 1e4 * np.ones(1), np.zeros((2, 1)))
    assert softmax(8 * coef[:, 0] + intercept) == pytest.approx(targets[0], abs=1e-3)


def test_without_examples_the_head_stays_at_its_prior() -> None:
    prior = np.arange(6.0).reshape(2, 3)
    coef, intercept = map_head(np.zeros((0, 3)), np.zeros((0, 2)), np.zeros(0), prior)
    assert np.array_equal(coef, prior)
    assert np.array_equal(intercept, np.zeros(2))


def test_a_class_without_examples_begins_at_its_description() -> None:
    network = Network(torch.nn.Identity(), 3, 3, scale=8.0)
    described = UNIT.astype(np.float32)
    set_head(network, UNIT[:2], np.eye(3)[:2], np.ones(2), described)
    logits = network.head(8 * torch.eye(3))
    assert logits.argmax(1).tolist() == [0, 1, 2]


def test_descriptions_by_another_encoder_are_left_out() -> None:
    network = Network(torch.nn.Identity(), 3, 2, scale=8.0)
    set_head(network, UNIT[:2], np.eye(2), np.ones(2), np.ones((2, 5), dtype=np.float32))
    assert network.head(8 * torch.eye(3))[:2].argmax(1).tolist() == [0, 1]
