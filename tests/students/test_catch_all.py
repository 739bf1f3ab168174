from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llm_al.students._catch_all import enough_for, with_odds
from llm_al.students._material import rows_of
from llm_al.students.head import FittedHead, Head
from llm_al.types import TrainingSet

LABELS = ("a", "b", "other")
OTHER = 2


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def _near(classes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return vectors of two tight topics; those of `OTHER` lie between them, a little nearer to one or the other."""
    lean = rng.choice([0.35, 0.65], len(classes))
    middle = np.stack([lean, 1.0 - lean], axis=1)
    topics = np.where((classes == OTHER)[:, None], middle, np.eye(3)[classes][:, :2])
    return _unit(np.hstack([topics, np.zeros((len(classes), 6))]) + rng.normal(0, 0.05, (len(classes), 8)))


def _training(n_pseudo: int = 400) -> TrainingSet:
    """Thirty rows of people, ten of them of `OTHER`, and pseudo-labels that know the topics alone."""
    rng = np.random.default_rng(0)
    classes = np.arange(30) % 3
    given = np.concatenate([classes, np.arange(n_pseudo) % 2])
    truth = np.concatenate([classes, np.where(rng.random(n_pseudo) < 0.2, OTHER, np.arange(n_pseudo) % 2)])
    vectors = _near(truth, rng)
    # A pseudo-label goes to the nearer topic.
    given[30:] = vectors[30:, :2].argmax(axis=1)
    is_pseudo = np.arange(len(given)) >= 30
    texts = [f"text {i}" for i in range(len(given))]
    return TrainingSet(
        texts, np.eye(3)[given], np.ones(len(given)), vectors, is_human=~is_pseudo, is_pseudo=is_pseudo, catch_all=OTHER
    )


def _recall(head: FittedHead) -> tuple[float, float]:
    """Return the shares of new texts that are found, of the topics and of `OTHER`."""
    truth = np.arange(600) % 3
    hat = head.predict_proba([""] * 600, embeddings=_near(truth, np.random.default_rng(1))).argmax(axis=1)
    return float((hat == truth)[truth != OTHER].mean()), float((hat == truth)[truth == OTHER].mean())


def test_pseudo_labels_do_not_hide_what_fits_no_other_label() -> None:
    training = _training()
    told = Head("nowhere").fit(training, labels=LABELS, seed=0)
    untold = Head("nowhere").fit(replace(training, catch_all=None), labels=LABELS, seed=0)
    (topics, other), (topics_before, other_before) = _recall(told), _recall(untold)
    assert other_before < 0.2
    assert other > 0.8
    assert topics > topics_before - 0.05


def test_the_odds_are_those_of_a_head_without_pseudo_labels() -> None:
    training = _training()
    vectors = _near(np.arange(9) % 3, np.random.default_rng(2))
    people = replace(rows_of(training, np.arange(30)), is_pseudo=None)
    alone = Head("nowhere").fit(people, labels=LABELS, seed=0).predict_proba([""] * 9, embeddings=vectors)
    told = Head("nowhere").fit(training, labels=LABELS, seed=0).predict_proba([""] * 9, embeddings=vectors)
    odds, expected = (proba[:, OTHER] / proba[:, :OTHER].max(axis=1) for proba in (told, alone))
    np.testing.assert_allclose(odds, expected, rtol=1e-6)
    np.testing.assert_allclose(told.sum(axis=1), 1.0)


def test_a_saved_head_says_the_same(tmp_path: Path) -> None:
    training = _training()
    head = Head("nowhere").fit(training, labels=LABELS, seed=0)
    head.save(tmp_path / "head")
    again = FittedHead.load(tmp_path / "head")
    assert again.catch_all is not None
    assert again.catch_all.index == OTHER
    vectors = training.embeddings
    assert np.array_equal(
        again.predict_proba(training.texts, embeddings=vectors), head.predict_proba(training.texts, embeddings=vectors)
    )


@pytest.mark.parametrize("change", ["no catch-all label", "no pseudo-label", "two examples"])
def test_without_pseudo_labels_or_with_few_examples_nothing_is_changed(change: str) -> None:
    training = _training()
    if change == "no catch-all label":
        training = replace(training, catch_all=None)
    elif change == "no pseudo-label":
        training = rows_of(training, np.arange(30))
    else:
        rows = np.flatnonzero(training.targets[:, OTHER] == 0)
        training = rows_of(training, np.sort([*rows, 2, 5]))
    assert Head("nowhere").fit(training, labels=LABELS, seed=0).catch_all is None


def test_three_examples_are_enough() -> None:
    targets = np.eye(3)[[0, 1, 2, 2, 2]]
    assert enough_for(2, targets)
    assert not enough_for(2, targets[:-1])


def test_odds_against_nothing_stay_finite() -> None:
    changed = with_odds(np.array([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]]), np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]), 2)
    assert np.isfinite(changed).all()
    assert changed[1].argmax() == 2
