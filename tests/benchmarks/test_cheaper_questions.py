import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / "cheaper_questions.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import _reader

    return _reader


@pytest.mark.slow
def test_a_quick_run_writes_every_form_and_person(tmp_path: Path) -> None:
    done = _run("--quick", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "cheaper_questions.json").read_text(encoding="utf-8"))
    base = {row["policy"]: row for row in result["rows"] if row["reader"] == "base"}
    assert {"list", "candidates 0.95", "verify", "pair", "bulk", "automatic"} <= base.keys()
    # The same answers in every form: the student is the same.
    assert len({(row["label accuracy"], row["accuracy"]) for row in base.values()}) == 1
    assert base["list"]["share"] == 1.0
    assert "swayed" in {row["reader"] for row in result["rows"]}
    assert "## How to read" in (tmp_path / "cheaper_questions.md").read_text(encoding="utf-8")


def test_missing_data_is_one_clear_line() -> None:
    done = _run()
    assert done.returncode == 2
    assert "--data is missing; give the folder of the data sets, or --quick for the sample project" in done.stderr


def test_a_readers_seconds_by_hand(reader: Any) -> None:
    from llm_al.phrasing import Form
    from llm_al.questions.choice import Choice

    person = reader.Reader(word_s=0.2, option_s=0.1, decide_s=1.0, key_s=0.5)
    listed, offered = Choice(Form.LIST, (), 1.0, 1.0), Choice(Form.CANDIDATES, (7, 3), 1.0, 1.0)
    # Ten words and a decision: 3 s. Label 9 is the tenth of the list.
    assert person.seconds(listed, 9, 10) == pytest.approx(3 + 1.0)
    assert person.seconds(offered, 3, 10) == pytest.approx(3 + 0.2)
    assert person.seconds(offered, 9, 10) == pytest.approx(3 + 0.2 + 0.5 + 1.0)
    typist = reader.Reader(word_s=0.2, option_s=0.1, decide_s=1.0, search_s=0.3)
    assert typist.seconds(listed, 9, 10) == pytest.approx(3 + 0.5)
    assert typist.seconds(listed, 0, 10) == pytest.approx(3 + 0.1)


def test_a_reader_is_swayed_by_offers_only(reader: Any) -> None:
    from llm_al.phrasing import Form
    from llm_al.questions.choice import Choice

    person = reader.Reader(anchoring=0.2)
    listed, offered = Choice(Form.LIST, (), 1.0, 1.0), Choice(Form.CANDIDATES, (7, 3), 1.0, 1.0)
    assert (person.says(listed, 9, 0.1), person.says(offered, 3, 0.1)) == (9, 3)
    assert (person.says(offered, 9, 0.1), person.says(offered, 9, 0.3)) == (7, 9)
