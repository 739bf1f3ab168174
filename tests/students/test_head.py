from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from llm_al.errors import StudentError
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
    assert Head(tiny_encoder, n_folds=0).fit(two_topics, labels=LABELS, seed=0).temperature == 1.0


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
    assert head.fit(noise, labels=ABC, seed=0).temperature > head.fit(clean, labels=ABC, seed=0).temperature


def test_many_classes_with_an_example_each_raise_no_warning() -> None:
    fitted = Head("./nowhere").fit(
        _training(30, list(range(30)), 30, names=False), labels=list(map(str, range(30))), seed=0
    )
    assert fitted.labels[0] == "0"
