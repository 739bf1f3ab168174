import ast
import csv
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from tests.fakes.chat import FakeChat, by_text
from tests.fakes.loopback import LoopbackServer

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
SAMPLE = Path(str(files("llm_al") / "sample"))
pytestmark = pytest.mark.slow


def run(script: Path, cwd: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


def test_there_are_at_least_four_examples_of_under_sixty_lines_that_say_what_they_answer() -> None:
    assert len(EXAMPLES) >= 4
    for script in EXAMPLES:
        source = script.read_text(encoding="utf-8")
        assert len(source.splitlines()) < 60, script.name
        first = source.splitlines()[0]
        assert first.startswith("# How do ")
        assert first.endswith("?")
        assert ast.get_docstring(ast.parse(source))


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_an_example_runs_offline_without_arguments(script: Path, tmp_path: Path) -> None:
    shown = run(script, tmp_path, LLM_BASE_URL="")
    assert len(shown.splitlines()) >= 3


def test_the_csv_example_labels_with_a_server_and_pays_each_question_once(tmp_path: Path) -> None:
    gold = {row["id"]: row["label"] for row in _rows(SAMPLE / "gold.csv")}
    answers = {row["text"]: gold[row["id"]] for row in _rows(SAMPLE / "pool.csv") if row["id"] in gold}
    script = next(script for script in EXAMPLES if script.stem == "from_csv_with_llm")
    with LoopbackServer(FakeChat(by_text(answers))) as server:
        shown = run(script, tmp_path, LLM_BASE_URL=server.url, LLM_MODEL="loopback", OPENAI_API_KEY="none")
    assert sum(server.paid.values()) == len(server.paid) > 0
    assert "paid: $0.0000" not in shown
    labels = _rows(tmp_path / "from_csv_project" / "exports" / "labels.csv")
    assert len(labels) == 100
    # Three prompts a text, and a model that is never wrong.
    assert {row["agreement"] for row in labels if row["agreement"]} == {"1.0"}


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
