import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import llm_al
from llm_al.distillation import small as small_module
from llm_al.errors import ConfigError, DataError, MissingExtraError, NotFittedError
from llm_al.project import Project
from llm_al.students import distilled
from llm_al.students.transformer import Transformer
from tests.fakes.shop import listing

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

QUICK = {"epochs": 1, "min_steps": 0, "max_tokens": 16}


@pytest.fixture
def quick(tiny_encoder: str) -> dict[str, Any]:
    return {"model": tiny_encoder, "options": QUICK, "n_threads": 1}


def _exports(project: Project) -> list[str]:
    return sorted(path.name for path in (project.folder / "exports").iterdir())


def test_a_finished_project_is_distilled_exported_and_measured(finished: Path, quick: dict[str, Any]) -> None:
    with Project.open(finished) as project:
        n_answers, spent = len(project.store.annotations()), project.store.spent_nanousd()
        report = project.distil(**quick)
        # Nobody was asked, nothing was paid, and no round was touched.
        assert (len(project.store.annotations()), project.store.spent_nanousd()) == (n_answers, spent)
        assert [each.name for each in report.results] == ["teacher", "student", "int8"]
        assert report.results[0].accuracy == project.status().records[-1].metrics.accuracy  # type: ignore[union-attr]
        # Propagated labels cover the rest of so small a pool, so that no text is left that the teacher has not seen.
        assert (report.n_teachers, report.n_human, report.n_soft, report.n_held_out) == (1, 21, 21, 0)
        assert (report.basis, report.is_seen) == ("the test split, 12 texts", False)
        assert all(each.texts_per_s and each.texts_per_s > 0 for each in report.results)
        folder = finished / "exports" / "distilled-1"
        assert Path(report.folder) == folder
        assert json.loads((folder / "report.json").read_text(encoding="utf-8")) == json.loads(
            json.dumps(report.to_json())
        )
        student = llm_al.load_student(folder / "onnx")
        assert student.labels == project.scheme.names
        assert student.student.n_threads == 1  # type: ignore[attr-defined]
        assert student.predict(["where is my parcel"])[0] in student.labels
        assert report.results[2].n_bytes == sum(path.stat().st_size for path in (folder / "onnx").iterdir())


def test_a_second_run_takes_the_next_number_and_trains_nothing_again(
    finished: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Project.open(finished) as project:
        project.distil(**quick)
        monkeypatch.setattr(Transformer, "fit", None)
        project.distil(**quick)
        one, two = (listing(finished / "exports" / f"distilled-{n}" / "student") for n in (1, 2))
        assert one == two


def test_without_a_test_split_the_labels_are_said_to_be_seen(make_project: Any, quick: dict[str, Any]) -> None:
    project = make_project(test=False, budget={"rounds": 1, "human_labels": 9})
    list(project.run())
    report = project.distil(**quick)
    assert report.is_seen
    assert report.basis == "9 labels of people, as there is no test split"
    assert report.n_basis == 9
    assert report.results[0].agreement == 1.0
    assert 0.0 <= report.results[1].agreement <= 1.0


@pytest.fixture
def tuned(make_project: Any, tiny_encoder: str) -> Project:
    """A project whose own student is a transformer, after one round."""
    project: Project = make_project(
        student={"name": "transformer", "model": tiny_encoder, "options": {"epochs": 1, "max_tokens": 16}},
        budget={"rounds": 1, "human_labels": 9},
    )
    list(project.run())
    return project


def test_an_interrupted_run_leaves_nothing_half_and_the_next_goes_on_where_it_was(
    tuned: Project, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> Any:
        raise KeyboardInterrupt

    before = listing(tuned.folder / "models")
    with monkeypatch.context() as patch:
        patch.setattr(small_module.Small, "_trained", stop)
        with pytest.raises(KeyboardInterrupt):
            tuned.distil(n_teachers=2, **quick)
    assert not (tuned.folder / "exports").exists() or not _exports(tuned)
    kept = listing(tuned.folder / "cache" / "distil")
    assert any(path.endswith("teacher-1/model.safetensors") for path in kept)
    report = tuned.distil(n_teachers=2, **quick)
    after = listing(tuned.folder / "cache" / "distil")
    assert {path: after[path] for path in kept} == kept
    assert report.n_teachers == 2
    assert listing(tuned.folder / "models") == before
    assert _exports(tuned) == ["distilled-1"]


def test_a_failed_export_leaves_no_folder_and_leftovers_are_swept_out(
    tuned: Project, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tuned.folder / "exports" / ".distilled-1.0000.new").mkdir(parents=True)
    (tuned.folder / "cache" / "distil" / "teachers-of-old").mkdir(parents=True)

    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_al.distillation.run.export", fail)
    with pytest.raises(KeyboardInterrupt):
        tuned.distil(n_teachers=1, **quick)
    assert list((tuned.folder / "exports").iterdir()) == []
    assert len(list((tuned.folder / "cache" / "distil").iterdir())) == 1


def test_the_ensemble_says_the_mean_of_its_members(tuned: Project, quick: dict[str, Any]) -> None:
    from llm_al.distillation.rows import last_mixture
    from llm_al.distillation.teachers import Teachers

    loop = tuned.loop()
    teachers = Teachers(loop, 1, loop.students.student, last_mixture(loop, 1).training_set(loop.corpus), 2, True)
    rows = np.array([4, 0, 7])
    said = teachers.said(rows)
    texts = loop.corpus.texts_at(rows)
    each = [teachers.member(i).predict_proba(texts) for i in range(2)]
    assert not np.array_equal(each[0], each[1])
    np.testing.assert_allclose(said.pool, (each[0] + each[1]) / 2, atol=1e-6)
    assert said.test is not None
    assert said.test.shape == (12, 3)
    np.testing.assert_array_equal(teachers.said(rows).pool, said.pool)
    told = replace(teachers, training=replace(teachers.training, catch_all=1))
    assert told.fingerprint != teachers.fingerprint


def test_a_larger_encoder_may_teach_and_layers_may_go(tuned: Project, quick: dict[str, Any], tiny_encoder: str) -> None:
    report = tuned.distil(teacher_model=tiny_encoder, n_teachers=1, n_layers=1, max_rows=5, **quick)
    assert report.n_soft == 5
    assert report.teacher == repr(Transformer(tiny_encoder, epochs=1, max_tokens=16))
    assert report.student.endswith(", 1 layers")
    whole = tuned.distil(teacher_model=tiny_encoder, n_teachers=1, max_rows=5, **quick)
    assert report.results[1].n_bytes < whole.results[1].n_bytes
    header = json.loads((Path(report.folder) / "student" / "student.json").read_text(encoding="utf-8"))
    assert header["settings"]["model"] == tiny_encoder


def test_a_project_without_a_student_or_texts_is_one_clear_error(
    make_project: Any, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    with pytest.raises(NotFittedError, match=r"has no student yet; run it first: llm-al run"):
        project.distil(**quick)
    monkeypatch.setattr(project.store, "n_examples", lambda _split: 0)
    with pytest.raises(DataError, match=r"the pool of .* is empty; add texts with: llm-al add"):
        project.distil(**quick)


def test_missing_packages_are_told_before_anything_is_trained(
    finished: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise MissingExtraError("the ONNX export needs extra packages")

    monkeypatch.setattr("llm_al.distillation.run.check_export", missing)
    monkeypatch.setattr(Transformer, "fit", None)
    with Project.open(finished) as project, pytest.raises(MissingExtraError, match="needs extra packages"):
        project.distil(**quick)
    assert not (finished / "cache" / "distil").exists()


def test_a_head_on_hashed_words_cannot_be_exported(finished: Path) -> None:
    with (
        Project.open(finished) as project,
        pytest.raises(ConfigError, match="a head on vectors of the embedder 'hashing' cannot be exported; distil into"),
    ):
        project.distil(student="head")


def test_a_small_head_with_an_encoder_of_its_own_is_exported(finished: Path, tiny_encoder: str) -> None:
    with Project.open(finished) as project:
        report = project.distil(student="head", model=tiny_encoder, n_threads=1)
    assert distilled.SMALL == ("head", "transformer")
    assert report.student.startswith("Head(")
    assert llm_al.load_student(Path(report.folder) / "onnx").predict(["my parcel"])


def test_a_project_whose_student_knows_nothing_but_label_names_is_distilled(
    make_project: Any, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(budget={"rounds": 1, "human_labels": 9})
    list(project.run())
    loop = project.loop()
    nothing = replace(loop.situation.answers(), human=np.full(42, -1), is_asked=np.zeros(42, dtype=np.bool_))
    monkeypatch.setattr("llm_al.situation.Situation.answers", lambda _self: nothing)
    report = project.distil(max_rows=10, **quick)
    assert (report.n_human, report.n_soft, report.n_teachers) == (0, 10, 1)
    assert all(each.accuracy is not None for each in report.results)
