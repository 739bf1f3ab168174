import builtins
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from llm_al.errors import MissingExtraError, StudentError
from llm_al.students import load
from llm_al.students._folder import Header, new_folder, write_header
from llm_al.students._onnx_export import check_export, export
from llm_al.students.head import FittedHead, Head
from llm_al.students.onnx_student import FittedOnnx, OnnxSettings
from llm_al.students.transformer import FittedTransformer, Transformer
from llm_al.types import TrainingSet

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

LABELS = ("animals", "money")
NEW = ["a cat called", "pay the loan", "", "word " * 200, "caf\udce9 \x00"]
EXACT = OnnxSettings(is_int8=False, n_threads=1)
INT8 = OnnxSettings(n_threads=1)


@pytest.fixture(scope="module")
def learned(tiny_encoder: str) -> TrainingSet:
    from tests.students.conftest import ANIMALS, MONEY

    return TrainingSet(ANIMALS + MONEY, np.repeat(np.eye(2), 6, axis=0), np.ones(12))


@pytest.fixture(scope="module")
def fitted(tiny_encoder: str, learned: TrainingSet) -> FittedTransformer:
    return Transformer(tiny_encoder, encoder_lr=1e-3, epochs=5, precision="fp32").fit(learned, labels=LABELS, seed=0)


@pytest.fixture(scope="module")
def exported(fitted: FittedTransformer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "int8"
    export(fitted, folder, INT8)
    return folder


def test_the_graph_says_what_the_student_says(fitted: FittedTransformer, tmp_path: Path) -> None:
    export(fitted, tmp_path / "onnx", EXACT)
    loaded = load(tmp_path / "onnx")
    # Scale, head and temperature are inside: only float32 rounding is left.
    np.testing.assert_allclose(loaded.predict_proba(NEW), fitted.predict_proba(NEW), atol=1e-5)
    assert loaded.predict(NEW) == fitted.predict(NEW)
    assert loaded.labels == LABELS
    assert loaded.predict_proba([]).shape == (0, 2)


def test_the_graph_holds_the_first_token_too(tiny_encoder: str, learned: TrainingSet, tmp_path: Path) -> None:
    student = Transformer(tiny_encoder, encoder_lr=1e-3, epochs=2, precision="fp32", pooling="mean+first")
    fitted = student.fit(learned, labels=LABELS, seed=0)
    exported = export(fitted, tmp_path / "onnx", EXACT)
    np.testing.assert_allclose(exported.predict_proba(NEW), fitted.predict_proba(NEW), atol=1e-5)


def test_int8_says_nearly_the_same_in_a_smaller_file(
    fitted: FittedTransformer, exported: Path, learned: TrainingSet, tmp_path: Path
) -> None:
    export(fitted, tmp_path / "exact", EXACT)
    proba = load(exported).predict_proba(learned.texts)
    np.testing.assert_allclose(proba, fitted.predict_proba(learned.texts), atol=0.05)
    assert proba.dtype == np.float64
    assert proba.sum(axis=1) == pytest.approx(1.0)
    assert (exported / "model.onnx").stat().st_size < (tmp_path / "exact" / "model.onnx").stat().st_size


def test_the_student_itself_is_left_alone(fitted: FittedTransformer, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in fitted.network.state_dict().items()}
    export(fitted, tmp_path / "onnx", EXACT)
    assert not fitted.network.training
    assert all(torch.equal(value, before[name]) for name, value in fitted.network.state_dict().items())


def test_a_head_brings_its_encoder_along(tiny_encoder: str, learned: TrainingSet, tmp_path: Path) -> None:
    head = Head(tiny_encoder, kind="logistic", layers=False).fit(learned, labels=LABELS, seed=0)
    exported = export(head, tmp_path / "onnx", EXACT)
    np.testing.assert_allclose(exported.predict_proba(NEW[:3]), head.predict_proba(NEW[:3]), atol=1e-5)


def test_classes_that_a_head_has_not_seen_keep_their_share(
    tiny_encoder: str, learned: TrainingSet, tmp_path: Path
) -> None:
    targets = np.eye(4)[learned.targets.argmax(axis=1)]
    wide = replace(learned, targets=targets)
    head = Head(tiny_encoder, kind="logistic").fit(wide, labels=(*LABELS, "food", "sport"), seed=0)
    exported = export(head, tmp_path / "onnx", EXACT)
    np.testing.assert_allclose(exported.predict_proba(NEW[:3]), head.predict_proba(NEW[:3]), atol=1e-5)


def test_it_is_saved_copied_and_put_on_other_threads(exported: Path, tmp_path: Path) -> None:
    student = load(exported)
    assert isinstance(student, FittedOnnx)
    student.save(tmp_path / "copy")
    assert np.array_equal(load(tmp_path / "copy").predict_proba(NEW), student.predict_proba(NEW))
    assert student.with_threads(2).student.n_threads == 2
    assert np.array_equal(student.with_threads(2).predict_proba(NEW), student.predict_proba(NEW))


def test_a_fresh_process_predicts_without_torch(exported: Path) -> None:
    code = (
        "import sys; from llm_al.students import load;"
        "print(load(sys.argv[1]).predict_proba(['a cat called']).tolist()[0]);"
        "sys.exit(', '.join({'torch', 'transformers', 'sentence_transformers', 'sklearn'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(exported)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(load(exported).predict_proba(["a cat called"]).tolist()[0])


def test_batches_hold_no_more_tokens_than_allowed_and_change_no_exact_answer(
    fitted: FittedTransformer, tmp_path: Path
) -> None:
    whole = export(fitted, tmp_path / "onnx", EXACT)
    single = replace(whole, student=replace(whole.student, max_batch_tokens=1))
    np.testing.assert_allclose(single.predict_proba(NEW), whole.predict_proba(NEW), atol=1e-6)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_part_that_is_damaged_or_missing_is_a_clear_error(exported: Path, tmp_path: Path, name: str) -> None:
    load(exported).save(tmp_path / "copy")
    (tmp_path / "copy" / name).write_bytes(b"{")
    with pytest.raises(StudentError, match=r"is (missing or )?damaged \(\w+\); export the student again"):
        load(tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    with pytest.raises(StudentError, match=r"is missing.*; export the student again"):
        load(tmp_path / "copy")


def test_unknown_settings_are_a_damaged_header(tmp_path: Path) -> None:
    with new_folder(tmp_path / "student") as fresh:
        write_header(fresh, Header("onnx", LABELS, 1.0, {"colour": "red"}))
    with pytest.raises(StudentError, match=r"student\.json is damaged .*export the student again"):
        load(tmp_path / "student")


def test_a_student_of_another_kind_cannot_be_exported(exported: Path, tmp_path: Path) -> None:
    with pytest.raises(StudentError, match="a student of type FittedOnnx cannot be exported; allowed: head, transf"):
        export(load(exported), tmp_path / "again")
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_does_not_pool_by_the_mean_is_refused(
    tiny_encoder: str, learned: TrainingSet, tmp_path: Path
) -> None:
    head = Head(tiny_encoder, kind="logistic", layers=False).fit(learned, labels=LABELS, seed=0)
    first = FittedHead(head.parts, LABELS, head.student)
    encoder: Any = first.encoder
    encoder[1].pooling_mode = "cls"
    with pytest.raises(StudentError, match="only an encoder with mean pooling can be exported"):
        export(first, tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_a_head_that_keeps_rows_beside_its_classifier_is_refused(
    tiny_encoder: str, learned: TrainingSet, tmp_path: Path
) -> None:
    half = replace(learned, is_human=np.arange(12) % 2 == 0)
    head = Head(tiny_encoder, n_neighbours=2).fit(half, labels=LABELS, seed=0)
    with pytest.raises(StudentError, match="listens to its neighbours cannot be exported; train it with n_neighbours"):
        export(head, tmp_path / "onnx")


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def hide(package: str) -> None:
        real = builtins.__import__

        def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
            if name.split(".")[0] == package:
                raise ModuleNotFoundError(name)
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", refuse)

    return hide


def test_missing_packages_name_the_extra(exported: Path, without_packages: Callable[[str], None]) -> None:
    without_packages("onnxruntime")
    with pytest.raises(MissingExtraError, match=r'needs an extra package; install it with: pip install "llm-al\[onnx'):
        load(exported)
    with pytest.raises(MissingExtraError, match=r"the ONNX export needs extra packages; install them with"):
        check_export()
