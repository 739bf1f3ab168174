import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from llm_al.errors import MissingExtraError, StudentError
from llm_al.students import load, lora
from llm_al.students._network import load_encoder
from llm_al.students.transformer import Transformer
from llm_al.types import TrainingSet

LABELS = ("animals", "money")


def _recipe(encoder: str, **settings: Any) -> Transformer:
    return Transformer(encoder, lora=True, lora_rank=4, lora_lr=1e-2, precision="fp32", **settings)


@pytest.fixture
def _without_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lora.importlib.util, "find_spec", lambda _name: None)


def test_adapters_learn_and_are_added_into_the_weights(tiny_encoder: str, two_topics: TrainingSet) -> None:
    pytest.importorskip("peft")
    before, _ = load_encoder(tiny_encoder)
    fitted = _recipe(tiny_encoder, epochs=15).fit(two_topics, labels=LABELS, seed=0)
    after = fitted.network.encoder.state_dict()
    assert set(after) == set(before.state_dict())
    moved = {name for name, tensor in before.state_dict().items() if not torch.equal(tensor, after[name])}
    assert any("query.weight" in name for name in moved)
    assert not any("bias" in name or "LayerNorm" in name or "embeddings" in name for name in moved)
    assert (fitted.predict_proba(two_topics.texts).argmax(1) == two_topics.targets.argmax(1)).mean() >= 0.75


def test_adapters_repeat_with_the_seed(tiny_encoder: str, two_topics: TrainingSet) -> None:
    pytest.importorskip("peft")
    one, two = (_recipe(tiny_encoder, epochs=2).fit(two_topics, labels=LABELS, seed=4) for _ in range(2))
    assert torch.equal(one.network.head.weight, two.network.head.weight)


def test_a_saved_student_is_read_without_peft(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("peft")
    fitted = _recipe(tiny_encoder, epochs=1).fit(two_topics, labels=LABELS, seed=0)
    fitted.save(tmp_path / "student")
    assert "adapter" not in " ".join(path.name for path in (tmp_path / "student").iterdir())
    for name in [name for name in sys.modules if name.split(".")[0] == "peft"]:
        monkeypatch.setitem(sys.modules, name, None)
    assert np.array_equal(load(tmp_path / "student").predict_proba(["a cat"]), fitted.predict_proba(["a cat"]))


def test_large_encoders_are_adapted_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("peft")
    encoder = nn.Linear(3, 3)
    assert not lora.wants_lora(encoder, "auto")
    assert lora.wants_lora(encoder, True)
    monkeypatch.setattr(lora, "LARGE", 11)
    assert lora.wants_lora(encoder, "auto")
    assert not lora.wants_lora(encoder, False)


@pytest.mark.usefixtures("_without_peft")
def test_without_peft_it_is_an_error_when_asked_for_and_a_warning_otherwise(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(
        MissingExtraError, match=r'needs an extra package; install it with: pip install "llm-al\[lora\]"'
    ):
        lora.wants_lora(nn.Linear(3, 3), True)
    monkeypatch.setattr(lora, "LARGE", 11)
    assert not lora.wants_lora(nn.Linear(3, 3), "auto")
    assert "the encoder is large and is trained whole" in caplog.text


def test_an_encoder_that_cannot_be_adapted_is_a_clear_error() -> None:
    pytest.importorskip("peft")
    with pytest.raises(StudentError, match=r"the encoder cannot be adapted .*; set lora: false"):
        lora.with_adapters(nn.Sequential(nn.ReLU()), 4)
