"""What holds for every student."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.errors import ConfigError, StudentError
from llm_al.students import load
from llm_al.students.auto import Auto
from llm_al.students.head import Head
from llm_al.students.setfit import SetFit
from llm_al.students.transformer import Transformer
from llm_al.types import TrainingSet

LABELS = ("animals", "money")
NEW = ["a cat called", "pay the loan", ""]
RECIPES: dict[str, tuple[Any, dict[str, Any]]] = {
    "auto": (Auto, {}),
    "head": (Head, {}),
    "setfit": (SetFit, {"n_iterations": 1}),
    "transformer": (Transformer, {"encoder_lr": 1e-3, "epochs": 5}),
}


@pytest.fixture(params=sorted(RECIPES))
def student(request: pytest.FixtureRequest, tiny_encoder: str) -> Any:
    make, options = RECIPES[request.param]
    return make(tiny_encoder, **options)


def test_probabilities_have_the_right_shape_and_sum_to_one(student: Any, two_topics: TrainingSet) -> None:
    fitted = student.fit(two_topics, labels=LABELS, seed=0)
    proba = fitted.predict_proba(NEW)
    assert proba.shape == (3, 2)
    assert proba.dtype == np.float64
    assert proba.sum(axis=1) == pytest.approx(1.0)
    assert fitted.predict_proba([]).shape == (0, 2)
    assert fitted.predict(NEW) == [LABELS[i] for i in proba.argmax(axis=1)]
    assert fitted.labels == LABELS


def test_it_learns_two_topics_and_repeats_itself(student: Any, two_topics: TrainingSet) -> None:
    one = student.fit(two_topics, labels=LABELS, seed=1).predict_proba(two_topics.texts)
    two = student.fit(two_topics, labels=LABELS, seed=1).predict_proba(two_topics.texts)
    assert np.array_equal(one, two)
    assert (one.argmax(axis=1) == two_topics.targets.argmax(axis=1)).mean() >= 0.75


def test_inputs_and_global_random_state_are_left_alone(student: Any, two_topics: TrainingSet) -> None:
    targets, weights = two_topics.targets.copy(), two_topics.weights.copy()
    np.random.seed(7)  # noqa: NPY002
    expected = np.random.random()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    student.fit(two_topics, labels=LABELS, seed=0)
    assert np.random.random() == expected  # noqa: NPY002
    assert np.array_equal(two_topics.targets, targets)
    assert np.array_equal(two_topics.weights, weights)


def test_saved_student_predicts_the_same_after_loading(student: Any, two_topics: TrainingSet, tmp_path: Path) -> None:
    fitted = student.fit(two_topics, labels=LABELS, seed=0)
    fitted.save(tmp_path / "models" / "student")
    fitted.save(tmp_path / "models" / "student")
    loaded = load(tmp_path / "models" / "student")
    assert np.array_equal(loaded.predict_proba(NEW), fitted.predict_proba(NEW))
    assert loaded.labels == LABELS
    assert repr(loaded.student) == repr(fitted.student)  # type: ignore[attr-defined]
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["student"]
    assert not [path for path in (tmp_path / "models").rglob("*") if path.suffix in {".bin", ".pkl", ".pt", ".joblib"}]


def test_one_class_and_a_missing_class_keep_a_small_probability(student: Any, two_topics: TrainingSet) -> None:
    only = TrainingSet(two_topics.texts[:6], np.eye(3)[np.zeros(6, dtype=int)], np.ones(6))
    proba = student.fit(only, labels=("animals", "money", "food"), seed=0).predict_proba(NEW)
    assert (proba.argmax(axis=1) == 0).all()
    assert (proba > 0).all()


def test_one_example_is_enough_and_none_is_an_error(student: Any) -> None:
    one = TrainingSet(["the cat purrs"], np.array([[1.0, 0.0]]), np.ones(1))
    assert student.fit(one, labels=LABELS, seed=0).predict(["the cat purrs"]) == ["animals"]
    with pytest.raises(StudentError, match="got no example to train on; label at least one"):
        student.fit(TrainingSet([], np.zeros((0, 2)), np.zeros(0)), labels=LABELS, seed=0)


def test_soft_targets_and_weights_are_accepted(student: Any, two_topics: TrainingSet) -> None:
    soft = TrainingSet(two_topics.texts, two_topics.targets * 0.8 + 0.1, np.linspace(0.1, 1.0, 12))
    proba = student.fit(soft, labels=LABELS, seed=0).predict_proba(two_topics.texts)
    assert np.isfinite(proba).all()


def test_an_encoder_that_is_nowhere_is_a_clear_error(student: Any, two_topics: TrainingSet) -> None:
    with pytest.raises(
        ConfigError, match=r"encoder folder '\./nowhere' does not exist; give a local folder, or 'offline'"
    ):
        replace(student, model="./nowhere").fit(two_topics, labels=LABELS, seed=0)


def test_a_fresh_process_reads_a_saved_student(tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path) -> None:
    fitted = Head(tiny_encoder).fit(two_topics, labels=LABELS, seed=0)
    fitted.save(tmp_path / "student")
    code = (
        "import sys; from llm_al.students import load;"
        "print(load(sys.argv[1]).predict_proba(['a cat called']).tolist()[0])"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "student")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == str(fitted.predict_proba(["a cat called"]).tolist()[0])


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (Transformer, {"epochs": 0}, "transformer epochs is 0; it must be at least 1"),
        (Transformer, {"encoder_lr": 0.0}, "transformer encoder_lr is 0.0; it must be above 0"),
        (Transformer, {"warmup": 1.0}, "transformer warmup is 1.0; it is a share of the steps"),
        (Head, {"C": 0.0}, "head C is 0.0; it must be above 0"),
        (Head, {"n_folds": 1}, "head n_folds is 1; give 0"),
        (SetFit, {"batch_size": 0}, "setfit batch_size is 0; it must be at least 1"),
        (SetFit, {"C": -1.0}, "setfit C is -1.0; it must be above 0"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("offline", **options)


def test_texts_that_no_tokeniser_takes_are_predicted_all_the_same(student: Any, two_topics: TrainingSet) -> None:
    fitted = student.fit(two_topics, labels=LABELS, seed=0)
    assert np.isfinite(fitted.predict_proba(["caf\udce9", "\x00", "word " * 20_000])).all()
