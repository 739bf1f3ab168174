import gzip
import json
from pathlib import Path

import pytest

from llm_al.errors import DataError
from llm_al.formats.llm_runs import RecordedRow, read_llm_runs, write_llm_runs


def _file(path: Path, *rows: object) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_samples_come_as_labels_or_as_objects(tmp_path: Path) -> None:
    row = {
        "id": 7,
        "text": "t",
        "gold": "a",
        "llm_label": "a",
        "llm_confidence": 0.5,
        "llm_samples": {"x": "b", "y": {"label": None, "confidence": 1.0}},
        "llm": "m",
        "prompt_tokens": 12,
    }
    (read,) = read_llm_runs(_file(tmp_path / "f.jsonl", row))
    assert (read.id, read.text, read.gold, read.main) == ("7", "t", "a", "m")
    assert read.runs == {"x": {"label": "b"}, "y": {"label": None, "confidence": 1.0}}
    assert read.main_answer == {"label": "a", "confidence": 0.5}


@pytest.mark.parametrize("name", ["f.jsonl", "f.jsonl.gz"])
def test_what_is_written_is_read_back(name: str, tmp_path: Path) -> None:
    answer = {"label": "é", "confidence": 0.1 + 0.2, "signals": {"p_true": 1 / 3}, "model": "m"}
    rows = [
        RecordedRow("1", "a\nb", {"r": answer}, "r", answer, "x"),
        RecordedRow("2", "c", {"r": answer}, "r", answer),
    ]
    assert write_llm_runs(rows, tmp_path / name) == 2
    again = list(read_llm_runs(tmp_path / name))
    assert [(row.id, row.text, row.runs, row.gold) for row in again] == [
        (row.id, row.text, row.runs, row.gold) for row in rows
    ]
    assert (tmp_path / name).read_bytes().startswith(b"\x1f\x8b") == name.endswith(".gz")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "line 2: no JSON"),
        ("[1]", "line 2: a JSON list; expected an object"),
        ('{"text": "t", "llm_label": "a"}', "line 2: id is None; expected a text or a whole number"),
        ('{"id": 1}', "line 2: neither llm_label nor llm_samples"),
        ('{"id": 1, "llm_label": ["a"]}', "line 2: llm_label is a list; expected one label"),
        ('{"id": 1, "llm_samples": ["a"]}', "line 2: llm_samples is a list"),
        ('{"id": 1, "llm_samples": {"r": {"label": "a", "confidence": 95}}}', "run 'r' has confidence 95; expected 0"),
        ('{"id": 1, "llm_label": "a", "llm_confidence": true}', "confidence True; expected 0 to 1"),
    ],
)
def test_a_bad_line_is_named_with_file_and_reason(line: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": 0, "llm_label": "a"}\n' + line + "\n", encoding="utf-8")
    rows = read_llm_runs(path)
    assert next(rows).id == "0"
    with pytest.raises(DataError) as caught:
        next(rows)
    assert expected in str(caught.value)
    assert "bad.jsonl" in str(caught.value)


def test_a_missing_or_cut_file_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_llm_runs(tmp_path / "none.jsonl")
    whole = gzip.compress(b"".join(b'{"id": %d, "llm_label": "a"}\n' % i for i in range(100_000)), 1)
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[:-200])
    with pytest.raises(DataError, match="is damaged"):
        list(read_llm_runs(tmp_path / "cut.jsonl.gz"))


def test_a_name_that_nobody_could_read_back_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"let it end in one of: .jsonl, .jsonl.gz"):
        write_llm_runs([], tmp_path / "f.csv")


def test_a_row_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = _file(tmp_path / "f.jsonl", {"id": 1, "llm_label": "a"})

    def rows():
        yield RecordedRow("1", "t", {})
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_llm_runs(rows(), path)
    assert [file.name for file in tmp_path.iterdir()] == ["f.jsonl"]
    assert next(read_llm_runs(path)).main_answer == {"label": "a", "confidence": None}
