import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.errors import ConfigError, StudentError
from llm_al.students import load
from llm_al.students._folder import Header, new_folder, write_header
from llm_al.students.blend import Blend, FittedBlend, Share
from llm_al.students.calibration import pooled
from llm_al.students.head import FittedHead
from llm_al.students.saved import why_chosen
from llm_al.students.transformer import FittedTransformer, Transformer
from llm_al.types import TrainingSet
from llm_al.views import AVERAGE, FIRST, FIRST_TOKEN
from tests.students.conftest import FAST, perfect_vectors, useless_vectors

LABELS = ("animals", "money")


def test_vectors_that_say_nothing_leave_all_to_the_fine_tuned_part(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path
) -> None:
    training = useless_vectors(two_topics)
    slow = {**FAST, "options": {"transformer": {"encoder_lr": 1e-3, "epochs": 12}}}
    fitted = Blend(tiny_encoder, **slow, prior_sd=100.0).fit(training, labels=LABELS, seed=0)
    assert fitted.share.value >= 0.75
    assert fitted.share.n_labels == len(training)
    assert "the fine-tuned encoder counts" in fitted.share.reason
    fitted.save(tmp_path / "student")
    again = load(tmp_path / "student")
    vectors = training.embeddings
    assert np.allclose(
        again.predict_proba(training.texts, embeddings=vectors),
        fitted.predict_proba(training.texts, embeddings=vectors),
    )
    assert why_chosen(tmp_path / "student") == fitted.share.reason


def test_where_the_head_is_sure_and_right_it_counts(tiny_encoder: str, two_topics: TrainingSet) -> None:
    training = perfect_vectors(two_topics)
    fitted = Blend(tiny_encoder, **FAST).fit(training, labels=LABELS, seed=0)
    assert fitted.share.value < 0.75
    proba = fitted.predict_proba(training.texts, embeddings=training.embeddings)
    assert np.allclose(proba.sum(axis=1), 1.0)
    assert (proba.argmax(axis=1) == training.targets.argmax(axis=1)).all()
    assert fitted.predict([]) == []


def test_the_pool_is_what_the_parts_say(tiny_encoder: str, two_topics: TrainingSet) -> None:
    training = perfect_vectors(two_topics)
    recipe = Blend(tiny_encoder, **FAST)
    fitted = recipe._fit(Share(0.25, "", 12, 1.0), training, LABELS, 0)
    head = fitted.head.predict_proba(training.texts, embeddings=training.embeddings)
    (only,) = fitted.tuned
    tuned = only.student.predict_proba(training.texts)
    mean = tuned**0.25 * head**0.75
    expected = mean / mean.sum(axis=1, keepdims=True)
    assert np.allclose(fitted.predict_proba(training.texts, embeddings=training.embeddings), expected)


def test_an_opinion_that_is_out_of_the_question_stays_a_number() -> None:
    sure, torn = np.array([[1.0, 0.0]]), np.array([[0.5, 0.5]])
    found = pooled(sure, torn)
    assert np.isfinite(found).all()
    assert found[0, 0] == pytest.approx(1.0, abs=1e-5)
    assert np.array_equal(pooled(sure, torn, shares=(1.0, 0.0)), sure)
    assert np.array_equal(pooled(sure, torn, shares=(0.0, 1.0)), torn)


def test_the_prior_holds_against_few_labels(tiny_encoder: str, two_topics: TrainingSet) -> None:
    training = useless_vectors(two_topics)
    options = {**FAST, "options": {"transformer": {"encoder_lr": 1e-3, "epochs": 12}}}
    held = Blend(tiny_encoder, **options, prior_share=0.25, prior_sd=0.01).fit(training, labels=LABELS, seed=0)
    free = Blend(tiny_encoder, **options, prior_share=0.25, prior_sd=100.0).fit(training, labels=LABELS, seed=0)
    assert held.share.value == 0.25
    assert free.share.value >= 0.75


def test_few_labels_and_one_class_leave_the_head_alone(
    tiny_encoder: str, two_topics: TrainingSet, counted: list[int], tmp_path: Path
) -> None:
    training = perfect_vectors(two_topics)
    few = Blend(tiny_encoder, min_labels=20).fit(training, labels=LABELS, seed=0)
    assert "12 labels of people are no test (20 are)" in few.share.reason
    one_class = replace(training, targets=np.eye(2)[np.zeros(len(training), dtype=int)])
    alone = Blend(tiny_encoder, **FAST).fit(one_class, labels=LABELS, seed=0)
    assert "all of one class" in alone.share.reason
    assert counted == []
    few.save(tmp_path / "student")
    again = load(tmp_path / "student")
    assert isinstance(again, FittedBlend)
    assert again.tuned == ()
    assert isinstance(again.head, FittedHead)


def test_the_fine_tuned_part_learns_from_people_alone(
    tiny_encoder: str, two_topics: TrainingSet, counted: list[int]
) -> None:
    is_human = np.arange(len(two_topics)) < 8
    training = replace(useless_vectors(two_topics), is_human=is_human)
    fitted = Blend(tiny_encoder, **FAST).fit(training, labels=LABELS, seed=0)
    assert counted[:2] == [4, 4]
    assert counted[2:] == ([8] if fitted.share.value else [])


def test_shares_hold_until_labels_have_grown(tiny_encoder: str, two_topics: TrainingSet, counted: list[int]) -> None:
    recipe = Blend(tiny_encoder, **FAST, recheck_growth=1.5)
    training = useless_vectors(two_topics)
    first = recipe.fit(replace(training, is_human=np.arange(12) < 8), labels=LABELS, seed=0)
    counted.clear()
    held = recipe.fit_from(first, replace(training, is_human=np.arange(12) < 10), labels=LABELS, seed=0)
    assert held.share == first.share
    assert len(counted) <= 1
    counted.clear()
    anew = recipe.fit_from(first, training, labels=LABELS, seed=0)
    assert anew.share.n_labels == 12
    assert len(counted) >= 2
    other = recipe.fit_from(first, training, labels=("a", "b"), seed=0)
    assert other.share.n_labels == 12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_folds": 1}, "blend n_folds is 1; it must be at least 2"),
        ({"recheck_growth": 0.5}, "blend recheck_growth is 0.5"),
        ({"taught_epochs": -1}, "blend taught_epochs is -1; it must be at least 0"),
        ({"taught_to_per_class": -1}, "blend taught_to_per_class is -1; it must be at least 0"),
        ({"human_weight": 0.0}, "blend human_weight is 0.0; it must be above 0"),
        ({"n_earlier": -1}, "blend n_earlier is -1; it must be at least 0"),
        ({"prior_share": 1.5}, r"blend prior_share is 1.5; it must be in \[0, 1\]"),
        ({"prior_sd": 0.0}, "blend prior_sd is 0.0; it must be above 0"),
        ({"options": {"setfit": {}}}, "blend has options for 'setfit'; give them for: head, transformer"),
        ({"options": {"head": {"depth": 3}}}, "blend options of head have 'depth'; allowed: "),
    ],
)
def test_wrong_settings_show_before_anything_is_trained(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Blend("offline", **settings)


def test_a_damaged_share_is_a_clear_error(tmp_path: Path) -> None:
    with new_folder(tmp_path / "student") as fresh:
        write_header(fresh, Header("blend", LABELS, 1.0, {"student": {"model": "offline"}}))
    with pytest.raises(StudentError, match="holds no share that can be read"):
        load(tmp_path / "student")


def test_without_an_example_names_have_to_do(tiny_encoder: str) -> None:
    empty = TrainingSet([], np.zeros((0, 2)), np.zeros(0))
    with pytest.raises(StudentError, match="no example to train on"):
        Blend(tiny_encoder).fit(empty, labels=LABELS, seed=0)
    named = replace(empty, label_embeddings=np.eye(2, 32, dtype=np.float32))
    assert Blend(tiny_encoder).fit(named, labels=LABELS, seed=0).labels == LABELS


def test_encoders_of_earlier_rounds_keep_a_say(tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path) -> None:
    recipe, training = Blend(tiny_encoder, **FAST, n_earlier=2), useless_vectors(two_topics)
    rounds = [recipe.fit(replace(training, is_human=np.arange(12) < 8), labels=LABELS, seed=0)]
    for n in (10, 12, 12):
        people = replace(training, is_human=np.arange(12) < n)
        rounds.append(recipe.fit_from(rounds[-1], people, labels=LABELS, seed=n))
    # Eight labels are less than three quarters of twelve.
    assert [[one.n_labels for one in fitted.tuned] for fitted in rounds] == [[8], [10, 8], [12, 10], [12, 12, 10]]
    newest = rounds[-1]
    assert newest.tuned[1:] == rounds[-2].tuned[:2]
    mean = np.prod([one.student.predict_proba(training.texts) for one in newest.tuned], axis=0) ** (1 / 3)
    alone = replace(newest, share=replace(newest.share, value=1.0))
    assert np.allclose(alone.predict_proba(training.texts), mean / mean.sum(axis=1, keepdims=True))
    newest.save(tmp_path / "student")
    vectors = training.embeddings
    assert np.allclose(
        load(tmp_path / "student").predict_proba(training.texts, embeddings=vectors),
        newest.predict_proba(training.texts, embeddings=vectors),
    )


def test_a_saved_student_reads_no_text_that_its_encoders_have_read(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, folder = useless_vectors(two_topics), tmp_path / "student"
    recipe = Blend(tiny_encoder, **FAST, n_earlier=1)
    recipe.fit(replace(training, is_human=np.arange(12) < 10), labels=LABELS, seed=0).save(folder)
    first: Any = load(folder)
    told = first.predict_proba(training.texts, embeddings=training.embeddings)
    first.remember(folder)
    read: list[list[str]] = []
    plain = FittedTransformer.predict_proba

    def watched(self: FittedTransformer, texts: Any, **named: Any) -> Any:
        read.append(list(texts))
        return plain(self, texts, **named)

    previous = load(folder)
    newest: Any = recipe.fit_from(previous, training, labels=LABELS, seed=1)
    newest.save(tmp_path / "newest")
    monkeypatch.setattr(FittedTransformer, "predict_proba", watched)
    np.testing.assert_array_equal(previous.predict_proba(training.texts, embeddings=training.embeddings), told)
    assert read == []
    # Of the next round's, only the new one reads them.
    load(tmp_path / "newest").predict_proba(training.texts, embeddings=training.embeddings)
    assert read == [list(training.texts)]
    # Where the file is lost or damaged, they are read again.
    (folder / "transformer" / "said.safetensors").write_bytes(b"no")
    np.testing.assert_allclose(
        load(folder).predict_proba(training.texts, embeddings=training.embeddings), told, atol=1e-6
    )
    assert len(read) == 2


def test_no_encoder_is_kept_where_none_is_wanted_or_labels_are_others(
    tiny_encoder: str, two_topics: TrainingSet
) -> None:
    training = useless_vectors(two_topics)
    recipe = Blend(tiny_encoder, **FAST, n_earlier=0)
    first = recipe.fit(training, labels=LABELS, seed=0)
    assert len(recipe.fit_from(first, training, labels=LABELS, seed=1).tuned) == 1
    keeping = replace(recipe, n_earlier=2)
    assert len(keeping.fit_from(first, training, labels=LABELS, seed=1).tuned) == 1
    own = keeping.fit(training, labels=LABELS, seed=0)
    assert len(keeping.fit_from(own, training, labels=("a", "b"), seed=1).tuned) == 1


def _with_views(training: TrainingSet, told_by: int) -> TrainingSet:
    """Put the vectors into one of three views, which the loop has chosen, where the others say nothing."""
    own = useless_vectors(training).embeddings
    assert training.embeddings is not None
    assert own is not None
    views = [training.embeddings if view == told_by else own for view in range(3)]
    return replace(training, embeddings=np.stack(views, axis=1), view=told_by)


def _with_unlabelled(training: TrainingSet) -> TrainingSet:
    """Add the same texts without labels, with vectors that tell the class."""
    return replace(training, unlabelled=training.texts, unlabelled_embeddings=training.embeddings)


def test_what_the_head_holds_of_unlabelled_texts_is_taught(
    tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[TrainingSet] = []

    def watched(self: Transformer, training: TrainingSet, **named: Any) -> Any:
        seen.append(training)
        return fit(self, training, **named)

    fit = Transformer.fit
    monkeypatch.setattr(Transformer, "fit", watched)
    training = _with_unlabelled(_with_views(perfect_vectors(two_topics), FIRST_TOKEN))
    fitted = Blend(tiny_encoder, **FAST, prior_share=0.75, human_weight=5.0).fit(training, labels=LABELS, seed=0)
    taught, alone = seen[-2:]
    assert len(taught) == 24
    assert list(taught.weights) == [5.0] * 12 + [1.0] * 12
    head = fitted.head.predict_proba(training.texts, embeddings=training.embeddings)
    assert np.allclose(taught.targets, np.concatenate([training.targets, head]))
    assert (len(alone), list(alone.unlabelled)) == (12, list(training.texts))
    assert [one.is_taught for one in fitted.tuned] == [True, False]
    assert (fitted.is_taught, fitted.head.view, fitted.share.value) == (True, FIRST_TOKEN, 0.75)
    fitted.save(tmp_path / "student")
    assert why_chosen(tmp_path / "student").endswith("of texts without a label")
    by_head, by_own = (one.student.predict_proba(training.texts) for one in fitted.tuned)
    # The share of the fine-tuned part, .75, is that of either encoder beside one view of the head.
    expected = pooled(head, by_head, by_own, shares=(0.25 / 2.5, 1.5 / 2.5, 0.75 / 2.5))
    for student in (fitted, load(tmp_path / "student")):
        assert np.allclose(student.predict_proba(training.texts, embeddings=training.embeddings), expected, atol=1e-6)


@pytest.mark.parametrize("settings", [{"taught_epochs": 0}, {"taught_to_per_class": 5}, {}])
def test_without_vectors_or_epochs_or_with_many_labels_nothing_is_taught(
    settings: dict[str, Any], tiny_encoder: str, two_topics: TrainingSet
) -> None:
    training = _with_unlabelled(_with_views(perfect_vectors(two_topics), FIRST_TOKEN))
    if not settings:
        training = replace(training, unlabelled_embeddings=None)
    assert not Blend(tiny_encoder, **FAST, **settings, prior_share=0.75).fit(training, labels=LABELS, seed=0).is_taught


def test_a_head_on_the_encoders_own_vectors_teaches_nothing(tiny_encoder: str, two_topics: TrainingSet) -> None:
    training = _with_unlabelled(_with_views(perfect_vectors(two_topics), FIRST))
    fitted = Blend(tiny_encoder, **FAST, prior_share=0.75).fit(training, labels=LABELS, seed=0)
    assert (fitted.is_taught, fitted.head.view, fitted.share.value) == (False, FIRST, 0.75)


def test_a_head_counts_once_for_each_of_its_views(tiny_encoder: str, two_topics: TrainingSet) -> None:
    training = _with_unlabelled(_with_views(perfect_vectors(two_topics), AVERAGE))
    vectors = training.embeddings
    fitted = Blend(tiny_encoder, **FAST, prior_sd=0.01).fit(training, labels=LABELS, seed=0)
    assert [part.view for part in fitted.head.parts] == [AVERAGE, FIRST]
    assert (fitted.is_taught, fitted.share.value) == (True, 0.5)
    head = fitted.head.predict_proba(training.texts, embeddings=vectors)
    tuned = [one.student.predict_proba(training.texts) for one in fitted.tuned]
    expected = pooled(head, *tuned, shares=(0.4, 0.4, 0.2))
    assert np.allclose(fitted.predict_proba(training.texts, embeddings=vectors), expected, atol=1e-6)


@pytest.mark.parametrize("kind", [True, False])
def test_a_blend_of_before_there_were_two_kinds_is_read(
    kind: bool, tiny_encoder: str, two_topics: TrainingSet, tmp_path: Path
) -> None:
    recipe = Blend(tiny_encoder, **FAST, prior_sd=0.01)
    recipe.fit(useless_vectors(two_topics), labels=LABELS, seed=0).save(tmp_path / "student")
    header = tmp_path / "student" / "student.json"
    told = json.loads(header.read_text())
    assert told["settings"].pop("taught") == [False]
    told["settings"]["is_taught"] = kind
    header.write_text(json.dumps(told))
    again = load(tmp_path / "student")
    assert isinstance(again, FittedBlend)
    assert [(one.n_labels, one.is_taught) for one in again.tuned] == [(12, kind)]
