import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "consensus.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def people(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("consensus_people", BENCHMARKS / "_people.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "consensus_people", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_a_quick_run_judges_every_method_at_one_two_and_three_votes(tmp_path: Path) -> None:
    pytest.importorskip("cleanlab")
    done = _run("--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "consensus.json").read_text(encoding="utf-8"))
    assert sorted({row["n_votes"] for row in result["rows"]}) == [1, 2, 3]
    assert len({row["method"] for row in result["rows"]}) * 3 == len(result["rows"])
    ours = [row for row in result["rows"] if row["method"].endswith("(ours)") and row["method"].startswith("dawid")]
    assert {(row["ours minus this"], row["standard error"]) for row in ours} == {(0.0, 0.0)}
    assert [claim["value"] for claim in result["claims"]] == [row["accuracy"] for row in ours]
    written = (tmp_path / "consensus.md").read_text(encoding="utf-8")
    assert "## Ours against the best peer" in written
    assert "How to read" in written


def test_missing_data_is_one_clear_line() -> None:
    pytest.importorskip("cleanlab")
    done = _run()
    assert done.returncode == 2
    assert "--data is missing; give the folder of the data sets, or --quick" in done.stderr


def test_votes_drawn_and_held_back_are_all_votes(people) -> None:
    crowd = people.Crowd("x", ("a", "b"), ("t", "u"), ([("ann", 0), ("bob", 1), ("cid", 1)], [("", 0), ("", 0)]))
    draw = people.draw_votes(crowd, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(draw.drawn + draw.held, [[1, 2], [2, 0]])
    np.testing.assert_array_equal(draw.drawn.sum(axis=1), [2, 2])
    # People who are not told apart are named by the place of their vote.
    assert [a.source for a in draw.annotations[2:]] == ["human:place 1", "human:place 2"]
    assert {a.source for a in draw.annotations[:2]} <= {"human:ann", "human:bob", "human:cid"}
