from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from llm_al.errors import StudentError
from llm_al.students._material import Material
from llm_al.students._network import Network
from llm_al.students._prediction import predict_logits
from llm_al.students.training import Recipe, fine_tune, seeded


class _Output:
    def __init__(self, last_hidden_state: Tensor) -> None:
        self.last_hidden_state = last_hidden_state


class _Table(nn.Module):
    """An encoder that looks vectors up; it explodes above a learning rate when told to."""

    def __init__(self, explode_above: float = float("inf")) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.vectors = nn.Embedding(20, 4)
        self.explode_above = explode_above
        self.n_calls = 0

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> _Output:
        self.n_calls += 1
        states = self.vectors(input_ids)
        return _Output(states * (float("nan") if self.n_calls <= self.explode_above and self.training else 1.0))


def _fit(network: Network, **settings: float) -> Network:
    ids = [[1, 2], [3, 4, 5], [6], [7, 8]]
    targets = np.eye(2)[[0, 0, 1, 1]]
    recipe = Recipe(encoder_lr=0.05, head_lr=0.05, **settings)  # type: ignore[arg-type]
    return fine_tune(network, Material(ids, targets, np.ones(4)), recipe=recipe, seed=3)


def _network(explode: float = 0) -> Network:
    with torch.random.fork_rng():
        return Network(_Table(explode), 4, 2, scale=8.0)


def test_training_learns_its_examples() -> None:
    network = _fit(_network(), epochs=30)
    logits = predict_logits(network, [[1, 2], [3, 4, 5], [6], [7, 8]], pad_id=0, max_batch_tokens=4)
    assert logits.argmax(axis=1).tolist() == [0, 0, 1, 1]


def test_same_seed_same_weights_and_the_callers_random_state_is_kept() -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    one, two = _fit(_network()), _fit(_network())
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.head.weight, two.head.weight)


def test_seeded_blocks_repeat() -> None:
    with seeded(5, torch.device("cpu")):
        first = torch.rand(2)
    with seeded(5, torch.device("cpu")):
        assert torch.equal(torch.rand(2), first)


def test_a_loss_that_is_not_finite_restarts_at_half_the_rate(caplog: pytest.LogCaptureFixture) -> None:
    network = _fit(_network(explode=1))
    assert torch.isfinite(network.head.weight).all()
    assert "halved" in caplog.text


def test_training_that_always_diverges_is_a_clear_error() -> None:
    with pytest.raises(StudentError, match=r"diverged 3 times.*0\.0125; lower encoder_lr"):
        _fit(_network(explode=float("inf")))


def test_heavier_examples_pull_harder() -> None:
    targets = np.array([[1.0, 0.0], [0.0, 1.0]])

    def proba_of_first(weight: float) -> float:
        network = fine_tune(
            _network(),
            Material([[1], [1]], targets, np.array([weight, 1.0])),
            recipe=Recipe(epochs=40, head_lr=0.05),
            seed=0,
        )
        logits = predict_logits(network, [[1]], pad_id=0, max_batch_tokens=8)
        return float(torch.softmax(torch.as_tensor(logits), 1)[0, 0])

    assert proba_of_first(1.0) == pytest.approx(0.5, abs=0.05)
    assert proba_of_first(9.0) > 0.8


def test_padding_does_not_change_logits() -> None:
    network = _network().eval()
    nn.init.normal_(network.head.weight)
    alone = predict_logits(network, [[1, 2]], pad_id=0, max_batch_tokens=100)
    padded = predict_logits(network, [[1, 2], [3, 4, 5, 6, 7]], pad_id=0, max_batch_tokens=100)
    assert padded[0] == pytest.approx(alone[0], abs=1e-6)


@pytest.mark.parametrize(
    ("recipe", "n", "steps"),
    [
        (Recipe(epochs=15, batch_size=16), 30, 30),
        (Recipe(epochs=15, batch_size=16), 130, 135),
        (Recipe(epochs=15, batch_size=16, min_steps=60), 30, 60),
        (Recipe(epochs=15, batch_size=16, max_steps=100), 130, 100),
    ],
)
def test_steps_are_epochs_times_batches_within_the_bounds(recipe: Recipe, n: int, steps: int) -> None:
    assert recipe.n_steps(n) == steps


def test_rate_rises_over_the_warmup_and_falls_to_nearly_zero() -> None:
    recipe = Recipe(warmup=0.1)
    rates = [recipe.rate(step, 20) for step in range(20)]
    assert rates[0] == 0.5
    assert rates[1] == 1.0
    assert rates[2] == 1.0
    assert rates[-1] == pytest.approx(1 / 18)
    assert all(a >= b for a, b in pairwise(rates[1:]))


def _counted(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> int:
    """Return how many steps a fit took."""
    taken = []
    step = torch.optim.AdamW.step
    monkeypatch.setattr(torch.optim.AdamW, "step", lambda self, *a, **k: (taken.append(1), step(self, *a, **k))[1])
    _fit(_network(), **settings)
    return len(taken)


def test_training_ends_after_an_epoch_of_little_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _counted(monkeypatch, epochs=40, batch_size=2) == 80
    monkeypatch.undo()
    n_steps = _counted(monkeypatch, epochs=40, batch_size=2, stop_loss=0.1)
    assert n_steps < 40
    assert n_steps % 2 == 0


def test_training_ends_when_the_loss_no_longer_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    # Learning rates this low change nothing, so every epoch after the first one is flat.
    monkeypatch.setattr(Recipe, "rate", lambda *_: 1e-9)
    assert _counted(monkeypatch, epochs=40, batch_size=4, patience=3) == 4


def test_label_smoothing_keeps_probabilities_off_the_edge() -> None:
    def surest(smoothing: float) -> float:
        network = _fit(_network(), epochs=60, label_smoothing=smoothing)
        logits = predict_logits(network, [[1, 2], [6]], pad_id=0, max_batch_tokens=8)
        return float(torch.softmax(torch.as_tensor(logits), 1).max())

    assert surest(0.2) == pytest.approx(0.9, abs=0.03)
    assert surest(0.0) > 0.95


def test_full_class_weights_make_up_for_a_rare_class() -> None:
    def proba_of_rare(power: float) -> float:
        material = Material([[1]] * 4, np.eye(2)[[0, 0, 0, 1]], np.ones(4))
        recipe = Recipe(epochs=60, head_lr=0.05, class_weight=power)
        network = fine_tune(_network(), material, recipe=recipe, seed=0)
        logits = predict_logits(network, [[1]], pad_id=0, max_batch_tokens=8)
        return float(torch.softmax(torch.as_tensor(logits), 1)[0, 1])

    assert proba_of_rare(0.0) == pytest.approx(0.25, abs=0.05)
    assert proba_of_rare(1.0) == pytest.approx(0.5, abs=0.05)


def test_mixing_trains_on_what_lies_between_examples() -> None:
    ids, targets = [[1, 2], [3, 4, 5], [6], [7, 8]], np.eye(2)[[0, 0, 1, 1]]
    recipe = Recipe(encoder_lr=0.05, head_lr=0.05, epochs=30)
    plain, blended = (
        fine_tune(_network(), Material(ids, targets, np.ones(4), mixup=alpha), recipe=recipe, seed=3)
        for alpha in (0.0, 0.4)
    )
    assert not torch.equal(plain.head.weight, blended.head.weight)
    logits = predict_logits(blended, ids, pad_id=0, max_batch_tokens=8)
    assert logits.argmax(axis=1).tolist() == [0, 0, 1, 1]


def test_human_rows_are_shown_in_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []
    take = Material.take
    monkeypatch.setattr(Material, "take", lambda self, rows, device: (shown.append(rows), take(self, rows, device))[1])
    is_human = np.array([True] + [False] * 15)
    material = Material([[i] for i in range(1, 17)], np.eye(2)[[0, 1] * 8], np.ones(16), is_human=is_human)
    fine_tune(_network(), material, recipe=Recipe(epochs=2, batch_size=4, min_human_share=0.25), seed=0)
    assert len(shown) == 8
    assert all(is_human[rows].any() for rows in shown)


def test_a_batch_larger_than_the_set_is_the_whole_set() -> None:
    network = _fit(_network(), epochs=30, batch_size=500)
    logits = predict_logits(network, [[1, 2], [3, 4, 5], [6], [7, 8]], pad_id=0, max_batch_tokens=4)
    assert logits.argmax(axis=1).tolist() == [0, 0, 1, 1]


def test_training_in_bf16_learns_its_examples() -> None:
    network = _network()
    network.precision = "bf16"
    logits = predict_logits(_fit(network, epochs=30), [[1, 2], [3, 4, 5], [6], [7, 8]], pad_id=0, max_batch_tokens=4)
    assert logits.argmax(axis=1).tolist() == [0, 0, 1, 1]
    assert network.encoder.vectors.weight.dtype == torch.float32  # type: ignore[union-attr]
