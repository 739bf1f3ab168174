"""Bad input through the command line: one clear line on standard error, exit code 2, nothing changed on disk."""

import errno
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, event

from llm_al.project import Project
from llm_al.store import database
from llm_al.store import files as store_files
from tests.fakes import shop
from tests.fakes.loopback import LoopbackServer


@pytest.fixture
def refused(llm_al: Any, tmp_path: Path) -> Callable[..., str]:
    """Run a command that has to fail cleanly, and return its one line."""

    def call(*args: object) -> str:
        before = shop.listing(tmp_path)
        result = llm_al(*args)
        assert result.exit_code == 2, (result.stdout, result.stderr, result.exception)
        line = result.stderr.rstrip("\n")
        assert "\n" not in line
        assert line.startswith("error: ")
        assert result.stdout == ""
        assert shop.listing(tmp_path) == before
        return line.removeprefix("error: ")

    return call


@pytest.fixture
def init(refused: Callable[..., str], inputs: Path, tmp_path: Path) -> Callable[..., str]:
    """Try to create a project from a file or with labels that are wrong."""

    def call(texts: Path | None = None, labels: Path | None = None, *more: object) -> str:
        texts, labels = texts or inputs / "pool.csv", labels or inputs / "labels.json"
        line = refused("init", tmp_path / "new", "--texts", texts, "--labels", labels, *more)
        assert not (tmp_path / "new").exists()
        return line

    return call


def test_a_missing_column_is_named_with_those_there_are(init: Any, inputs: Path) -> None:
    line = init(None, None, "--text-column", "body")
    assert "'body'" in line
    assert "id, text" in line


def test_a_missing_file_is_named(init: Any, inputs: Path) -> None:
    assert str(inputs / "no.csv") in init(inputs / "no.csv")
    assert str(inputs / "no.json") in init(None, inputs / "no.json")


def test_one_id_with_two_texts_is_refused(init: Any, inputs: Path) -> None:
    rows = [{"id": "a", "text": "the tent leaks"}, {"id": "a", "text": "the stove is cold"}]
    assert "'a'" in init(shop.write_table(inputs / "twice.csv", rows, "id text"))


def test_an_empty_file_is_refused(init: Any, inputs: Path) -> None:
    (inputs / "empty.csv").write_bytes(b"")
    assert "is empty" in init(inputs / "empty.csv")
    (inputs / "header.csv").write_text("id,text\n")
    assert "no rows" in init(inputs / "header.csv")


def test_a_binary_file_is_refused(init: Any, inputs: Path) -> None:
    (inputs / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20)
    line = init(inputs / "image.csv")
    assert "image.csv" in line


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["refund", "delivery", "refund"], "'refund' is listed twice"),
        (["refund", "Refund"], "'Refund' is listed twice"),
        (["refund"], "at least two labels"),
        ([], "label"),
        (["refund", "skip"], "'skip' is reserved"),
    ],
)
def test_a_label_list_that_cannot_be_used_is_refused(init: Any, inputs: Path, labels: list[str], expected: str) -> None:
    (inputs / "bad.json").write_text(json.dumps(labels))
    assert expected in init(None, inputs / "bad.json")


def test_a_test_split_needs_known_labels_in_every_row(init: Any, inputs: Path) -> None:
    rows = [*shop.TEST, {"id": "t99", "text": "Nothing fits me", "label": "complaint"}]
    line = init(None, None, "--test", shop.write_table(inputs / "wrong.csv", rows))
    assert "unknown label 'complaint'" in line
    rows = [*shop.TEST, {"id": "t99", "text": "Nothing fits me", "label": ""}]
    assert "have no label" in init(None, None, "--test", shop.write_table(inputs / "gaps.csv", rows))


def test_a_folder_that_is_a_project_is_left_alone(refused: Any, make_project: Any, inputs: Path) -> None:
    folder = make_project().folder
    line = refused("init", folder, "--texts", inputs / "pool.csv", "--labels", inputs / "labels.json")
    assert "is a project already" in line


def test_a_folder_that_is_no_project_is_named(refused: Any, inputs: Path) -> None:
    for command in (["run"], ["status"], ["export"], ["predict"], ["report"], ["estimate"], ["label"]):
        more = ["a text"] if command == ["predict"] else []
        assert f"{inputs} is no project" in refused(*command, inputs, *more)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"embeder": {}}, "unknown key 'embeder'"),
        ({"budget": {"human_lables": 3}}, "did you mean 'human_labels'?"),
        ({"routing": {"audit_rate": 0.0}}, "'routing.audit_rate' is 0.0"),
        (
            {"student": {"name": "oracle"}},
            "unknown student 'oracle'; choose from: auto, blend, distilled, head, setfit, transformer",
        ),
        ({"strategy": {"name": "margn+diverse"}}, "did you mean 'margin'?"),
        ({"human": {"annotator": "robot"}}, "unknown annotator 'robot'"),
        ({"human": {"annotator": "zero_shot"}}, "is 'zero_shot', which is no person"),
        ({"human": {"annotator": "simulated"}}, "human.gold is missing"),
        ({"human": {"annotator": "simulated", "gold": "none.csv"}}, "none.csv, which does not exist"),
        ({"student": {"name": "head", "options": {"depth": 3}}}, "no option 'depth'"),
        ({"embedder": {"model": "offline"}, "student": {"name": "head", "model": "elsewhere"}}, "remove student.model"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_runs(
    refused: Any, make_project: Any, change: dict[str, Any], expected: str
) -> None:
    project = make_project()
    project.close()
    path = project.folder / "project.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **change}))
    assert expected in refused("run", project.folder)


def test_yaml_that_cannot_be_parsed_is_refused_with_its_line(refused: Any, make_project: Any) -> None:
    project = make_project()
    project.close()
    (project.folder / "project.yaml").write_text("name: shop\nlabels: [a, b\n")
    assert "not valid YAML at line 3" in refused("status", project.folder)


def test_limits_of_a_run_are_checked_like_settings(make_project: Any) -> None:
    with pytest.raises(ValueError, match=r"'budget.human_labels' is 0"):
        list(make_project().run(max_human_labels=0))


def test_an_unknown_label_stops_an_import_whole(refused: Any, make_project: Any, inputs: Path) -> None:
    project = make_project()
    project.close()
    rows = [{"id": "p0", "label": "delivery"}, {"id": "p1", "label": "refunds"}]
    line = refused("import", project.folder, "--labels", shop.write_table(inputs / "given.csv", rows, "id label"))
    assert "row 3: unknown label 'refunds'" in line
    assert "did you mean 'refund'?" in line


def test_an_unknown_id_stops_an_import_whole(refused: Any, make_project: Any, inputs: Path) -> None:
    project = make_project()
    project.close()
    rows = [{"id": "p0", "label": "delivery"}, {"id": "p999", "label": "refund"}]
    line = refused("import", project.folder, "--labels", shop.write_table(inputs / "given.csv", rows, "id label"))
    assert "'p999'" in line


def test_an_unknown_example_or_source_or_suffix_is_refused(refused: Any, finished: Path, tmp_path: Path) -> None:
    assert "'p999'" in refused("status", finished, "--why", "p999")
    assert "unknown source 'oracle'" in refused("export", finished, "--sources", "human,oracle")
    assert "'.xls'" in refused("export", finished, "--to", tmp_path / "labels.xls")
    assert "either texts" in refused("predict", finished)


def test_nothing_can_be_predicted_before_the_first_round(refused: Any, make_project: Any) -> None:
    project = make_project()
    project.close()
    assert "has no student yet" in refused("predict", project.folder, "where is my parcel")


def chat(url: str, **changes: Any) -> dict[str, Any]:
    return {"annotator": "chat", "base_url": url, "model": "m", "prompts": ["classify.v1"], "max_tries": 1, **changes}


def test_a_server_that_does_not_answer_is_named_by_its_url(refused: Any, make_project: Any) -> None:
    with LoopbackServer() as server:
        url = server.url
    project = make_project(llm=chat(url))
    project.close()
    assert url in refused("run", project.folder)


def test_a_wrong_key_is_refused_without_showing_it(
    refused: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-one")
    with LoopbackServer(api_key="sk-right-one") as server:
        project = make_project(llm=chat(server.url))
        project.close()
        line = refused("run", project.folder)
    assert "OPENAI_API_KEY" in line
    assert "wrong-one" not in line
    assert not server.paid


def test_a_cap_below_one_call_is_refused_before_anybody_works(refused: Any, make_project: Any) -> None:
    price = {"input_usd_per_million": 10.0, "output_usd_per_million": 10.0}
    with LoopbackServer() as server:
        project = make_project(llm=chat(server.url, price=price), budget={"llm_usd": 0.000001})
        project.close()
        line = refused("run", project.folder)
    assert "below the price of one call" in line
    assert "raise budget.llm_usd" in line
    assert not server.paid


def test_a_cap_without_a_price_is_refused(refused: Any, make_project: Any) -> None:
    project = make_project(llm=chat("https://models.invalid/v1", model="nobody-knows"), budget={"llm_usd": 1.0})
    project.close()
    assert "llm.price" in refused("run", project.folder)


def _fill_disk_at(monkeypatch: pytest.MonkeyPatch, n_pages: int) -> None:
    """Let SQLite find its disk full when a database passes a number of pages."""
    prepare = database.prepare_sqlite

    def prepared(engine: Engine) -> None:
        prepare(engine)

        @event.listens_for(engine, "connect")
        def limit(connection: Any, _record: object) -> None:
            connection.execute(f"PRAGMA max_page_count = {n_pages}")

    monkeypatch.setattr(database, "prepare_sqlite", prepared)


def test_a_full_disk_leaves_no_half_made_project(init: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill_disk_at(monkeypatch, 4)
    assert "no space left" in init()


def test_a_full_disk_stops_an_import_whole(
    refused: Any, make_project: Any, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    project.close()
    # A database is never smaller than it is; more than fits into its last page has to be given.
    rows = [{**row, "annotator": f"person {n}"} for n in range(20) for row in shop.POOL]
    given = shop.write_table(inputs / "given.csv", rows, "id label annotator")
    _fill_disk_at(monkeypatch, 1)
    assert "no space left" in refused("import", project.folder, "--labels", given)


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("target", ["labels.csv", "labels.jsonl"])
def test_a_full_disk_keeps_the_export_of_before(
    refused: Any, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    with Project.open(finished) as project:
        project.export(tmp_path / target)
    monkeypatch.setattr(os, "fsync", _no_space)
    assert "no space left" in refused("export", finished, "--to", tmp_path / target)


def test_a_run_that_found_the_disk_full_goes_on_afterwards(
    llm_al: Any, make_project: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project()
    project.close()
    with monkeypatch.context() as full:
        full.setattr(store_files.os, "fsync", _no_space)
        result = llm_al("run", project.folder)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: no space left")
    assert result.stderr.count("\n") == 1
    assert llm_al("run", project.folder).exit_code == 0


_INIT = """
import resource, sys
from llm_al import cli
import llm_al.project
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.argv = ["llm-al", "init", "new", "--texts", "inputs/pool.csv", "--labels", "inputs/labels.json"]
cli.main()
"""


def test_a_limit_of_the_system_on_files_is_one_line_too(inputs: Path, tmp_path: Path) -> None:
    before = shop.listing(tmp_path)
    found = subprocess.run(
        [sys.executable, "-c", _INIT.format(limit=8192)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert found.returncode == 2, found.stderr
    assert found.stderr.startswith("error: ")
    assert found.stderr.count("\n") == 1
    assert shop.listing(tmp_path) == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 8192


def test_a_folder_that_may_not_be_written_is_one_line_too(init: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", "/somewhere")

    monkeypatch.setattr("llm_al.creation.tempfile.mkdtemp", refuse)
    assert init() == "Permission denied: /somewhere"


@pytest.mark.parametrize("pattern", ["cache/embeddings/pool-*.npy", "cache/proba/pool-0003-*.npy"])
def test_a_damaged_cache_file_is_made_again_and_said(llm_al: Any, finished: Path, pattern: str) -> None:
    assert llm_al("export", finished, "--to", "before.csv").stderr == ""
    (path,) = finished.glob(pattern)
    path.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    found = llm_al("export", finished, "--to", "after.csv")
    assert found.exit_code == 0
    assert found.stderr.startswith("note: ")
    assert path.name in found.stderr
    assert "again" in found.stderr
    assert Path("after.csv").read_bytes() == Path("before.csv").read_bytes()
    assert llm_al("export", finished, "--to", "third.csv").stderr == ""


def test_a_damaged_database_is_named(refused: Any, make_project: Any) -> None:
    project = make_project()
    project.close()
    (project.folder / "project.db").write_bytes(b"not a database at all, but long enough to be read" * 100)
    assert "is not a database" in refused("status", project.folder)
