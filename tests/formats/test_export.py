import csv
import errno
import json
import os

import datasets
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_al.errors import ConfigError, DataError, StorageFullError
from llm_al.formats.export import ExportRow, write
from llm_al.formats.read import open_rows
from llm_al.types import Source, Split

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
FULL = ExportRow(
    id="a",
    text='grüße, "you"\r\n👋',
    label="refund",
    posterior=0.75,
    proba={"refund": 0.75, "naïve": 0.25},
    source=Source.LLM,
    annotators=("gpt;v1", "ann"),
    round=3,
    agreement=1.0,
    reason="agreement 3 of 3",
    split=Split.POOL,
    votes={"refund": 2 / 3, "naïve": 1 / 3},
)
PLAIN = ExportRow("b", "=1+1", "none_of_these")
NAMES = {"csv": "out.csv", "jsonl": "out.jsonl", "parquet": "out.parquet", "datasets": "out"}


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", NAMES.values())
def test_export_reads_back_with_texts_ids_and_labels(tmp_path, name, capsys):
    assert write([FULL, PLAIN], tmp_path / name) == 2
    rows = list(open_rows(tmp_path / name, label_column="label"))
    assert [(row.id, row.text, row.label) for row in rows] == [
        ("a", FULL.text, "refund"),
        ("b", "=1+1", "none_of_these"),
    ]
    assert left_behind(tmp_path) == [name]
    assert capsys.readouterr() == ("", "")


def test_csv_holds_every_field(tmp_path):
    write([FULL, PLAIN], tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as stream:
        full, plain = csv.DictReader(stream)
    assert full["posterior"] == "0.75"
    assert json.loads(full["annotators"]) == ["gpt;v1", "ann"]
    assert json.loads(full["proba"]) == {"refund": 0.75, "naïve": 0.25}
    assert (full["source"], full["round"], full["split"], full["reason"]) == ("llm", "3", "pool", "agreement 3 of 3")
    assert json.loads(full["votes"]) == {"refund": 2 / 3, "naïve": 1 / 3}
    assert (plain["posterior"], plain["proba"], plain["votes"]) == ("", "{}", "{}")


def test_jsonl_holds_every_field(tmp_path):
    write([FULL], tmp_path / "out.jsonl")
    row = json.loads((tmp_path / "out.jsonl").read_text(encoding="utf-8"))
    assert row == {
        "id": "a", "text": FULL.text, "label": "refund", "posterior": 0.75, "source": "llm",
        "annotators": ["gpt;v1", "ann"], "round": 3, "agreement": 1.0, "reason": "agreement 3 of 3",
        "split": "pool", "proba": {"refund": 0.75, "naïve": 0.25},
        "votes": {"refund": 2 / 3, "naïve": 1 / 3},
    }  # fmt: skip


def test_parquet_and_datasets_hold_every_field(tmp_path):
    write([FULL, PLAIN], tmp_path / "out.parquet")
    write([FULL, PLAIN], tmp_path / "folder")
    from_parquet = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert datasets.load_from_disk(tmp_path / "folder").to_list() == from_parquet
    full, plain = from_parquet
    proba = [{"label": "refund", "probability": 0.75}, {"label": "naïve", "probability": 0.25}]
    assert (full["proba"], full["annotators"], full["round"]) == (proba, ["gpt;v1", "ann"], 3)
    assert full["votes"] == [{"label": "refund", "share": 2 / 3}, {"label": "naïve", "share": 1 / 3}]
    assert (plain["posterior"], plain["proba"], plain["source"], plain["votes"]) == (None, [], "human", [])


def test_format_can_be_named(tmp_path):
    write([PLAIN], tmp_path / "data.out", "jsonl")
    assert json.loads((tmp_path / "data.out").read_text())["id"] == "b"


@pytest.mark.parametrize("name", NAMES.values())
def test_no_row_gives_an_empty_export(tmp_path, name):
    assert write([], tmp_path / name) == 0
    assert (tmp_path / name).exists()


@pytest.mark.parametrize("name", NAMES.values())
def test_second_export_replaces_the_first(tmp_path, name):
    write([FULL], tmp_path / name)
    write([PLAIN], tmp_path / name)
    assert [row.id for row in open_rows(tmp_path / name)] == ["b"]
    assert left_behind(tmp_path) == [name]


def test_formulas_are_kept_unless_asked_for(tmp_path):
    write([PLAIN], tmp_path / "out.csv")
    assert ",=1+1,".replace(",=", "b,=", 1).strip(",") in (tmp_path / "out.csv").read_text()
    write([PLAIN], tmp_path / "safe.csv", is_spreadsheet_safe=True)
    raw = (tmp_path / "safe.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert b"b,'=1+1," in raw


@pytest.mark.parametrize("name", NAMES.values())
def test_full_disk_leaves_the_earlier_export_and_nothing_else(tmp_path, name):
    write([FULL], tmp_path / name)

    def rows():
        yield PLAIN
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(StorageFullError, match=r"no space left on the disk for .*nothing was kept; free"):
        write(rows(), tmp_path / name)
    assert left_behind(tmp_path) == [name]
    assert [row.id for row in open_rows(tmp_path / name)] == ["a"]


def test_any_other_failure_leaves_nothing(tmp_path):
    def rows():
        yield PLAIN
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write(rows(), tmp_path / "out.parquet")
    assert left_behind(tmp_path) == []


def test_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown export format 'xml'; .*csv, jsonl, parquet, datasets"):
        write([PLAIN], tmp_path / "a", "xml")
    with pytest.raises(ConfigError, match=r"unknown suffix '.xlsx'"):
        write([PLAIN], tmp_path / "a.xlsx")


def test_folder_of_something_else_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo").write_text("x")
    with pytest.raises(DataError, match="holds something else"):
        write([PLAIN], tmp_path / "mine", "datasets")
    with pytest.raises(DataError, match="holds something else"):
        write([PLAIN], tmp_path / "mine", "csv")
    with pytest.raises(DataError, match="is a file; a datasets export is a folder"):
        write([PLAIN], tmp_path / "mine" / "photo", "datasets")
    with pytest.raises(DataError, match="does not exist; create it"):
        write([PLAIN], tmp_path / "no" / "a.csv")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=4))
def test_any_text_survives_every_file_format(tmp_path, texts):
    rows = [ExportRow(str(i), text, "label") for i, text in enumerate(texts)]
    for name in ("out.csv", "out.jsonl", "out.parquet"):
        write(rows, tmp_path / name)
        assert [row.text for row in open_rows(tmp_path / name)] == texts
