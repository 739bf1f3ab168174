import json
from pathlib import Path
from typing import Any

import pytest

from tests.students.conftest import tiny_encoder as tiny_encoder

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def test_the_command_shows_a_table_or_one_json_document(llm_al: Any, finished: Path, tiny_encoder: str) -> None:
    options = ("--student", "head", "--model", tiny_encoder, "--threads", 1)
    shown = llm_al("distil", finished, *options)
    assert shown.exit_code == 0, shown.output
    assert "shop, distilled after round 3" in shown.stdout
    assert "accuracy on the test split, 12 texts" in shown.stdout
    assert str(finished / "exports" / "distilled-1") in shown.stdout
    told = json.loads(llm_al("distil", finished, *options, "--json").stdout)
    assert [each["name"] for each in told["results"]] == ["teacher", "student", "int8"]
    assert told["folder"].endswith("distilled-2")


def test_a_wrong_choice_is_one_line_and_exit_code_2(llm_al: Any, finished: Path) -> None:
    failed = llm_al("distil", finished, "--student", "tree")
    assert failed.exit_code == 2
    assert "error: the small student is 'tree'; choose from: head, transformer" in failed.stderr
    assert not (finished / "exports" / "distilled-1").exists()
