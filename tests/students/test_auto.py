import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.errors import ConfigError, StudentError
from llm_al.students import load
from llm_al.students._folder import Header, new_folder, write_header
from llm_al.students.auto import Auto, FittedAuto
from llm_al.students.head import FittedHead, Head
from llm_al.students.transformer import FittedTransformer, Transformer
from llm_al.types import TrainingSet
from tests.students.conftest import FAST, perfect_vectors, useless_vectors

LABELS = ("animals", "money")


def test_the_cheap_one_wins_where_its_vectors_tell_the_classes_apart(
    tiny_encoder: str, two_topics: TrainingSet
) -> None:
    fitted = Auto(tiny_encoder, **FAST).fit(perfect_vectors(two_topics), labels=LABELS, seed=0)
    assert isinstance(fitted.winner, FittedHead)
    assert fitted.verdict.accuracy["head"] == 1.0
    assert (fitted.verdict.n_folds, fitted.verdict.n_labels) == (2, 12)
    # A head measures its own temperature in every fit.
    assert fitted.verdict.temperature is None


def test_the_dear_one_wins_where_it_pays(tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path) -> None:
    settings = FAST | {"options": {"transformer": {"encoder_lr": 1e-3, "epochs": 15}}, "n_folds": 4}
    repeated = TrainingSet(list(two_topics.texts) * 2, np.tile(two_topics.targets, (2, 1)), np.ones(24))
    fitted = Auto(tiny_encoder, **settings).fit(useless_vectors(repeated), labels=LABELS, seed=0)
    assert isinstance(fitted.winner, FittedTransformer)
    assert fitted.verdict.gain >= fitted.verdict.gain_se
    assert fitted.winner.temperature == fitted.verdict.temperature
    fitted.save(tmp_path / "student")
    loaded = load(tmp_path / "student")
    assert isinstance(loaded, FittedAuto)
    assert loaded.to_json() == fitted.to_json()
    assert np.array_equal(loaded.predict_proba(["a cat"]), fitted.predict_proba(["a cat"]))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([0, 6, 7], "3 labels of people for 2 classes are no test (4 and 1 a class are)"),
        ([0], "1 labels of people for 2 classes are no test"),
        ([0, 1, 2, 3, 4], "people's labels are all of one class"),
    ],
)
def test_where_a_test_says_nothing_fine_tuning_is_not_tried(
    tiny_encoder: str, two_topics: TrainingSet, counted: list[int], rows: list[int], reason: str
) -> None:
    few = TrainingSet([two_topics.texts[i] for i in rows], two_topics.targets[rows], np.ones(len(rows)))
    fitted = Auto(tiny_encoder, **FAST).fit(few, labels=LABELS, seed=0)
    assert isinstance(fitted.winner, FittedHead)
    assert reason in fitted.verdict.reason
    assert not counted


def test_few_labels_a_class_are_no_test(tiny_encoder: str, two_topics: TrainingSet, counted: list[int]) -> None:
    targets = np.eye(40)[two_topics.targets.argmax(axis=1)]
    many = replace(two_topics, targets=targets)
    fitted = Auto(tiny_encoder, **FAST).fit(many, labels=[str(i) for i in range(40)], seed=0)
    assert "12 labels of people for 40 classes" in fitted.verdict.reason
    assert not counted


def test_fewer_rows_than_folds_and_one_example_a_class_are_tested(tiny_encoder: str, two_topics: TrainingSet) -> None:
    settings = FAST | {"n_folds": 5, "min_labels": 0}
    rows = [0, 6]
    two = TrainingSet([two_topics.texts[i] for i in rows], two_topics.targets[rows], np.ones(2))
    fitted = Auto(tiny_encoder, **settings).fit(two, labels=LABELS, seed=0)
    assert fitted.verdict.n_folds == 2
    # Either class is unknown to the fold that is tested on it.
    assert fitted.verdict.accuracy == {"head": 0.0, "transformer": 0.0}


def test_a_class_without_an_example_keeps_a_probability(tiny_encoder: str, two_topics: TrainingSet) -> None:
    three = replace(two_topics, targets=np.eye(3)[two_topics.targets.argmax(axis=1)])
    fitted = Auto(tiny_encoder, **FAST).fit(three, labels=("animals", "money", "food"), seed=0)
    assert fitted.verdict.n_labels == 12
    assert (fitted.predict_proba(["a cat"]) > 0).all()


def test_only_people_are_tested_on_and_everything_is_learned_from(
    tiny_encoder: str, two_topics: TrainingSet, counted: list[int]
) -> None:
    mixed = replace(useless_vectors(two_topics), is_human=np.array([True, False] * 6))
    fitted = Auto(tiny_encoder, candidates=["transformer", "head"], **FAST).fit(mixed, labels=LABELS, seed=0)
    assert fitted.verdict.n_labels == 6
    assert counted == [3, 3, 12]


def test_the_verdict_holds_until_labels_have_grown(
    tiny_encoder: str, two_topics: TrainingSet, counted: list[int]
) -> None:
    auto = Auto(tiny_encoder, **FAST, recheck_growth=1.5)
    assert auto.wants_previous
    eight = [0, 1, 2, 3, 6, 7, 8, 9]
    full = perfect_vectors(two_topics)
    assert full.embeddings is not None
    small = TrainingSet([full.texts[i] for i in eight], full.targets[eight], np.ones(8), full.embeddings[eight])
    first = auto.fit(small, labels=LABELS, seed=0)
    assert counted == [4, 4]
    kept = auto.fit_from(first, small, labels=LABELS, seed=1)
    assert counted == [4, 4]
    assert (kept.verdict.n_labels, kept.verdict.reason) == (8, first.verdict.reason)
    # 12 are one and a half times 8.
    again = auto.fit_from(kept, full, labels=LABELS, seed=1)
    assert counted == [4, 4, 6, 6]
    assert again.verdict.n_labels == 12


def test_another_kind_or_other_labels_are_judged_anew(
    tiny_encoder: str, two_topics: TrainingSet, counted: list[int]
) -> None:
    auto, training = Auto(tiny_encoder, **FAST), perfect_vectors(two_topics)
    head = Head(tiny_encoder).fit(training, labels=LABELS, seed=0)
    first = auto.fit_from(head, training, labels=LABELS, seed=0)
    assert counted == [6, 6]
    auto.fit_from(first, training, labels=("animals", "cash"), seed=0)
    assert counted == [6, 6, 6, 6]


def test_a_winner_that_goes_on_is_handed_its_earlier_self(tiny_encoder: str, two_topics: TrainingSet) -> None:
    options = {"transformer": {"start": "warm", "epochs": 1}}
    auto = Auto(tiny_encoder, candidates=("transformer",), options=options, recheck_growth=1.0)
    assert auto.wants_previous
    first = auto.fit(two_topics, labels=LABELS, seed=0)
    warm = auto.fit_from(first, two_topics, labels=LABELS, seed=0)
    assert not np.array_equal(warm.predict_proba(["a cat"]), first.predict_proba(["a cat"]))
    assert warm.verdict.reason == "transformer: it is the only candidate"


def test_names_alone_are_enough_where_the_first_candidate_takes_them(tiny_encoder: str) -> None:
    nothing = TrainingSet([], np.zeros((0, 2)), np.zeros(0), label_embeddings=np.eye(2, 32, dtype=np.float32))
    auto = Auto(tiny_encoder)
    assert auto.learns_from_names
    proba = auto.fit(nothing, labels=LABELS, seed=0).predict_proba(["x"], embeddings=np.eye(1, 32, dtype=np.float32))
    assert proba.argmax() == 0
    assert not Auto(tiny_encoder, candidates=("transformer",)).learns_from_names


def test_a_candidate_that_diverges_loses_and_says_so(
    tiny_encoder: str, two_topics: TrainingSet, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def diverge(*_: Any, **__: Any) -> FittedTransformer:
        raise StudentError("training diverged 3 times")

    monkeypatch.setattr(Transformer, "fit", diverge)
    with caplog.at_level(logging.WARNING):
        fitted = Auto(tiny_encoder, **FAST).fit(useless_vectors(two_topics), labels=LABELS, seed=0)
    assert fitted.verdict.chosen == "head"
    assert "the candidate transformer is out: training diverged 3 times" in caplog.text
    monkeypatch.setattr(Head, "fit", diverge)
    with pytest.raises(StudentError, match="none of head, transformer can be trained; see the log"):
        Auto(tiny_encoder, **FAST).fit(useless_vectors(two_topics), labels=LABELS, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": ()}, r"auto candidates are \[\] with options for \[\]; name one or more"),
        ({"candidates": ("head", "forest")}, "name one or more, each once, of: head, setfit, transformer"),
        ({"candidates": ("head", "head")}, "each once"),
        ({"options": {"head": {"D": 1}}}, "auto options of head have 'D'; allowed: C, device"),
        ({"options": {"head": {"C": -1}}}, "head C is -1; it must be above 0"),
        ({"n_folds": 1}, "auto n_folds is 1; it must be at least 2"),
        ({"recheck_growth": 0.5}, "auto recheck_growth is 0.5; it must be at least 1"),
        ({"min_gain_se": -1.0}, "auto min_gain_se is -1.0; it must be at least 0"),
    ],
)
def test_wrong_settings_show_before_anything_is_trained(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Auto("offline", **options)


def test_a_damaged_verdict_is_a_clear_error(tmp_path: Path) -> None:
    with new_folder(tmp_path / "student") as fresh:
        write_header(fresh, Header("auto", LABELS, 1.0, {"student": {}}))
    with pytest.raises(StudentError, match="holds no verdict that can be read"):
        load(tmp_path / "student")
