from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.pseudo_labels.adaptive import Adaptive
from llm_al.students import transformer as module
from llm_al.students._material import Material, bounded, rows_of
from llm_al.students._self_training import n_steps_after, with_own_labels
from llm_al.students.saved import load, why_chosen
from llm_al.students.transformer import Transformer
from llm_al.types import TrainingSet

LABELS = ("animals", "money")


@pytest.fixture
def trained_on(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Material, int]]:
    """The material and the steps of each training, in turn."""
    seen: list[tuple[Material, int]] = []
    fine_tune = module.fine_tune

    def watching(network: Any, material: Material, **named: Any) -> Any:
        seen.append((material, named["recipe"].n_steps(len(material))))
        return fine_tune(network, material, **named)

    monkeypatch.setattr(module, "fine_tune", watching)
    return seen


def _two_clouds(n: int) -> tuple[np.ndarray, np.ndarray]:
    side = np.arange(n) % 2
    features = np.eye(2, 8)[side] + 0.05 * np.random.default_rng(0).normal(size=(n, 8))
    return features / np.linalg.norm(features, axis=1, keepdims=True), side


def test_texts_on_which_network_and_neighbours_agree_are_added(two_topics: TrainingSet) -> None:
    features, side = _two_clouds(60)
    logits = np.where(np.eye(2)[side] > 0, 2.0, 0.0)
    # One text is held to be of the other class than all texts near it.
    logits[7] = logits[7][::-1]
    texts = [f"text {i}" for i in range(60)]
    training = replace(two_topics, unlabelled=texts, choose_own=Adaptive().own_labels)
    given, own = with_own_labels(training, features, logits, temperature=2.0, seed=0)
    added = given.texts[len(two_topics) :]
    assert "text 7" not in added
    assert len(added) == 59
    assert (own.n_drawn, own.n_kept) == (60, 59)
    assert own.expected == pytest.approx(1 / (1 + np.exp(-1.0)))
    targets = given.targets[len(two_topics) :]
    assert (targets.argmax(axis=1) == [side[int(text.split()[1])] for text in added]).all()
    assert np.allclose(targets.max(axis=1), 1 / (1 + np.exp(-2.0)))
    assert np.array_equal(given.targets[: len(two_topics)], two_topics.targets)
    assert (given.weights > 0).all()
    assert not len(given.unlabelled)


def test_it_goes_on_for_the_steps_that_are_left_or_for_a_pass() -> None:
    assert n_steps_after(120, 200, 16) == 120
    assert n_steps_after(30, 1000, 16) == 63


def test_a_fit_with_unlabelled_texts_goes_on_with_them(
    tiny_encoder: str, two_topics: TrainingSet, trained_on: list[tuple[Material, int]], tmp_path: Path
) -> None:
    recipe = Transformer(tiny_encoder, encoder_lr=1e-3, epochs=10)
    more = [f"{text} indeed" for text in two_topics.texts] * 3
    plain = recipe.fit(two_topics, labels=LABELS, seed=0)
    assert [len(material) for material, _ in trained_on] == [12]
    trained_on.clear()
    fitted = recipe.fit(replace(two_topics, unlabelled=more, choose_own=Adaptive().own_labels), labels=LABELS, seed=0)
    (first, began), (second, went_on) = trained_on
    assert len(first) == 12
    assert 12 < len(second) <= 48
    # Ten passes over one batch, of which .6 are spent on labels alone.
    assert (began, went_on) == (6, 4)
    again = recipe.fit(replace(two_topics, unlabelled=more, choose_own=Adaptive().own_labels), labels=LABELS, seed=0)
    texts = list(two_topics.texts)
    assert np.allclose(fitted.predict_proba(texts), again.predict_proba(texts))
    assert not np.allclose(fitted.predict_proba(texts), plain.predict_proba(texts))
    assert fitted.own is not None
    assert plain.own is None
    fitted.save(tmp_path / "student")
    assert load(tmp_path / "student").own == fitted.own
    assert f"trained itself on {fitted.own.n_kept} of 36 texts" in why_chosen(tmp_path / "student")


def test_where_it_is_sure_of_nothing_it_stays_as_it_is(
    tiny_encoder: str, two_topics: TrainingSet, trained_on: list[tuple[Material, int]]
) -> None:
    # Vectors of nothing leave every text with all classes alike.
    torn = np.zeros((3, 2))
    training = replace(two_topics, unlabelled=["a", "b", "c"], choose_own=Adaptive().own_labels)
    unsure, own = with_own_labels(training, np.eye(3, 8), torn, temperature=1.0, seed=0)
    assert len(unsure) == len(two_topics)
    assert (own.n_kept, own.expected) == (0, 0.0)
    fit = Transformer(tiny_encoder, epochs=1, max_steps=1, head_lr=1e-9).fit
    fit(replace(training, unlabelled=[two_topics.texts[0]]), labels=LABELS, seed=0)
    assert [len(material) for material, _ in trained_on] == [12, 12]


def test_logits_of_features_are_those_of_the_network(tiny_encoder: str, two_topics: TrainingSet) -> None:
    fitted = Transformer(tiny_encoder, epochs=2, precision="fp32").fit(two_topics, labels=LABELS, seed=0)
    texts = list(two_topics.texts)
    assert np.allclose(fitted.logits_of(fitted.features(texts)), fitted.predict_logits(texts), atol=1e-4)


def test_folds_do_without_unlabelled_texts_and_bounds_keep_them(two_topics: TrainingSet) -> None:
    given = replace(two_topics, unlabelled=["a"], is_human=np.arange(12) < 6)
    assert not len(rows_of(given, np.arange(3)).unlabelled)
    assert bounded(given, 2, np.random.default_rng(0)).unlabelled == ["a"]


def test_it_keeps_the_bound_on_steps(
    tiny_encoder: str, two_topics: TrainingSet, trained_on: list[tuple[Material, int]]
) -> None:
    given = replace(two_topics, unlabelled=list(two_topics.texts) * 30, choose_own=Adaptive().own_labels)
    Transformer(tiny_encoder, encoder_lr=1e-3, max_steps=8, own_start=1.0).fit(given, labels=LABELS, seed=0)
    assert [steps for _, steps in trained_on] == [8, 8]


def test_rows_that_nobody_labelled_lengthen_the_first_part_as_they_do_without_own_labels(
    tiny_encoder: str, two_topics: TrainingSet, trained_on: list[tuple[Material, int]]
) -> None:
    given = replace(two_topics, is_human=np.arange(12) < 8)
    recipe = Transformer(tiny_encoder, epochs=5, own_start=1.0)
    recipe.fit(given, labels=LABELS, seed=0)
    recipe.fit(replace(given, unlabelled=["a", "b"], choose_own=Adaptive().own_labels), labels=LABELS, seed=0)
    assert [steps for _, steps in trained_on][:2] == [10, 10]


def test_the_share_of_steps_on_labels_alone_has_a_range() -> None:
    with pytest.raises(ConfigError, match=r"own_start is 0\.0; it is a share of the steps"):
        Transformer("offline", own_start=0.0)
