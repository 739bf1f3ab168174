import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "annotation_server.py"


@pytest.mark.slow
def test_a_quick_run_loses_no_answer_and_hands_no_text_out_twice(tmp_path: Path) -> None:
    options = ["--quick", "--workers", "1", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "annotation_server.json").read_text(encoding="utf-8"))
    (row,) = result["rows"]
    assert (row["lost"], row["double"], row["errors"]) == (0, 0, 0)
    assert sum(claim["met"] for claim in result["claims"]) >= 3
