"""Texts and answers to other tools and back, from the command line."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_al.cli import TOOL_NAMES
from llm_al.exchange import TOOLS, export_records, import_records
from llm_al.project import Project
from llm_al.types import Annotation, AnnotatorKind
from tests.fakes import shop

FIRST, SECOND, THIRD, FOURTH = (row["id"] for row in shop.POOL[:4])
LABEL, OTHER = tuple(shop.LABELS)[:2]


@pytest.fixture
def answered(make_project: Any) -> Path:
    """A closed project with answers of two people and of an LLM."""
    project = make_project(human={"annotator": "queue"}, llm={"annotator": "none"})
    for id_, label, who in (
        (FIRST, LABEL, "ann"),
        (FIRST, OTHER, "bob"),
        (SECOND, "skip", "ann"),
        (THIRD, "none_of_these", "bob"),
    ):
        project.answer(id_, label, annotator=who)
    project.store.add_annotations([Annotation(FOURTH, LABEL, "gpt", kind=AnnotatorKind.LLM, confidence=0.5)])
    project.close()
    folder: Path = project.folder
    return folder


def said(folder: Path) -> set[tuple[str, str, str | None]]:
    with Project.open(folder) as project:
        return {(a.example_id, a.source, a.label) for a in project.store.annotations()}


def take_back(folder: Path) -> None:
    with Project.open(folder) as project:
        for annotation in project.store.annotations():
            if annotation.source in ("ann", "bob") and annotation.row_id is not None:
                project.store.take_back(annotation.row_id)


@pytest.mark.parametrize("tool", TOOLS)
def test_answers_go_out_and_come_back(llm_al: Any, answered: Path, tool: str) -> None:
    before = said(answered)
    sent = llm_al("export", answered, "--format", tool)
    assert sent.exit_code == 0, sent.stderr
    path = sent.stdout.replace("\n", "")
    again = llm_al("import", answered, "--labels", path, "--format", tool)
    assert again.stdout == "0 labels imported, 4 were there already\n"
    take_back(answered)
    assert llm_al("import", answered, "--labels", path, "--format", tool).stdout == "4 labels imported\n"
    assert said(answered) == before


def test_notes_forms_and_flags_come_back_in_a_copy_that_never_had_them(
    llm_al: Any, make_project: Any, tmp_path: Path
) -> None:
    one = make_project("one", human={"annotator": "queue"}, llm={"annotator": "none"})
    said = Annotation(
        FIRST,
        LABEL,
        "human:zoë",
        kind=AnnotatorKind.HUMAN,
        duration_s=2.5,
        is_suggestion_shown=True,
        form="candidates",
        reason="sicher\n📦",
    )
    one.store.answer(said)
    one.store.flags.add(SECOND, person="human:bob", note="two parcels?")
    for tool in TOOLS:
        path = tmp_path / tool / "out" if tool == "doccano" else tmp_path / f"{tool}.json"
        copy = make_project(f"copy_{tool}", human={"annotator": "queue"}, llm={"annotator": "none"})
        llm_al("export", one.folder, "--format", tool, "--to", path)
        for _ in range(2):
            assert llm_al("import", copy.folder, "--labels", path, "--format", tool).exit_code == 0
        (back,) = copy.store.annotations(ids=[FIRST])
        assert replace(back, row_id=None) == said
        assert [(f.example_id, f.person, f.note) for f in copy.store.flags.open()] == [
            (SECOND, "human:bob", "two parcels?")
        ]


PEOPLE = ("human:ann", "human:zoë 📦", "7", "007", "bo@example.org", "../up", "all", "unlabelled", "human:bob")


def votes(rng: random.Random) -> list[Annotation]:
    """Answers of every kind, of up to five people a text."""
    return [
        Annotation(
            row["id"],
            rng.choice([*shop.LABELS, "none_of_these", "skip"]),
            who,
            kind=rng.choice([AnnotatorKind.HUMAN, AnnotatorKind.SIMULATED]),
            confidence=rng.choice([None, 0.0, 0.25, 1.0]),
            duration_s=rng.choice([None, 0.0, 1.5]),
            is_suggestion_shown=rng.choice([True, False]),
            form=rng.choice(["", "list", "verify"]),
            reason=rng.choice(["", "two\nlines", "שלום 📦", " "]),
        )
        for row in shop.POOL[:20]
        for who in rng.sample(PEOPLE, rng.randint(0, 5))
    ]


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        ("argilla", "a.json"),
        ("label_studio", "a.json"),
        ("prodigy", "a.jsonl"),
        ("doccano", "a"),
        ("doccano", "a.jsonl"),
    ],
)
def test_no_answer_of_anybody_changes_on_the_way_there_and_back(
    make_project: Any, tmp_path: Path, tool: str, name: str
) -> None:
    settings = {"human": {"annotator": "queue"}, "llm": {"annotator": "none"}}
    one, copy = make_project("one", **settings), make_project("copy", **settings)
    given = votes(random.Random(5))
    one.store.add_annotations(given)
    assert import_records(copy, export_records(one, tool, tmp_path / name), tool).n_labels == len(given)
    ids = [row["id"] for row in shop.POOL]
    back = {(a.example_id, a.source): replace(a, row_id=None) for a in copy.store.annotations(ids=ids)}
    assert back == {(a.example_id, a.source): a for a in given}


def test_an_answer_from_a_file_counts_towards_the_people_that_are_wanted(
    llm_al: Any, make_project: Any, tmp_path: Path
) -> None:
    project = make_project(human={"annotator": "queue"}, llm={"annotator": "none"})
    project.store.enqueue([FIRST], round=1, reason="test", n_wanted=2)
    for who, n_left in (("ann", 1), ("bob", 0)):
        line = {"id": FIRST, "text": "-", "accept": [LABEL], "answer": "accept", "_annotator_id": who}
        (tmp_path / "a.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
        llm_al("import", project.folder, "--labels", tmp_path / "a.jsonl", "--format", "prodigy")
        assert project.n_waiting() == n_left


def test_every_text_goes_out_and_llm_answers_are_suggestions(llm_al: Any, answered: Path, tmp_path: Path) -> None:
    llm_al("export", answered, "--format", "label_studio", "--to", tmp_path / "a.json")
    tasks = {task["data"]["id"]: task for task in json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))}
    assert set(tasks) == {row["id"] for row in shop.POOL}
    (prediction,) = tasks[FOURTH]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("gpt", 0.5)
    assert (len(tasks[FIRST]["annotations"]), tasks[FOURTH]["annotations"]) == (2, [])


def test_a_changed_mind_replaces_the_answer_and_texts_are_found_by_wording(
    llm_al: Any, answered: Path, tmp_path: Path
) -> None:
    lines = [
        {"id": FIRST, "text": "-", "accept": [OTHER], "answer": "accept", "_annotator_id": "ann"},
        {"id": FOURTH, "text": "-", "label": LABEL, "answer": "reject", "_annotator_id": "ann"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = llm_al("import", answered, "--labels", tmp_path / "a.jsonl", "--format", "prodigy")
    assert done.stdout.replace("\n", " ").startswith("1 labels imported, 1 passed over")
    assert {(who, label) for id_, who, label in said(answered) if id_ == FIRST} == {("ann", OTHER), ("bob", OTHER)}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([{"id": "x", "text": "unheard of"}], "the project has no text with the id 'x'"),
        ([{"id": FIRST, "text": "-", "accept": ["nope"], "answer": "accept"}], "row 1: unknown label 'nope'"),
        ([{"id": FIRST, "text": "-", "accept": [LABEL, OTHER], "answer": "accept"}], "several labels"),
        (
            [{"id": FIRST, "text": "-", "accept": [name], "answer": "accept"} for name in (LABEL, OTHER)],
            "keep one of them",
        ),
    ],
)
def test_bad_files_are_refused_whole(
    llm_al: Any, answered: Path, tmp_path: Path, lines: list[dict[str, Any]], message: str
) -> None:
    before = said(answered)
    good = {"id": SECOND, "text": "-", "accept": [LABEL], "answer": "accept"}
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(x) + "\n" for x in [*lines, good]), encoding="utf-8")
    refused = llm_al("import", answered, "--labels", tmp_path / "a.jsonl", "--format", "prodigy")
    assert refused.exit_code == 2
    assert message in refused.stderr.replace("\n", " ")
    assert said(answered) == before


def test_the_help_names_every_tool() -> None:
    assert ", ".join(TOOLS) == TOOL_NAMES


def test_an_unknown_tool_is_refused(llm_al: Any, answered: Path) -> None:
    for command in (["export", answered], ["import", answered, "--labels", "a.json"]):
        refused = llm_al(*command, "--format", "excel")
        assert refused.exit_code == 2
        assert "unknown tool 'excel'; choose a format from: argilla, doccano" in refused.stderr.replace("\n", " ")
