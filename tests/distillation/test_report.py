import json
from pathlib import Path

import pytest

from llm_al.distillation.report import DistilReport, Measured


def _report(**changes: object) -> DistilReport:
    results = (
        Measured("teacher", 0.9, 0.8, 1.0, 50.0, 180_000_000),
        Measured("student", 0.89, 0.79, 0.97, 100.0, 90_000_000),
        Measured("int8", 0.88, 0.78, 0.96, 250.0, 23_000_000),
    )
    told = {
        "project": "shop",
        "round": 3,
        "folder": "exports/distilled-1",
        "teacher": "Transformer()",
        "student": "Transformer()",
        "n_teachers": 2,
        "n_human": 130,
        "n_soft": 5000,
        "n_held_out": 500,
        "basis": "the test split, 100 texts",
        "is_seen": False,
        "n_basis": 100,
        "n_threads": 1,
        "seconds": 12.5,
        "results": results,
    }
    return DistilReport(**{**told, **changes})  # type: ignore[arg-type]


def test_what_was_lost_and_gained_is_between_teacher_and_export() -> None:
    report = _report()
    assert report.accuracy_lost == pytest.approx(0.02)
    assert report.speed_up == pytest.approx(5.0)
    assert [row["lost"] for row in report.rows()] == ["+0.000", "+0.010", "+0.020"]
    assert report.rows()[2] == {
        "student": "int8",
        "accuracy": "0.880",
        "lost": "+0.020",
        "macro-F1": "0.780",
        "as teacher": "96.0%",
        "texts/s": "250",
        "MB": "23.0",
    }


def test_it_is_written_as_plain_values(tmp_path: Path) -> None:
    report = _report()
    report.write(tmp_path / "report.json")
    read = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert read == json.loads(json.dumps(report.to_json()))
    assert read["results"][1]["agreement"] == 0.97
    assert read["speed_up"] == 5.0


def test_labels_that_were_learned_from_are_said_to_be_seen() -> None:
    assert any(
        "all of them have learned from these, so it is too high" in line for line in _report(is_seen=True).lines()
    )
    assert not any("too high" in line for line in _report().lines())


def test_what_was_not_measured_is_a_dash() -> None:
    blank = tuple(Measured(name, None, None, None, None, 0) for name in ("teacher", "student", "int8"))
    report = _report(results=blank, n_held_out=0, n_teachers=1)
    assert report.accuracy_lost is report.speed_up is None
    assert {row["accuracy"] + row["lost"] + row["texts/s"] for row in report.rows()} == {"---"}
    assert not any("as teacher" in line for line in report.lines())
    assert any("of one teacher" in line for line in report.lines())
