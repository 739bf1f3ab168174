"""A user's way through the command line."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
import yaml

import llm_al as package
from llm_al import console
from llm_al.cli import app, main
from llm_al.project import Project
from tests.fakes import shop


@pytest.fixture
def with_people(make_project: Any) -> Path:
    """A closed project whose answers come from `llm-al label`; nine first texts, four a round, no LLM."""
    project = make_project(
        human={"annotator": "queue"},
        llm={"annotator": "none"},
        strategy={"initial": 9, "human_per_round": 4},
        budget={"human_labels": 13},
    )
    project.close()
    folder: Path = project.folder
    return folder


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_from_files_to_labels_and_a_student(llm_al: Any, inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "my"
    files = ["--texts", inputs / "pool.csv", "--labels", inputs / "labels.json", "--test", inputs / "test.csv"]
    made = llm_al("init", folder, *files, "--offline")
    assert made.exit_code == 0
    assert "pool: 42 rows: 42 added" in made.stdout
    assert f"llm-al run {folder}" in made.stdout

    settings = yaml.safe_load((folder / "project.yaml").read_text())
    assert settings["embedder"]["model"] == "offline"
    (folder / "project.yaml").write_text(yaml.safe_dump({**settings, **shop.settings(human={"gold": "../gold.csv"})}))
    shop.write_table(tmp_path / "gold.csv", shop.POOL)

    ran = llm_al("run", folder)
    assert ran.exit_code == 0, ran.stderr
    assert ran.stderr == ""
    assert "round 3: 21 human labels" in ran.stdout
    assert "the budget of 21 human labels is used up" in ran.stdout

    exported = llm_al("export", folder)
    assert exported.stdout.strip() == str(folder / "exports" / "labels.csv")
    rows = _rows(folder / "exports" / "labels.csv")
    assert [row["id"] for row in rows] == [row["id"] for row in shop.POOL]
    assert all(row["label"] == shop.GOLD[row["id"]] for row in rows if row["source"] == "human")
    assert sum(row["source"] == "human" for row in rows) == 21

    found = llm_al("predict", folder, "where is my parcel", "I want my money back", "--json")
    assert [row["label"] for row in json.loads(found.stdout)] == ["delivery", "refund"]
    report = llm_al("report", folder)
    assert Path(report.stdout.strip()).read_text(encoding="utf-8").startswith("<!")


def test_people_are_waited_for_with_an_exit_code_of_their_own(llm_al: Any, with_people: Path) -> None:
    waiting = llm_al("run", with_people)
    assert waiting.exit_code == 3
    assert "round 1: 9 texts wait for people" in waiting.stdout
    assert f"llm-al label {with_people}" in waiting.stdout
    assert llm_al("run", with_people, "--json").exit_code == 3


def test_answers_typed_into_a_pipe_carry_the_run_on(llm_al: Any, with_people: Path) -> None:
    llm_al("run", with_people)
    labelled = llm_al("label", with_people, "--annotator", "ann", typed="1\n2\n3\n1\n")
    assert labelled.exit_code == 0
    assert "4 answered, 5 waiting" in labelled.stdout
    assert llm_al("run", with_people).exit_code == 3
    rest = llm_al("label", with_people, "--annotator", "ann", typed="refund\nx\n \n2\n3\n")
    assert "5 answered, 0 waiting" in rest.stdout
    assert f"next: llm-al run {with_people}" in rest.stdout
    on = llm_al("run", with_people)
    assert on.exit_code == 3
    assert "round 1: 9 human labels" in on.stdout
    assert "round 2: 4 texts wait for people" in on.stdout
    assert "4 answered, 0 waiting" in llm_al("label", with_people, typed="1\n1\n1\n1\n").stdout
    done = llm_al("run", with_people)
    assert done.exit_code == 0
    assert "the budget of 13 human labels is used up" in done.stdout


def test_a_limit_ends_labelling(llm_al: Any, with_people: Path) -> None:
    llm_al("run", with_people)
    assert "2 answered, 7 waiting" in llm_al("label", with_people, "-n", 2, typed="1\n2\n3\n").stdout


def test_an_undone_answer_waits_again(llm_al: Any, with_people: Path) -> None:
    llm_al("run", with_people)
    assert "1 answered, 8 waiting" in llm_al("label", with_people, typed="1\n2\nu\n").stdout


def test_a_person_at_the_terminal_is_asked_within_the_run(llm_al: Any, make_project: Any) -> None:
    project = make_project(human={"annotator": "terminal"}, llm={"annotator": "none"}, budget={"human_labels": 15})
    project.close()
    ran = llm_al("run", project.folder, typed="1\n2\n3\n" * 5)
    assert ran.exit_code == 0
    assert "round 2: 15 human labels" in ran.stdout
    other = make_project("other", human={"annotator": "terminal"}, llm={"annotator": "none"})
    other.close()
    assert llm_al("run", other.folder, typed="1\nq\n").exit_code == 3


def test_status_says_what_is_next(llm_al: Any, with_people: Path) -> None:
    fresh = llm_al("status", with_people)
    assert "42 texts in the pool, 12 in the test split" in fresh.stdout
    assert "human labels: 0 of 13" in fresh.stdout
    llm_al("run", with_people)
    assert "9 texts wait for people: llm-al label" in llm_al("status", with_people).stdout


def test_status_says_how_far_each_llm_annotator_can_be_believed(llm_al: Any, finished: Path, with_people: Path) -> None:
    said = llm_al("status", finished, "--llm")
    assert said.exit_code == 0, said.stderr
    assert "random audit" in said.stdout
    for source in ("name", "description", "name_description"):
        assert f"zero-shot-embedding/{source}" in said.stdout
    assert "unknown: no logprobs from this server" in said.stdout
    assert "no LLM has answered yet" in llm_al("status", with_people, "--llm").stdout


def test_the_quality_of_the_llm_as_json_gives_reasons_for_what_is_unknown(llm_al: Any, finished: Path) -> None:
    llm = json.loads(llm_al("status", finished, "--llm", "--json").stdout)["llm"]
    assert len(llm["annotators"]) == 3
    for row in llm["annotators"]:
        assert row["n_audits"] <= row["n_compared"] <= row["n_answers"]
        assert row["auroc"]["value"] is None
        assert row["auroc"]["reason"]


def test_status_answers_one_question_at_a_time(llm_al: Any, finished: Path) -> None:
    refused = llm_al("status", finished, "--llm", "--why", "t0")
    assert refused.exit_code == 2
    assert "--why, --llm and --people answer different questions; give one of them" in refused.stderr


def test_status_as_json_has_every_round(llm_al: Any, finished: Path) -> None:
    state = json.loads(llm_al("status", finished, "--json").stdout)
    assert [record["n_human"] for record in state["records"]] == [9, 15, 21]
    assert state["records"][-1]["stop_reason"] == "the budget of 21 human labels is used up"
    assert state["n_waiting"] == 0


def test_why_tells_the_story_of_one_example(llm_al: Any, finished: Path) -> None:
    rows = _rows(Path(llm_al("export", finished).stdout.strip()))
    human = next(row for row in rows if row["source"] == "human" and row["round"] == "2")
    story = llm_al("status", finished, "--why", human["id"]).stdout
    assert f"{human['id']}: {human['text']}" in story
    assert "round 2: select -> selected: picked as number" in story
    assert f"simulated says {human['label']}" in story
    assert f"label now: {human['label']}, from people" in story
    lines = json.loads(llm_al("status", finished, "--why", "t0", "--json").stdout)
    assert lines[-1] == "it belongs to the test split and is never learned from"


@pytest.mark.parametrize("name", ["labels.csv", "labels.jsonl", "labels.parquet", "labels"])
def test_every_export_format_holds_every_label(llm_al: Any, finished: Path, tmp_path: Path, name: str) -> None:
    assert llm_al("export", finished, "--to", tmp_path / name).stdout.strip() == str(tmp_path / name)
    path = tmp_path / name
    if path.suffix == ".csv":
        labels = [row["label"] for row in _rows(path)]
    elif path.suffix == ".jsonl":
        labels = [json.loads(line)["label"] for line in path.read_text(encoding="utf-8").splitlines()]
    elif path.suffix == ".parquet":
        labels = pyarrow.parquet.read_table(path).column("label").to_pylist()
    else:
        import datasets

        labels = datasets.load_from_disk(str(path))["label"]
    assert len(labels) == 42
    assert set(labels) == set(shop.LABELS)


def test_an_export_holds_only_the_sources_asked_for(llm_al: Any, finished: Path, tmp_path: Path) -> None:
    llm_al("export", finished, "--sources", "human, llm", "--to", tmp_path / "people.csv")
    assert {row["source"] for row in _rows(tmp_path / "people.csv")} == {"human"}


def test_imported_labels_count_as_people(llm_al: Any, with_people: Path, tmp_path: Path) -> None:
    given = shop.write_table(tmp_path / "given.csv", shop.POOL[:6], "id label")
    assert llm_al("import", with_people, "--labels", given, "--annotator", "crowd").stdout == "6 labels imported\n"
    ran = llm_al("run", with_people)
    assert ran.exit_code == 3
    assert "4 texts wait for people" in ran.stdout
    rows = _rows(Path(llm_al("export", with_people, "--sources", "human").stdout.strip()))
    assert {row["id"]: row["label"] for row in rows} == {row["id"]: row["label"] for row in shop.POOL[:6]}
    assert {row["annotators"] for row in rows} == {'["crowd"]'}


def test_added_texts_join_the_pool_and_repeats_do_not(llm_al: Any, with_people: Path, tmp_path: Path) -> None:
    new = [{"id": "n1", "text": "The lamp flickers"}, {"id": "n2", "text": shop.POOL[0]["text"]}]
    added = llm_al("add", with_people, "--texts", shop.write_table(tmp_path / "new.csv", new, "id text"))
    assert added.exit_code == 0
    assert "1 added" in added.stdout
    assert "43 texts in the pool" in llm_al("status", with_people).stdout


def test_an_estimate_prices_the_budget(llm_al: Any, with_people: Path) -> None:
    text = llm_al("estimate", with_people).stdout
    assert "about 2 more rounds" in text
    assert "people: 13 answers, about 2 minutes" in text
    forecast = json.loads(llm_al("estimate", with_people, "--json").stdout)
    assert (forecast["n_rounds"], forecast["n_human_labels"], forecast["n_llm_calls"]) == (2, 13, 0)


def test_a_file_of_texts_is_labelled(llm_al: Any, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("where is my parcel\n\nI want my money back\n", encoding="utf-8")
    found = llm_al("predict", finished, "--texts", tmp_path / "new.txt")
    assert found.stdout.strip() == str(tmp_path / "new.labels.csv")
    assert [row["label"] for row in _rows(tmp_path / "new.labels.csv")] == ["delivery", "refund"]
    rows = [{"id": "1", "text": "the courier"}, {"id": "2", "text": ""}]
    found = llm_al("predict", finished, "--texts", shop.write_table(tmp_path / "gaps.csv", rows, "id text"))
    assert found.stderr == "note: 1 rows without a readable text were left out\n"


def test_limits_of_one_run_replace_the_settings(llm_al: Any, make_project: Any) -> None:
    project = make_project()
    project.close()
    assert "the budget of 1 rounds is used up" in llm_al("run", project.folder, "--max-rounds", 1).stdout
    more = llm_al("run", project.folder, "--max-human-labels", 12)
    assert "round 2: 12 human labels" in more.stdout
    assert "the budget of 12 human labels is used up" in more.stdout
    assert "21 human labels" in llm_al("run", project.folder).stdout


def test_an_interrupt_is_one_line_and_loses_nothing(
    llm_al: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    project.close()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("llm_al.loop.Loop._train", interrupt)
        # The steps are bound when a loop is made.
        stopped = llm_al("run", project.folder)
    assert stopped.exit_code == 130
    assert stopped.stderr.count("\n") == 1
    assert "run the same command" in stopped.stderr
    assert "round 1: 9 human labels" in llm_al("run", project.folder, "--max-rounds", 1).stdout


def test_the_version_is_shown(llm_al: Any) -> None:
    assert llm_al("--version").stdout.strip() == package.__version__


def test_every_command_explains_itself(llm_al: Any) -> None:
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        shown = llm_al(name, "--help")
        assert shown.exit_code == 0
        assert "Usage" in shown.stdout


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys\nfrom llm_al.cli import main\nsys.argv = ['llm-al', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'datasets', 'pandas', 'sqlalchemy', 'matplotlib'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    started = time.perf_counter()
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert found.returncode == 0, found.stderr
    # A second on a machine of its own; a crowded one gets slack.
    assert time.perf_counter() - started < 5.0


def test_the_program_bounds_its_libraries_noise(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(sys, "argv", ["llm-al", "--version"])
    monkeypatch.setenv("TRANSFORMERS_VERBOSITY", "info")
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    assert os.environ["TRANSFORMERS_VERBOSITY"] == "info"
    assert package.__version__ in capsys.readouterr().out


def test_a_table_cuts_texts_before_figures(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    console.print_rows([{"name": "a very long name of a cluster", "texts": "1,234", "for example": "word " * 40}])
    shown = capsys.readouterr().out
    assert "texts" in shown
    assert "1,234" in shown
    assert "…" in shown
    assert max(map(len, shown.splitlines())) <= 60


def test_imported_gold_is_settled_and_may_check_people(llm_al: Any, with_people: Path) -> None:
    with Project.open(with_people) as project:
        (first, second) = project.store.examples([0, 1])
    Path("gold.csv").write_text(f"id,label\n{first.id},refund\n{second.id},skip\n", encoding="utf-8")
    done = llm_al("import", with_people, "--labels", "gold.csv", "--annotator", "eve", "--gold")
    assert "2 labels imported" in done.stdout
    with Project.open(with_people) as project:
        rulings = project.store.rulings.standing()
    assert {(r.example_id, r.label, r.person, r.is_gold) for r in rulings.values()} == {
        (first.id, "refund", "eve", True)
    }
    refused = llm_al("import", with_people, "--labels", "gold.csv", "--gold", "--format", "argilla")
    assert (refused.exit_code, "--gold goes with a file" in refused.stderr) == (2, True)
