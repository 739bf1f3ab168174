import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "distillation.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("distillation_benchmark", BENCHMARKS / "distillation.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "distillation_benchmark", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_quick_run_measures_teacher_student_and_export(tmp_path: Path) -> None:
    done = _run("--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "distillation.json").read_text(encoding="utf-8"))
    assert [row["student"] for row in result["rows"]] == ["teacher", "student", "int8"]
    assert result["rows"][2]["mb"] < result["rows"][1]["mb"]
    assert [claim["unit"] for claim in result["claims"]] == ["accuracy", "times"]
    assert "## How to read" in (tmp_path / "distillation.md").read_text(encoding="utf-8")


def test_missing_data_is_one_clear_line() -> None:
    done = _run()
    assert done.returncode == 2
    assert "--data is missing; give the folder of the data sets, or --quick" in done.stderr


def test_claims_compare_means_over_seeds_of_the_first_small_student(script: ModuleType) -> None:
    rows = [
        {
            **{"dataset": "d", "small": small, "student": student, "seed": seed},
            **{"accuracy": accuracy - 0.1 * seed, "macro_f1": 0.5, "as_teacher": 1.0, "texts_per_s": speed, "mb": 1.0},
        }
        for seed in (0, 1)
        for small in ("first", "second")
        for student, accuracy, speed in (("teacher", 0.9, 10.0), ("student", 0.8, 20.0), ("int8", 0.87, 50.0))
    ]
    lost, gained = script.claims_of(rows)
    assert lost.value == pytest.approx(0.03)
    assert not lost.is_met
    assert gained.value == pytest.approx(5.0)
    assert gained.is_met
    assert [row["seeds"] for row in script.means(rows)] == [2] * 6
