from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al import registry
from llm_al.errors import ConfigError, StudentError
from llm_al.students import distilled, load
from llm_al.students._network import load_encoder
from llm_al.students.distilled import Distilled, ensemble_proba, small_student, soft_training_set
from llm_al.students.head import FittedHead, Head
from llm_al.students.shrunk import keep_layers
from llm_al.students.transformer import FittedTransformer
from llm_al.types import TrainingSet

LABELS = ("animals", "money")
QUICK = {"epochs": 2, "min_steps": 0, "encoder_lr": 1e-3}


class Fixed:
    """A fitted student that says the same of every text, and remembers what it was given."""

    labels = LABELS

    def __init__(self, *proba: float) -> None:
        self.proba, self.given = proba, []

    def predict_proba(self, texts: Sequence[str], *, embeddings: Any = None) -> np.ndarray:
        self.given.append((list(texts), None if embeddings is None else embeddings.tolist()))
        return np.tile(np.array(self.proba), (len(texts), 1))


@pytest.fixture
def recipe(tiny_encoder: str) -> Distilled:
    return Distilled(tiny_encoder, n_teachers=2, options=QUICK, teacher_options={**QUICK, "epochs": 5})


def test_it_becomes_an_ordinary_student_that_is_saved_as_one(
    recipe: Distilled, two_topics: TrainingSet, tmp_path: Path
) -> None:
    fitted = recipe.fit(two_topics, labels=LABELS, seed=0)
    assert isinstance(fitted, FittedTransformer)
    fitted.save(tmp_path / "student")
    again = load(tmp_path / "student")
    assert np.array_equal(again.predict_proba(two_topics.texts), fitted.predict_proba(two_topics.texts))
    assert fitted.labels == LABELS


def test_it_learns_and_repeats_itself(recipe: Distilled, two_topics: TrainingSet) -> None:
    one, two = (
        recipe.fit(two_topics, labels=LABELS, seed=3, unlabelled=["a cat", "the bill"]).predict_proba(two_topics.texts)
        for _ in range(2)
    )
    assert np.array_equal(one, two)
    assert (one.argmax(axis=1) == two_topics.targets.argmax(axis=1)).mean() >= 0.75


def _given(monkeypatch: pytest.MonkeyPatch, recipe: Distilled, training: TrainingSet, **more: Any) -> TrainingSet:
    """Return what the small student gets, with a teacher that says .9 and .1 of everything."""
    caught = []

    class Recipe:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def fit(self, given: TrainingSet, *, labels: Sequence[str], seed: int) -> Fixed:
            caught.append(given)
            return Fixed(0.9, 0.1)

    monkeypatch.setattr(distilled, "Transformer", Recipe)
    recipe.fit(training, labels=LABELS, seed=0, **more)
    assert len(caught) == recipe.n_teachers + 1
    return caught[-1]


def test_people_keep_their_labels_and_all_else_gets_those_of_the_teachers(
    recipe: Distilled, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    mixed = replace(two_topics, is_human=np.arange(12) % 2 == 0, weights=np.linspace(0.5, 1.0, 12))
    given = _given(monkeypatch, recipe, mixed, unlabelled=["new"])
    assert list(given.texts) == [*two_topics.texts[::2], *two_topics.texts[1::2], "new"]
    np.testing.assert_array_equal(given.targets[:6], two_topics.targets[::2])
    np.testing.assert_allclose(given.targets[6:], [[0.9, 0.1]] * 7)
    np.testing.assert_allclose(given.weights, [*(3.0 * mixed.weights[::2]), *np.ones(7)])


def test_without_other_texts_peoples_rows_carry_soft_labels_too(
    recipe: Distilled, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = _given(monkeypatch, recipe, replace(two_topics, embeddings=np.eye(12, dtype=np.float32)))
    assert list(given.texts) == [*two_topics.texts, *two_topics.texts]
    np.testing.assert_allclose(given.targets[12:], [[0.9, 0.1]] * 12)
    np.testing.assert_array_equal(given.embeddings, np.concatenate([np.eye(12), np.eye(12)]))


def test_a_head_may_teach_a_head_on_vectors_that_are_at_hand(tiny_encoder: str) -> None:
    vectors = np.repeat(np.eye(2, dtype=np.float32), 4, axis=0)
    training = TrainingSet([f"text {i}" for i in range(8)], np.repeat(np.eye(2), 4, axis=0), np.ones(8), vectors)
    # A width of two is not the encoder's: nothing was encoded.
    fitted = Distilled(tiny_encoder, student="head", teacher="head").fit(training, labels=LABELS, seed=0)
    assert isinstance(fitted, FittedHead)
    assert fitted.predict_proba(training.texts, embeddings=vectors).argmax(axis=1).tolist() == [0] * 4 + [1] * 4


def test_teachers_with_another_encoder_do_not_get_the_vectors_of_the_small_one(
    tiny_encoder: str, two_topics: TrainingSet
) -> None:
    wrong = replace(two_topics, embeddings=np.zeros((12, 3), dtype=np.float32))
    recipe = Distilled(
        "offline", student="transformer", teacher="head", teacher_model=tiny_encoder, options={"epochs": 1}
    )
    (teacher,) = recipe._teachers(wrong, LABELS, 0)
    assert teacher.predict_proba(["the cat purrs"]).shape == (1, 2)
    assert recipe._for_teachers(wrong.embeddings) is None


def test_an_ensemble_says_the_mean_and_reads_texts_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distilled, "_CHUNK", 2)
    one, two = Fixed(0.2, 0.8), Fixed(0.6, 0.4)
    vectors = np.arange(3, dtype=np.float32)[:, None]
    np.testing.assert_allclose(ensemble_proba([one, two], ["a", "b", "c"], vectors), [[0.4, 0.6]] * 3)
    assert one.given == [(["a", "b"], [[0.0], [1.0]]), (["c"], [[2.0]])]
    assert ensemble_proba([one], [], None).shape == (0, 2)


def test_vectors_are_kept_only_where_every_row_has_one() -> None:
    human = TrainingSet(["h"], np.array([[1.0, 0.0]]), np.ones(1), np.ones((1, 2), dtype=np.float32))
    soft = np.array([[0.3, 0.7]])
    joined = soft_training_set(human, ["s"], soft, 2.0, vectors=np.zeros((1, 2), dtype=np.float32))
    np.testing.assert_array_equal(joined.embeddings, [[1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_array_equal(joined.weights, [2.0, 1.0])
    assert soft_training_set(human, ["s"], soft, 2.0).embeddings is None


def test_it_is_registered_and_needs_an_example(tiny_encoder: str) -> None:
    recipe = registry.make("student", "distilled", model=tiny_encoder, n_teachers=2)
    assert recipe == Distilled(tiny_encoder, n_teachers=2)
    with pytest.raises(StudentError, match="distilled student got no example to train on; label at least one"):
        recipe.fit(TrainingSet([], np.zeros((0, 2)), np.zeros(0)), labels=LABELS, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"student": "tree"}, "distilled student is 'tree'; choose from: head, transformer"),
        ({"teacher": "setfit"}, "distilled teacher is 'setfit'; choose from: head, transformer"),
        ({"n_teachers": 0}, "distilled n_teachers is 0; it must be at least 1"),
        ({"human_weight": 0.0}, r"distilled human_weight is 0\.0; it must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Distilled("offline", **options)


def test_a_small_student_takes_calibrated_targets_as_they_are() -> None:
    student: Any = small_student("transformer", "offline", {"epochs": 9})
    assert (student.temperature, student.epochs) == (1.0, 9)
    assert isinstance(small_student("head", "offline", {}), Head)


def test_layers_are_kept_evenly_from_the_first_to_the_last(tiny_encoder: str, tmp_path: Path) -> None:
    whole, _ = load_encoder(tiny_encoder)
    for n, kept in ((1, [0]), (2, [0, 1])):
        folder = keep_layers(tiny_encoder, n, tmp_path / str(n))
        encoder, config = load_encoder(folder)
        assert config.num_hidden_layers == n
        for mine, theirs in enumerate(kept):
            layer: Any = encoder.encoder.layer[mine].state_dict()  # type: ignore[union-attr, index]
            expected: Any = whole.encoder.layer[theirs].state_dict()  # type: ignore[union-attr, index]
            assert all(np.array_equal(layer[name].numpy(), expected[name].numpy()) for name in expected)
    with pytest.raises(ConfigError, match=r"n_layers is 3; the encoder .* has 2 layers; give at most these"):
        keep_layers(tiny_encoder, 3, tmp_path / "3")
