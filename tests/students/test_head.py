from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from llm_al.errors import ShapeError, StudentError
from llm_al.students._cross_fit import cross_fitted
from llm_al.students._folder import read_arrays, write_arrays
from llm_al.students._sentences import encode_views
from llm_al.students.calibration import pooled
from llm_al.students.head import FittedHead, Head
from llm_al.types import TrainingSet

LABELS = ("animals", "money")


def test_given_vectors_need_no_encoder() -> None:
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]], dtype=np.float32)
    training = TrainingSet(["a", "b", "c", "d"], np.eye(2)[[0, 0, 1, 1]], np.ones(4), vectors)
    fitted = Head("./nowhere").fit(training, labels=LABELS, seed=0)
    assert fitted.predict_proba(["e"], embeddings=vectors[:1]).argmax() == 0
    assert "encoder" not in fitted.__dict__


def test_vectors_and_texts_give_the_same_answer(tiny_encoder: str, two_topics: TrainingSet) -> None:
    head = Head(tiny_encoder)
    encoder = head.load_encoder()
    vectors = encoder.encode(list(two_topics.texts), normalize_embeddings=True)
    given = TrainingSet(two_topics.texts, two_topics.targets, two_topics.weights, vectors)
    by_vectors: FittedHead = head.fit(given, labels=LABELS, seed=0)
    by_texts = head.fit(two_topics, labels=LABELS, seed=0)
    assert by_vectors.predict_proba(["the dog"]) == pytest.approx(by_texts.predict_proba(["the dog"]), abs=1e-3)


def test_calibration_can_be_left_out(tiny_encoder: str, two_topics: TrainingSet) -> None:
    assert Head(tiny_encoder, n_folds=0).fit(two_topics, labels=LABELS, seed=0).parts[0].temperature == 1.0


def _training(n: int, classes: list[int], n_classes: int = 3, *, names: bool = True) -> TrainingSet:
    """Noisy unit vectors around the axes, and the axes as names."""
    axes, rng = np.eye(n_classes, max(8, n_classes), dtype=np.float32), np.random.default_rng(0)
    vectors = axes[classes] + rng.normal(0, 0.2, (n, axes.shape[1])).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    named = axes if names else None
    return TrainingSet(["text"] * n, np.eye(n_classes)[classes], np.ones(n), vectors, label_embeddings=named)


ABC = ("a", "b", "c")
Kind = Literal["mixed", "logistic", "prototype"]
KINDS: tuple[Kind, ...] = ("mixed", "logistic", "prototype")


@pytest.mark.parametrize("kind", KINDS)
def test_names_alone_predict(kind: Kind, tmp_path: Path) -> None:
    nothing = replace(_training(0, []), embeddings=None)
    head = Head("./nowhere", kind=kind)
    assert head.learns_from_names
    fitted = head.fit(nothing, labels=ABC, seed=0)
    vectors = np.eye(3, 8, dtype=np.float32)
    assert fitted.predict_proba(["x", "y", "z"], embeddings=vectors).argmax(axis=1).tolist() == [0, 1, 2]
    fitted.save(tmp_path / "student")
    loaded = FittedHead.load(tmp_path / "student")
    assert np.array_equal(
        loaded.predict_proba(["x"], embeddings=vectors[:1]), fitted.predict_proba(["x"], embeddings=vectors[:1])
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", [[0, 0, 1, 1], [0], [1, 1, 1], [0, 1, 2]])
def test_names_find_classes_without_examples(kind: Kind, classes: list[int]) -> None:
    fitted = Head("./nowhere", kind=kind).fit(_training(len(classes), classes), labels=ABC, seed=0)
    proba = fitted.predict_proba(["x", "y", "z"], embeddings=np.eye(3, 8, dtype=np.float32))
    assert proba.argmax(axis=1).tolist() == [0, 1, 2]


def test_misleading_names_are_outvoted_by_twenty_examples() -> None:
    training = _training(60, [0, 1, 2] * 20)
    assert training.label_embeddings is not None
    wrong = replace(training, label_embeddings=training.label_embeddings[[1, 2, 0]])
    proba = Head("./nowhere").fit(wrong, labels=ABC, seed=0).predict_proba(["x"] * 60, embeddings=training.embeddings)
    assert (proba.argmax(axis=1) == np.array([0, 1, 2] * 20)).mean() >= 0.95


def test_a_weight_of_zero_leaves_names_out() -> None:
    without = Head("./nowhere", name_weight=0.0)
    assert not without.learns_from_names
    training = _training(4, [0, 0, 1, 1])
    vectors = np.eye(3, 8, dtype=np.float32)
    one = without.fit(training, labels=ABC, seed=0).predict_proba(["x"] * 3, embeddings=vectors)
    two = Head("./nowhere").fit(replace(training, label_embeddings=None), labels=ABC, seed=0)
    assert np.array_equal(one, two.predict_proba(["x"] * 3, embeddings=vectors))
    with pytest.raises(StudentError, match="the head got no example to train on"):
        without.fit(_training(0, []), labels=ABC, seed=0)


def test_noise_labels_raise_the_temperature() -> None:
    clean = _training(60, [0, 1, 2] * 20, names=False)
    noise = replace(clean, targets=np.eye(3)[np.random.default_rng(1).integers(0, 3, 60)])
    head = Head("./nowhere", C=1000.0)
    of_noise, of_clean = (head.fit(one, labels=ABC, seed=0).parts[0].temperature for one in (noise, clean))
    assert of_noise > of_clean


def test_many_classes_with_an_example_each_raise_no_warning() -> None:
    fitted = Head("./nowhere").fit(
        _training(30, list(range(30)), 30, names=False), labels=list(map(str, range(30))), seed=0
    )
    assert fitted.labels[0] == "0"


def _seen_in_second(n: int = 30) -> TrainingSet:
    """Return people's rows of three classes that only the second of two views tells apart."""
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 3
    vectors = rng.normal(size=(n, 2, 8))
    vectors[:, 1, :3] += 4.0 * np.eye(3)[classes]
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    names = np.zeros((3, 2, 8))
    names[:, :, :3] = np.eye(3)[:, None]
    texts = [f"text {i}" for i in range(n)]
    return TrainingSet(texts, np.eye(3)[classes], np.ones(n), vectors.astype(np.float32), label_embeddings=names)


def test_learns_on_the_view_that_labels_prefer_and_keeps_it(tmp_path: Path) -> None:
    training = _seen_in_second()
    fitted = Head("nowhere").fit(training, labels=("a", "b", "c"), seed=0)
    proba = fitted.predict_proba(training.texts, embeddings=training.embeddings)
    assert [part.view for part in fitted.parts] == [1, 0]
    assert (proba.argmax(axis=1) == training.targets.argmax(axis=1)).mean() == 1.0
    each = [part.predict_proba(training.embeddings) for part in fitted.parts]
    assert np.allclose(proba, pooled(*each))
    assert not np.allclose(*each)
    fitted.save(tmp_path / "head")
    again = FittedHead.load(tmp_path / "head")
    assert np.allclose(again.predict_proba(training.texts, embeddings=training.embeddings), proba)


def test_a_head_saved_before_there_were_views_is_read(tmp_path: Path) -> None:
    training = _training(60, [0, 1, 2] * 20)
    fitted = Head("nowhere").fit(training, labels=ABC, seed=0)
    fitted.save(tmp_path / "head")
    arrays = read_arrays(tmp_path / "head" / "model.safetensors")
    kept = {name: array for name, array in arrays.items() if name not in ("view", "temperature")}
    assert len(kept) == len(arrays) - 2
    write_arrays(tmp_path / "head" / "model.safetensors", kept)
    again = FittedHead.load(tmp_path / "head")
    assert [(part.view, part.temperature) for part in again.parts] == [(0, fitted.parts[0].temperature)]
    vectors = training.embeddings
    assert np.array_equal(
        again.predict_proba(training.texts, embeddings=vectors),
        fitted.predict_proba(training.texts, embeddings=vectors),
    )


def test_learns_on_the_encoders_own_vectors_where_it_is_told_to() -> None:
    training = _seen_in_second()
    assert Head("nowhere", layers=False).fit(training, labels=("a", "b", "c"), seed=0).view == 0


def test_pseudo_labels_have_no_say_in_the_view() -> None:
    training = _seen_in_second()
    is_human = np.arange(30) < 6
    assert Head("nowhere").fit(replace(training, is_human=is_human), labels=("a", "b", "c"), seed=0).view == 0


def test_vectors_without_the_view_are_refused() -> None:
    training = _seen_in_second()
    fitted = Head("nowhere").fit(training, labels=("a", "b", "c"), seed=0)
    assert training.embeddings is not None
    with pytest.raises(ShapeError, match="have no view 1; give all views of each text"):
        fitted.predict_proba(training.texts, embeddings=training.embeddings[:, 0])


def test_names_alone_predict_from_several_views() -> None:
    training = _seen_in_second()
    empty = replace(
        training, texts=[], targets=training.targets[:0], weights=np.zeros(0), embeddings=training.embeddings[:0]
    )
    fitted = Head("nowhere").fit(empty, labels=("a", "b", "c"), seed=0)
    assert fitted.view == 0
    assert fitted.predict_proba(["x"], embeddings=training.label_embeddings[:1]).argmax() == 0


def test_texts_are_encoded_in_the_view_it_learned_on(
    tiny_encoder: str, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llm_al.students.head.views_for", lambda *_: (1,))
    fitted = Head(tiny_encoder).fit(two_topics, labels=("animals", "money"), seed=0)
    views = encode_views(fitted.encoder, two_topics.texts)
    assert (fitted.view, views.shape) == (1, (12, 3, 32))
    assert np.allclose(
        fitted.predict_proba(two_topics.texts), fitted.predict_proba(two_topics.texts, embeddings=views), atol=1e-5
    )
    assert not np.allclose(views[:, 0], views[:, 1])


def test_a_training_set_may_say_on_which_view_to_stand() -> None:
    training, labels = _seen_in_second(18), ("a", "b", "c")
    assert Head("nowhere").fit(training, labels=labels, seed=0).view == 1
    assert Head("nowhere").fit(replace(training, view=0), labels=labels, seed=0).view == 0
    assert Head("nowhere", layers=False).fit(replace(training, view=1), labels=labels, seed=0).view == 0
    told = cross_fitted(Head("nowhere"), replace(training, view=0), labels, n_folds=3, seed=0)
    np.testing.assert_array_equal(
        told, cross_fitted(Head("nowhere", layers=False), training, labels, n_folds=3, seed=0)
    )


def test_folds_are_seen_in_the_view_that_all_labels_choose() -> None:
    training, labels = _seen_in_second(18), ("a", "b", "c")
    truth = training.targets.argmax(axis=1)
    told = cross_fitted(Head("nowhere"), training, labels, n_folds=3, seed=0)
    assert (told.argmax(axis=1) == truth).mean() > 0.9
    own = cross_fitted(Head("nowhere", layers=False), training, labels, n_folds=3, seed=0)
    assert (own.argmax(axis=1) == truth).mean() < 0.7
