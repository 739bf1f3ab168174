import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "second_opinion.py"
pytestmark = pytest.mark.slow


def test_a_quick_run_asks_people_by_every_policy_and_writes_each_round(tmp_path: Path) -> None:
    options = ["--quick", "--out", str(tmp_path), "--cache", str(tmp_path)]
    done = subprocess.run([sys.executable, str(SCRIPT), *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "second_opinion.json").read_text(encoding="utf-8"))
    assert {row["policy"] for row in result["rows"]} == {"activelab", "random", "random, new first", "uncertainty"}
    assert all(row["points"][0]["texts"] == 30 for row in result["rows"])
    assert "## Answers needed" in (tmp_path / "second_opinion.md").read_text(encoding="utf-8")


def test_the_data_have_to_be_named() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert (done.returncode, "--data is missing" in done.stderr) == (2, True)
