"""Quick runs of the LLM benchmarks, and their judges on books written by hand."""

import importlib
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from llm_al.annotators.chat import Price

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _quick(script: str, out: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(BENCHMARKS / f"{script}.py"), "--quick", "--out", str(out), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60.0)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (out / f"{script}.md").read_text(encoding="utf-8").startswith(f"# {script}\n")
    return dict(json.loads((out / f"{script}.json").read_text(encoding="utf-8")))


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a script the way that running it does."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


@pytest.mark.slow
def test_quick_throughput_labels_every_text_in_every_part(tmp_path: Path) -> None:
    result = _quick("llm_throughput", tmp_path)
    assert [row["part"] for row in result["rows"]] == ["latency", "openai", "limit", "memory", "memory"]
    assert all(row["n_labelled"] == row["n"] for row in result["rows"])
    assert {claim["claim"]: claim["target"] for claim in result["claims"]} == {
        "wall time over the ideal, no limit": 1.10,
        "CPU of the client a request": 1.5,
        "rate over the permitted rate, steady": 0.95,
        "answers 429, share of all": 0.01,
        "growth of peak memory, small to large run": 20.0,
        "texts without a label": 0,
    }


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["idempotent", "plain"])
def test_quick_faults_and_kills_leave_no_text_and_no_money_behind(mode: str, tmp_path: Path) -> None:
    result = _quick("llm_faults", tmp_path, "--modes", mode)
    assert all(claim["met"] for claim in result["claims"])
    (row,) = result["rows"]
    assert (row["mode"], row["n_kills"]) == (mode, 2)
    assert row["n_labelled"] + row["n_failed"] == 100


@pytest.mark.slow
def test_quick_runs_never_charge_above_the_cap(tmp_path: Path) -> None:
    result = _quick("llm_cap", tmp_path)
    assert len(result["rows"]) == 4
    assert max(row["spent_of_cap"] for row in result["rows"]) <= 1.0


def _entry(messages: str, at: float, **changes: Any) -> dict[str, Any]:
    common = {"key": f"key {messages}", "charged": True, "replayed": False, "fault": "", "client_gone": False}
    return {"messages_hash": messages, "at": at, "n_tokens_in": 10, "n_tokens_out": 1, **common, **changes}


def test_second_charges_are_told_apart_by_why_the_first_was_of_no_use(scripts: Any) -> None:
    faults = scripts("llm_faults")
    kill = faults.Kill(at=2.0, open_keys=frozenset({"key open"}), ledger_nanousd=0, server_nanousd=0.0)
    entries = [
        _entry("dropped", 1.0, fault="drop"),
        _entry("gone", 1.0, client_gone=True),
        _entry("open", 1.0),
        _entry("settled", 1.0),
        _entry("once", 1.0),
        _entry("replayed", 1.0, fault="drop"),
        _entry("dropped", 3.0),
        _entry("gone", 3.0),
        _entry("open", 3.0),
        _entry("settled", 3.0),
        _entry("replayed", 3.0, charged=False, replayed=True),
    ]
    assert faults.paid_again(entries, [kill]) == {"lost": 2, "killed": 1, "needless": 1}


def test_charges_are_summed_without_rounding(scripts: Any) -> None:
    entries = [_entry("a", 1.0), _entry("b", 1.0, n_tokens_in=7, charged=False)]
    assert scripts("_llm_run").charged(entries, Price(0.25, 0.5)) == Fraction(3)


def test_runs_under_a_cap_are_drawn_the_same_for_a_seed_and_differ_between_seeds(scripts: Any) -> None:
    cap = scripts("llm_cap")
    drawn = [cap.draw(seed) for seed in range(100)]
    assert drawn == [cap.draw(seed) for seed in range(100)]
    assert len({case.cap_nanousd for case in drawn}) == 100
    assert 15 <= sum(case.is_faulty for case in drawn) <= 45
    assert all(len(example.text) >= 12 for example in drawn[0].examples)
