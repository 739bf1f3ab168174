import json
from pathlib import Path
from typing import Any

import pytest

from llm_al.errors import ConfigError
from llm_al.formats.llm_runs import read_llm_runs
from llm_al.types import AnnotatorKind


def _decisions(project: Any) -> list[tuple[Any, ...]]:
    return [
        (d.example_id, d.round, d.stage, d.outcome, d.reason, d.score, d.probability) for d in project.store.decisions()
    ]


def _answers(project: Any) -> list[tuple[Any, ...]]:
    return [
        (a.example_id, a.label, a.source, a.model, a.prompt, a.confidence, a.proba, dict(a.signals), a.reason, a.round)
        for a in project.store.annotations()
        if a.kind is AnnotatorKind.LLM
    ]


def test_a_replayed_recording_makes_the_same_decisions(make_project: Any, tmp_path: Path) -> None:
    live = make_project("live")
    list(live.run())
    n_rows = live.llm.record(tmp_path / "answers.jsonl.gz")
    again = make_project("again", llm={"annotator": "replay", "replay": str(tmp_path / "answers.jsonl.gz")})
    list(again.run())
    assert n_rows == len({answer[0] for answer in _answers(live)}) > 0
    assert _answers(again) == _answers(live)
    assert _decisions(again) == _decisions(live)
    assert again.store.spent_nanousd() == 0


def test_the_record_holds_what_people_said(make_project: Any, tmp_path: Path) -> None:
    project = make_project()
    list(project.run())
    project.llm.record(tmp_path / "answers.jsonl")
    said = {a.example_id: a.label for a in project.store.annotations() if a.kind.is_human}
    rows = list(read_llm_runs(tmp_path / "answers.jsonl"))
    assert {row.id: row.gold for row in rows} == {row.id: said.get(row.id) for row in rows}
    assert any(row.gold for row in rows)


def test_the_setting_keeps_the_record_up_to_date(make_project: Any) -> None:
    project = make_project(llm={"record": "records/llm.jsonl"})
    path = project.folder / "records" / "llm.jsonl"
    sizes = [len(path.read_text(encoding="utf-8").splitlines()) for _ in project.run()]
    assert sizes[0] == 0 < sizes[1] <= sizes[2]


def test_the_command_writes_the_record(llm_al: Any, finished: Path) -> None:
    done = llm_al("record", finished, "--to", "out.jsonl")
    assert done.exit_code == 0, done.output
    n_lines = len(Path("out.jsonl").read_text(encoding="utf-8").splitlines())
    assert f"{n_lines} texts with LLM answers written to out.jsonl" in done.stdout
    refused = llm_al("record", finished, "--to", "out.csv")
    assert refused.exit_code == 2
    assert "let it end in one of: .jsonl" in refused.stderr


def test_texts_without_a_recorded_answer_are_counted_in_the_status(make_project: Any) -> None:
    project = make_project(llm={"annotator": "replay", "replay": "few.jsonl"}, budget={"rounds": 2})
    row = {"id": "none", "text": "no such text", "llm_label": "refund", "llm": "m"}
    (project.folder / "few.jsonl").write_text(json.dumps(row), encoding="utf-8")
    list(project.run())
    assert "texts have no recorded answer" in project.store.read_note(2, "llm_stopped")


def test_replay_needs_its_file_and_known_options(make_project: Any) -> None:
    with pytest.raises(ConfigError, match=r"llm.replay is missing; name a file"):
        list(make_project("a", llm={"annotator": "replay"}).run())
    project = make_project("b", llm={"annotator": "replay", "replay": "r.jsonl", "options": {"run": ["x"]}})
    (project.folder / "r.jsonl").write_text('{"id": 1, "llm_label": "refund"}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"annotator 'replay' has no option 'run'; allowed: .*runs"):
        list(project.run())
