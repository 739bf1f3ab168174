import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from llm_al.errors import ConfigError
from llm_al.layers import first_word
from llm_al.students._network import load_tokenizer
from llm_al.students._pooling import helps_first, pooled
from llm_al.students.saved import load, why_chosen
from llm_al.students.transformer import FittedTransformer, Transformer
from llm_al.types import TrainingSet

QUICK = {"epochs": 2, "precision": "fp32", "n_threads": 1}


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _told_by(part: int, n: int = 60, d: int = 8, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of mean and first token, of which only one tells the class, and one-hot labels."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=n)
    parts = [rng.normal(size=(n, d)), rng.normal(size=(n, d))]
    parts[part][:, :3] += 6.0 * np.eye(3)[truth]
    return np.hstack([_unit(each) for each in parts]) / 2**0.5, np.eye(3)[truth]


def test_mean_counts_own_tokens_alone_and_has_unit_length() -> None:
    states = torch.tensor([[[1.0, 0.0], [3.0, 4.0], [9.0, 9.0]]])
    found = pooled(states, torch.tensor([[1, 1, 0]]), "mean", 1)
    assert torch.allclose(found, torch.tensor([[4.0, 4.0]]) / 32**0.5)


def test_first_token_stands_beside_the_mean_in_equal_length() -> None:
    states = torch.tensor([[[1.0, 0.0], [30.0, 40.0]]])
    found = pooled(states, None, "mean+first", 1)
    assert torch.allclose(found[:, 2:], torch.tensor([[0.6, 0.8]]) / 2**0.5)
    assert found.norm() == pytest.approx(1.0)
    assert torch.allclose(found[:, :2] * 2**0.5, pooled(states, None, "mean", 1))


def test_texts_that_are_shorter_than_the_position_give_their_last_token() -> None:
    states = torch.tensor([[[3.0, 4.0]]])
    assert torch.allclose(pooled(states, None, "mean+first", 1)[0, 2:], torch.tensor([0.6, 0.8]) / 2**0.5)


class _Bare:
    """A tokeniser without special tokens."""

    def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[int]]]:
        return {"input_ids": [[7] for _ in texts]}


def test_first_word_comes_after_the_special_token_in_front(tiny_encoder: str) -> None:
    assert first_word(load_tokenizer(tiny_encoder)) == 1


def test_first_word_is_at_the_start_where_nothing_is_in_front() -> None:
    assert first_word(_Bare()) == 0


def test_first_token_is_taken_in_where_it_alone_tells_the_classes() -> None:
    assert helps_first(*_told_by(1))


@pytest.mark.parametrize("seed", range(5))
def test_first_token_is_left_out_where_it_tells_nothing(seed: int) -> None:
    assert not helps_first(*_told_by(0, seed=seed))
    noise, _ = _told_by(0, seed=seed)
    shuffled = np.eye(3)[np.random.default_rng(seed + 100).integers(3, size=len(noise))]
    assert not helps_first(noise, shuffled)


@pytest.mark.parametrize("n", [2, 3, 19])
def test_few_rows_prove_nothing(n: int) -> None:
    features, targets = _told_by(1)
    assert not helps_first(features[:n], targets[:n])


@pytest.mark.parametrize("n", [0, 1, 30])
def test_nothing_is_learned_from_no_row_one_row_or_one_class(n: int) -> None:
    features, _ = _told_by(1, n=max(n, 1))
    same = np.repeat(np.eye(3)[:1], n, axis=0)
    assert not helps_first(features[:n], same)


def _fitted(encoder: str, two_topics: TrainingSet, **settings: object) -> FittedTransformer:
    return Transformer(encoder, **{**QUICK, **settings}).fit(two_topics, labels=("animals", "money"), seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("pooling", ["mean", "mean+first"])
def test_student_of_either_pooling_is_the_same_after_loading(
    pooling: str, tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path
) -> None:
    fitted = _fitted(tiny_encoder, two_topics, pooling=pooling)
    assert fitted.features(two_topics.texts).shape == (12, 32 * len(pooling.split("+")))
    fitted.save(tmp_path / "student")
    assert np.allclose(
        load(tmp_path / "student").predict_proba(two_topics.texts), fitted.predict_proba(two_topics.texts), atol=1e-6
    )


def test_auto_is_saved_as_what_it_came_to(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_al.students._pooling.helps_first", lambda *_: True)
    fitted = _fitted(tiny_encoder, two_topics)
    assert fitted.network.pooling == "mean+first"
    fitted.save(tmp_path / "student")
    found = load(tmp_path / "student")
    assert isinstance(found, FittedTransformer)
    assert (found.network.pooling, found.student.pooling) == ("mean+first", "auto")
    assert why_chosen(tmp_path / "student") == found.reason == fitted.reason
    assert fitted.reason.startswith("sees the first token")


def test_student_of_an_older_version_pools_by_the_mean(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path
) -> None:
    fitted = _fitted(tiny_encoder, two_topics, pooling="mean")
    fitted.save(tmp_path / "student")
    header = tmp_path / "student" / "student.json"
    told = json.loads(header.read_text("utf-8"))
    for name in ("pooling", "chosen_pooling", "verdict"):
        del told["settings"][name]
    header.write_text(json.dumps(told), "utf-8")
    assert why_chosen(tmp_path / "student") == ""
    assert np.allclose(
        load(tmp_path / "student").predict_proba(two_topics.texts), fitted.predict_proba(two_topics.texts), atol=1e-6
    )


def test_auto_decides_on_labels_of_people(
    tiny_encoder: str, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def helps(features: np.ndarray, targets: np.ndarray) -> bool:
        seen.append(len(features))
        return False

    monkeypatch.setattr("llm_al.students._pooling.helps_first", helps)
    is_human = np.arange(12) % 3 > 0
    mixed = TrainingSet(two_topics.texts, two_topics.targets, two_topics.weights, is_human=is_human)
    assert _fitted(tiny_encoder, mixed).network.pooling == "mean"
    nobody = TrainingSet(two_topics.texts, two_topics.targets, two_topics.weights, is_human=np.zeros(12, np.bool_))
    _fitted(tiny_encoder, nobody)
    assert seen == [8, 12]


def test_warm_start_keeps_the_pooling(tiny_encoder: str, two_topics: TrainingSet) -> None:
    before = _fitted(tiny_encoder, two_topics, pooling="mean+first")
    student = Transformer(tiny_encoder, start="warm", **QUICK)  # type: ignore[arg-type]
    assert student.fit_from(before, two_topics, labels=before.labels, seed=0).network.pooling == "mean+first"


def test_the_choice_is_made_without_a_compiler(
    tiny_encoder: str, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[object] = []

    def compile_(encoder: torch.nn.Module) -> torch.nn.Module:
        compiled.append(encoder)
        return encoder

    monkeypatch.setattr("llm_al.students._assembly.Compiled", compile_)
    monkeypatch.setattr("llm_al.students.transformer.fine_tune", lambda *_, **__: None)
    fitted = _fitted(tiny_encoder, two_topics, compile=True)
    assert not compiled
    fitted.features(["a cat"])
    assert len(compiled) == 1


def test_unknown_pooling_is_refused_by_name(tiny_encoder: str) -> None:
    with pytest.raises(ConfigError, match=r"transformer pooling is 'max'; choose from: auto, mean, mean\+first"):
        Transformer(tiny_encoder, pooling="max")


def test_choice_is_logged(tiny_encoder: str, two_topics: TrainingSet, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        _fitted(tiny_encoder, two_topics)
    assert "pools" in caplog.text
