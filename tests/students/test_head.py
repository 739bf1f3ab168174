import numpy as np
import pytest

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
