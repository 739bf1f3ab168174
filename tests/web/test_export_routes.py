import csv
import json

import pytest

from llm_al.exchange import TOOLS

FORMATS = {
    "csv": "labels.csv",
    "jsonl": "labels.jsonl",
    "parquet": "labels.parquet",
    "argilla": "argilla.json",
    "label_studio": "label_studio.json",
    "doccano": "doccano.jsonl",
    "prodigy": "prodigy.jsonl",
}


def test_every_tool_is_offered() -> None:
    assert set(FORMATS) >= set(TOOLS)


@pytest.mark.parametrize(("kind", "name"), FORMATS.items())
def test_a_file_is_made_listed_and_fetched(alone, folder, kind, name) -> None:
    (one, *_) = alone.get("/api/next").json()["items"]
    alone.call("POST", "/api/answers", ticket=one["id"], label="refund")
    assert alone.get("/api/exports").json() == {"files": []}
    assert alone.call("POST", "/api/exports", format=kind).json() == {"file": name}
    (row,) = alone.get("/api/exports").json()["files"]
    content = (folder / "exports" / name).read_bytes()
    assert (row["name"], row["bytes"]) == (name, len(content))
    fetched = alone.get(f"/exports/{name}")
    assert fetched.content == content
    assert fetched.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert fetched.headers["content-type"] == "application/octet-stream"
    assert fetched.headers["cache-control"] == "no-store"


def test_labels_are_in_the_file(alone, folder) -> None:
    (one, *_) = alone.get("/api/next").json()["items"]
    alone.call("POST", "/api/answers", ticket=one["id"], label="refund")
    alone.call("POST", "/api/exports", format="csv")
    with (folder / "exports" / "labels.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [(row["id"], row["label"]) for row in csv.DictReader(file)] == [("p0", "refund")]


@pytest.fixture
def tempting(alone, folder, tmp_path):
    """An exports folder with a good file among hidden ones, links and folders."""
    exports = folder / "exports"
    exports.mkdir()
    (exports / "labels.csv").write_text("good")
    (exports / ".hidden.csv").write_text("secret")
    (exports / "sub").mkdir()
    (exports / "sub" / "inner.csv").write_text("secret")
    (tmp_path / "outside.txt").write_text("secret")
    (exports / "link.csv").symlink_to(tmp_path / "outside.txt")
    (exports / "up").symlink_to(folder)
    return alone


def test_only_plain_files_are_listed(tempting) -> None:
    assert [row["name"] for row in tempting.get("/api/exports").json()["files"]] == ["labels.csv"]


@pytest.mark.parametrize(
    "name",
    [
        "..%2fproject.yaml",
        "..%2f..%2foutside.txt",
        "%2e%2e%2fproject.db",
        "%2e%2e/project.yaml",
        "../project.yaml",
        "....//project.yaml",
        "%252e%252e%252fproject.yaml",
        "..%5cproject.yaml",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "//etc/passwd",
        ".hidden.csv",
        "sub",
        "sub%2finner.csv",
        "sub/inner.csv",
        "link.csv",
        "up%2fproject.yaml",
        "up/project.yaml",
        "labels.csv/",
        "labels.csv%2f..%2f..%2fproject.yaml",
        "labels.csv%20",
        "%c0%ae%c0%ae%c0%afproject.yaml",
        "x" * 190,
        "x" * 300,
    ],
)
def test_no_name_leads_out_of_the_folder(tempting, name) -> None:
    reply = tempting.get(f"/exports/{name}")
    assert reply.status_code in (404, 422)
    assert "secret" not in reply.text
    assert "labels:" not in reply.text
    assert "root:" not in reply.text


def test_a_zero_in_a_name_is_refused(tempting) -> None:
    assert tempting.get("/exports/labels.csv%00.txt").status_code == 400


def test_an_exports_folder_that_is_a_link_has_no_files(alone, folder, tmp_path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "labels.csv").write_text("secret")
    (folder / "exports").symlink_to(tmp_path / "elsewhere")
    assert alone.get("/api/exports").json() == {"files": []}
    assert alone.get("/exports/labels.csv").status_code == 404


@pytest.mark.parametrize("kind", ["xml", "../csv", "", None, 1])
def test_unknown_formats_are_refused(alone, kind) -> None:
    assert alone.call("POST", "/api/exports", format=kind).status_code == 422


@pytest.mark.parametrize("name", ["ann", "rita"])
def test_files_are_the_owners(person, staffed, name) -> None:
    visit = person(name)
    assert visit.call("POST", "/api/exports", format="csv").status_code == 403
    assert visit.get("/api/exports").status_code == 403
    assert visit.get("/exports/labels.csv").status_code == 403


def test_a_text_that_looks_like_a_formula_is_none_in_a_spreadsheet(tmp_path) -> None:
    from llm_al.project import Project
    from llm_al.web.app import create_app
    from llm_al.web.settings import WebSettings
    from tests.fakes import shop
    from tests.web.conftest import HERE, Visit

    texts = [{"id": "f", "text": "=HYPERLINK(1)"}]
    human = {"annotator": "queue", "gold": None}
    with Project.create(tmp_path / "f", texts=texts, labels=["a", "b"], settings=shop.settings(human=human)) as project:
        project.answer("f", "a", annotator="me")
    with Visit(create_app(tmp_path / "f", WebSettings(key="k")), base_url=HERE) as visit:
        visit.call("POST", "/api/exports", format="csv")
        visit.call("POST", "/api/exports", format="jsonl")
        assert "'=HYPERLINK" in visit.get("/exports/labels.csv").text
        assert json.loads(visit.get("/exports/labels.jsonl").text.splitlines()[0])["text"] == "=HYPERLINK(1)"
