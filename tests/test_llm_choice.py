import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.errors import DataError
from llm_al.llm_choice import choose, read_answers_of_runs
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind
from tests.fakes import shop

LABELS = ("a", "b", "c")


def _said(id_: str, run: str, label: str | None) -> Annotation:
    return Annotation(id_, label, run, AnnotatorKind.LLM, model=f"model {run}", prompt="p.v1")


def _contest(n: int = 60, seed: int = 0) -> tuple[list[Annotation], dict[str, str]]:
    rng = np.random.default_rng(seed)
    truth = {str(i): LABELS[int(rng.integers(3))] for i in range(n)}
    annotations = [
        _said(id_, run, label if rng.random() < p else LABELS[int(rng.integers(3))])
        for id_, label in truth.items()
        for run, p in (("good", 0.95), ("poor", 0.3), ("bad", 0.1))
    ]
    return annotations, truth


def test_the_best_run_is_found_and_the_questions_stop() -> None:
    annotations, truth = _contest()
    candidates = read_answers_of_runs(annotations, LABELS)
    steps = list(choose(candidates, {}, truth.__getitem__, max_labels=60, confidence=0.9))
    assert steps[-1].best == "good"
    assert steps[-1].certainty >= 0.9 > steps[-2].certainty
    assert list(steps[-1].n_right) == list(steps[-1].p_best)
    assert steps[-1].n_right["good"] > steps[-1].n_right["poor"]
    assert [step.n_labels for step in steps] == list(range(len(steps)))
    assert steps[-1].advice == "llm: {model: 'model good', prompts: ['p.v1']}"


def test_labels_that_people_gave_before_are_used_first() -> None:
    annotations, truth = _contest()
    candidates = read_answers_of_runs(annotations, LABELS)
    (first,) = choose(candidates, truth, pytest.fail, max_labels=5, confidence=0.9)
    assert (first.n_labels, first.best) == (60, "good")


def test_skips_teach_nothing_and_leaving_ends_the_questions() -> None:
    candidates = read_answers_of_runs(_contest()[0], LABELS)
    answers = iter([SKIP, NONE_OF_THESE, None])
    steps = list(choose(candidates, {}, lambda _id: next(answers), max_labels=9, confidence=0.99))
    assert [(step.label, step.n_labels) for step in steps] == [("", 0), (SKIP, 0), (NONE_OF_THESE, 1)]
    assert steps[1].p_best == steps[0].p_best


def test_only_texts_that_all_runs_answered_are_compared() -> None:
    annotations = [_said("1", "x", "a"), _said("1", "y", None), _said("2", "x", "a")]
    candidates = read_answers_of_runs(annotations, LABELS)
    assert candidates.ids == ("1",)
    assert candidates.said.tolist() == [[0], [-1]]


def test_nothing_to_choose_from_is_said() -> None:
    with pytest.raises(DataError, match=r"1 run has answered so far \(x\)"):
        read_answers_of_runs([_said("1", "x", "a")], LABELS)
    with pytest.raises(DataError, match="no text was answered by all of x, y"):
        read_answers_of_runs([_said("1", "x", "a"), _said("2", "y", "a")], LABELS)


def test_answers_become_ordinary_labels_of_people(make_project: Any) -> None:
    project = make_project(budget={"rounds": 2})
    list(project.run())
    before = {a.example_id for a in project.store.annotations() if a.kind.is_human}
    steps = list(project.llm.choose(max_labels=3, confidence=1.0))
    asked = [step.example_id for step in steps if step.example_id]
    stored = {a.example_id: a.label for a in project.store.annotations() if a.kind.is_human}
    assert set(asked) == stored.keys() - before
    assert 1 <= len(asked) <= 3
    assert all(stored[id_] == shop.GOLD[id_] for id_ in asked)


def _recording(path: Path) -> Path:
    rows = [
        {"id": row["id"], "text": row["text"], "llm_samples": {"m|good": row["label"], "m|bad": "refund"}, "llm": "m"}
        for row in shop.POOL
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_the_command_asks_in_the_terminal_and_prints_a_recommendation(llm_al: Any, make_project: Any) -> None:
    project = make_project(human={"annotator": "queue"})
    _recording(project.folder.parent / "runs.jsonl")
    done = llm_al(
        "choose",
        project.folder,
        "--runs",
        "runs.jsonl",
        "--labels",
        2,
        "--annotator",
        "ann",
        typed="delivery\ndelivery\n",
    )
    assert done.exit_code == 0, done.output
    assert "2 labels, certainty 0." in done.stdout
    assert (
        "best so far: m|good; to use it alone, in project.yaml: llm: {model: 'm', prompts: ['m|good']}" in done.stdout
    )
    assert len([a for a in project.store.annotations() if a.source == "human:ann"]) == 2


def test_the_command_writes_json(llm_al: Any, make_project: Any) -> None:
    project = make_project()
    _recording(project.folder.parent / "runs.jsonl")
    done = llm_al("choose", project.folder, "--runs", "runs.jsonl", "--labels", 3, "--json")
    result = json.loads(done.stdout)
    assert result["n_labels"] == 3
    assert list(result["p_best"]) == ["m|good", "m|bad"]


def test_a_project_without_llm_answers_says_so(llm_al: Any, make_project: Any) -> None:
    done = llm_al("choose", make_project().folder)
    assert done.exit_code == 2
    assert "there is nothing to choose from: 0 run has answered so far (none)" in done.stderr.replace("\n", " ")
