from pathlib import Path

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.students._recall import Recall
from llm_al.students.head import FittedHead, Head
from llm_al.types import TrainingSet

CORNERS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], dtype=np.float32)


def test_the_nearest_rows_are_mixed_in_by_their_share() -> None:
    recall = Recall.of(CORNERS, np.eye(2)[[0, 1, 0, 1]], k=1, share=0.5)
    mixed = recall.mixed(np.array([[0.0, 1.0], [0.5, 0.5]]), np.array([[1.0, 0.0], [0.0, -1.0]]))
    np.testing.assert_allclose(mixed, [[0.5, 0.5], [0.25, 0.75]], atol=1e-6)


def test_more_neighbours_than_rows_are_all_rows() -> None:
    recall = Recall.of(CORNERS[:2], np.eye(2), k=50, share=0.9)
    mixed = recall.mixed(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(mixed, [[0.95, 0.05]], atol=1e-3)


def ring(is_human: bool) -> tuple[TrainingSet, np.ndarray]:
    """Opposite corners share a class, which no line cuts out."""
    rng = np.random.default_rng(0)
    truth = np.arange(80) % 4
    points = CORNERS[truth] + rng.normal(0.0, 0.1, (80, 2)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    of_people = np.ones(80, dtype=np.bool_) if is_human else np.arange(80) < 20
    texts = [f"text {i}" for i in range(80)]
    return TrainingSet(texts, np.eye(2)[truth % 2], np.ones(80), points, is_human=of_people), truth % 2


def accuracy(fitted: FittedHead, training: TrainingSet, truth: np.ndarray) -> float:
    proba = fitted.predict_proba(training.texts, embeddings=training.embeddings)
    return float((proba.argmax(axis=1) == truth).mean())


def test_rows_that_nobody_labelled_tell_a_head_what_no_line_can() -> None:
    training, truth = ring(is_human=False)
    without = Head("offline", kind="logistic", n_neighbours=0).fit(training, labels=["a", "b"], seed=0)
    fitted = Head("offline", kind="logistic").fit(training, labels=["a", "b"], seed=0)
    assert accuracy(without, training, truth) < 0.8
    assert accuracy(fitted, training, truth) > 0.95


def test_a_head_of_people_alone_recalls_nothing() -> None:
    training, _ = ring(is_human=True)
    assert Head("offline").fit(training, labels=["a", "b"], seed=0).parts[0].recall is None


def test_what_is_recalled_is_saved_and_bounded(tmp_path: Path) -> None:
    training, _ = ring(is_human=False)
    fitted = Head("offline", max_recalled=30).fit(training, labels=["a", "b"], seed=0)
    fitted.save(tmp_path / "head")
    again = FittedHead.load(tmp_path / "head")
    assert again.parts[0].recall is not None
    assert again.parts[0].recall.vectors.shape == (30, 2)
    proba = fitted.predict_proba(training.texts, embeddings=training.embeddings)
    np.testing.assert_allclose(again.predict_proba(training.texts, embeddings=training.embeddings), proba)


@pytest.mark.parametrize("options", [{"n_neighbours": -1}, {"max_recalled": 0}])
def test_impossible_numbers_of_neighbours_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="the first must be at least 0, the second at least 1"):
        Head("offline", **options)


def test_an_impossible_share_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"head neighbour_share is 1.0; it must be in \[0, 1\)"):
        Head("offline", neighbour_share=1.0)
