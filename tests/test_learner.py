import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import llm_al
from llm_al.embedders.hashing import HashEmbedder
from llm_al.errors import ConfigError, DataError, LabelError, NotFittedError, UnknownNameError
from llm_al.learner import ActiveLearner, Query
from llm_al.types import NONE_OF_THESE
from tests.fakes import shop

TEXTS = [row["text"] for row in shop.POOL]
GOLD = {row["text"]: row["label"] for row in [*shop.POOL, *shop.TEST]}


def make(**changes: Any) -> ActiveLearner:
    fields = {"student": "head", "embedder": HashEmbedder(), **changes}
    return ActiveLearner(list(shop.LABELS), **fields)


def taught(k: int = 12, **changes: Any) -> ActiveLearner:
    learner = make(**changes)
    query = learner.query(TEXTS, k)
    learner.teach(query, [GOLD[text] for text in query.texts])
    return learner


def test_queries_and_answers_make_a_classifier() -> None:
    learner = make()
    for _ in range(5):
        query = learner.query(TEXTS, k=6)
        learner.teach(query, [GOLD[text] for text in query.texts])
    assert learner.n_labels == 30
    tests = [row["text"] for row in shop.TEST]
    proba = learner.predict_proba(tests)
    assert proba.shape == (len(tests), 3)
    assert np.allclose(proba.sum(axis=1), 1.0)
    hits = [label == GOLD[text] for label, text in zip(learner.predict(tests), tests, strict=True)]
    assert np.mean(hits) > 0.6


def test_a_query_names_rows_of_the_pool_and_nothing_twice() -> None:
    learner = make()
    query = learner.query(TEXTS, k=5)
    assert len(query) == 5
    assert query.texts == tuple(TEXTS[row] for row in query.positions)
    learner.teach(query, [GOLD[text] for text in query.texts])
    assert not set(learner.query(TEXTS, k=37).texts) & set(query.texts)


def test_each_choice_of_a_view_knows_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int | None] = []

    def choose(_vectors: Any, _targets: Any, standing: int | None) -> int:
        told.append(standing)
        return 0

    monkeypatch.setattr("llm_al.learner.best_view", choose)
    learner = taught(k=12)
    assert told == [], "four labels a class choose nothing"
    for _ in range(2):
        query = learner.query(TEXTS, k=3)
        learner.teach(query, [GOLD[text] for text in query.texts])
    assert told == [None, 0]


def test_a_used_up_pool_gives_what_is_left() -> None:
    learner = make()
    query = learner.query(TEXTS[:4], k=10)
    assert sorted(query.texts) == sorted(TEXTS[:4])
    learner.teach(query, [GOLD[text] for text in query.texts])
    assert len(learner.query(TEXTS[:4], k=10)) == 0
    assert len(make().query([], k=3)) == 0


@pytest.mark.parametrize("answer", [None, NONE_OF_THESE, "skip"])
def test_texts_without_a_label_are_passed_over_for_good(answer: str | None) -> None:
    learner = make(student_options={"name_weight": 0.0})
    query = learner.query(TEXTS, k=3)
    learner.teach(query, [answer] * 3)
    assert learner.n_labels == 0
    assert not set(learner.query(TEXTS, k=39).texts) & set(query.texts)
    with pytest.raises(NotFittedError, match="query and teach first"):
        learner.predict(TEXTS)


def test_an_unknown_label_teaches_nothing() -> None:
    learner = make()
    with pytest.raises(LabelError, match="unknown label 'refunds'; choose from: delivery, refund, product"):
        learner.teach(TEXTS[:2], ["refund", "refunds"])
    assert learner.n_labels == 0


def test_answers_and_texts_must_match() -> None:
    with pytest.raises(DataError, match="1 labels for 2 texts"):
        make().teach(TEXTS[:2], ["refund"])


def test_one_seed_gives_one_sequence_of_queries() -> None:
    def texts(seed: int) -> list[str]:
        learner = taught(seed=seed, strategy="margin+diverse")
        return [*learner.query(TEXTS, 5).texts, *learner.query(TEXTS, 5).texts]

    assert texts(3) == texts(3)


def test_repeated_texts_share_one_answer() -> None:
    learner = make()
    learner.teach([TEXTS[0]], [GOLD[TEXTS[0]]])
    query = learner.query([TEXTS[0], TEXTS[0], TEXTS[1]], k=3)
    assert query.texts == (TEXTS[1],)


def test_a_saved_learner_predicts_in_a_fresh_process(tmp_path: Path) -> None:
    learner = taught()
    learner.save(tmp_path / "student")
    code = (
        "import sys, llm_al\nfrom llm_al.embedders.hashing import HashEmbedder\n"
        "texts = sys.argv[2:]\nstudent = llm_al.load_student(sys.argv[1])\n"
        "proba = student.predict_proba(texts, embeddings=HashEmbedder().encode(texts))\n"
        "print([student.labels[i] for i in proba.argmax(axis=1)])"
    )
    texts = [row["text"] for row in shop.TEST]
    command = [sys.executable, "-c", code, str(tmp_path / "student"), *texts]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert found.stdout.strip() == str(learner.predict(texts)), found.stderr


def test_nothing_is_saved_before_something_is_learned(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        make(student_options={"name_weight": 0.0}).save(tmp_path / "student")
    assert not (tmp_path / "student").exists()


def test_objects_stand_in_for_names() -> None:
    class First:
        def query(self, view: Any, k: int, rng: Any) -> Any:
            rows = np.flatnonzero(view.is_available)[:k]
            return rows, np.zeros(len(rows))

    learner = make(strategy=First(), student=make().student)
    assert learner.query(TEXTS, 3).texts == tuple(TEXTS[:3])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"student": "oracle"}, UnknownNameError),
        ({"strategy": "margn"}, UnknownNameError),
        ({"student_options": {"depth": 3}}, ConfigError),
    ],
)
def test_wrong_settings_are_refused_when_it_is_made(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error, match=r"choose from|allowed"):
        make(**changes)


@pytest.mark.parametrize("labels", [["one"], ["a", "A"], ["a", "skip"]])
def test_label_lists_are_checked(labels: list[str]) -> None:
    with pytest.raises(LabelError):
        ActiveLearner(labels, student="head", embedder=HashEmbedder())


def test_a_query_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="k is 0"):
        make().query(TEXTS, 0)


def test_the_package_offers_the_learner() -> None:
    assert llm_al.ActiveLearner is ActiveLearner
    assert llm_al.Query is Query


def test_a_head_predicts_from_names_before_the_first_label() -> None:
    learner = ActiveLearner(
        ["cat", "dog"],
        descriptions={"cat": "it purrs", "dog": "it growls"},
        student="head",
        embedder=HashEmbedder(),
    )
    assert learner.predict(["listen how it purrs", "a night when it growls"]) == ["cat", "dog"]


def test_a_description_of_no_label_is_refused() -> None:
    with pytest.raises(LabelError, match="unknown label 'cow' in descriptions; choose from: cat, dog"):
        ActiveLearner(["cat", "dog"], descriptions={"cow": "moos"}, student="head", embedder=HashEmbedder())


def test_a_catch_all_label_reaches_strategy_and_student() -> None:
    seen = []

    class First:
        def query(self, view: Any, k: int, rng: np.random.Generator) -> Any:
            seen.append(view.catch_all)
            return np.arange(k), np.zeros(k)

    make(strategy=First(), student=make().student, catch_all=list(shop.LABELS)[1]).query(TEXTS, 2)
    assert seen == [1]
    with pytest.raises(LabelError, match="catch_all is 'rest', which is no label"):
        make(catch_all="rest")
