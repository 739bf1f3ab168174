import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from llm_al.errors import DataError
from llm_al.formats.doccano import read, write, write_folder, write_label_settings
from llm_al.formats.records import Answer, Record, Suggestion
from tests.fakes.records import MIXED_TEXT, RECORDS

LINES = [
    {"id": 1, "text": MIXED_TEXT, "label": ["delivery", "refund"], "lang": "he", "Comments": ["hm", "two\nlines"]},
    {"id": 2, "text": "empty", "label": [], "Comments": []},
    {"id": 3, "text": "", "label": ["refund"], "Comments": [], "meta": {"source": {"url": None}}},
    {"text": "for import"},
    {"text": "one name", "label": "refund", "metadata": {"split": "a"}},
    {"id": 6, "text": "unlabelled, with a comment", "label": [], "Comments": ["why?"]},
    {"id": 7, "text": "no fit", "label": ["none_of_these"], "Comments": []},
    {"id": None, "text": "nulls", "label": None},
]


def put(tmp_path, lines, name="all.jsonl"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_a_file_is_understood(tmp_path):
    records = list(read(put(tmp_path, LINES), labels=["refund", "delivery"]))
    first = records[0]
    assert (first.id, first.text, first.meta) == ("1", MIXED_TEXT, {"lang": "he"})
    assert first.annotations == (Answer(labels=("delivery", "refund"), notes="hm\ntwo\nlines"),)
    said = [[a.labels for a in record.annotations] for record in records[1:]]
    assert said == [[], [("refund",)], [], [("refund",)], [], [("none_of_these",)], []]
    assert (records[2].meta, records[4].meta) == ({"meta": {"source": {"url": None}}}, {"metadata": {"split": "a"}})
    assert [record.id for record in records[3:5]] == ["", ""]


def test_a_file_comes_back_letter_for_letter(tmp_path):
    write(read(put(tmp_path, LINES)), tmp_path / "b.jsonl")
    assert lines_of(tmp_path / "b.jsonl") == LINES


@settings(max_examples=20, deadline=None)
@given(records=RECORDS)
def test_any_records_come_back_equal_from_one_file(records):
    if not records:
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write(records, path)
        back = list(read(path))
        assert back == records
        write(back, Path(folder) / "b.jsonl")
        assert (Path(folder) / "b.jsonl").read_bytes() == path.read_bytes()


def by_annotator(record):
    """A folder keeps the order of one person's answers, not that between people."""
    return replace(record, annotations=tuple(sorted(record.annotations, key=lambda answer: answer.annotator)))


@settings(max_examples=12, deadline=None)
@given(records=RECORDS)
def test_any_records_come_back_equal_from_a_folder(records):
    if not records:
        return
    with tempfile.TemporaryDirectory() as folder:
        write_folder(records, Path(folder) / "out")
        assert sorted(item.name for item in Path(folder).iterdir()) == ["out"]
        back = {record.id: by_annotator(record) for record in read(Path(folder) / "out")}
        assert back == {record.id: by_annotator(record) for record in records}


def test_a_folder_of_members_is_joined_by_id(tmp_path):
    put(tmp_path, [{"id": 1, "text": "a", "label": ["refund"]}, {"id": 2, "text": "b", "label": []}], "d/ann.jsonl")
    put(tmp_path, [{"id": 1, "text": "a", "label": ["delivery"]}], "d/zoë%20x.jsonl")
    put(tmp_path, [{"id": 3, "text": "c", "label": []}], "d/unlabelled.jsonl")
    put(tmp_path, [], "d/nothing.jsonl")
    one, two, three = sorted(read(tmp_path / "d"), key=lambda record: record.id)
    assert [(a.annotator, a.labels) for a in one.annotations] == [("ann", ("refund",)), ("zoë x", ("delivery",))]
    assert (two.annotations, three.annotations) == ((), ())


def test_our_answers_take_the_forms_of_doccano(tmp_path):
    answers = (Answer("ann", labels=("refund",), notes="sure"), Answer("b/o", status="skipped"))
    record = Record("a", "text", {"lang": "en"}, answers, (Suggestion(("refund",)),))
    write_folder([record, Record("b", "open")], tmp_path / "d")
    kept = {path.name: lines_of(path) for path in (tmp_path / "d").iterdir()}
    kept_beside = {name: [line.pop("llm_al", None) for line in lines] for name, lines in kept.items()}
    head = {"text": "text", "lang": "en", "id": "a"}
    assert kept == {
        "ann.jsonl": [{**head, "label": ["refund"], "Comments": ["sure"]}],
        "b%2Fo.jsonl": [{**head, "label": []}],
        "unlabelled.jsonl": [{"text": "open", "label": [], "id": "b"}],
    }
    assert set(kept_beside["b%2Fo.jsonl"][0]) == {"annotations", "suggestions"}


def test_members_with_the_names_of_our_files_keep_them(tmp_path):
    answers = tuple(Answer(name, labels=("refund",)) for name in ("all", "unlabelled", ".", "../up"))
    write_folder([Record("a", "text", {}, answers)], tmp_path / "d")
    (back,) = read(tmp_path / "d")
    assert {answer.annotator for answer in back.annotations} == {"all", "unlabelled", ".", "../up"}
    assert len(list((tmp_path / "d").iterdir())) == 4


def test_labels_changed_there_win_over_what_was_kept(tmp_path):
    write([Record("a", "text", {}, (Answer("ann", status="skipped"),))], tmp_path / "a.jsonl")
    (line,) = lines_of(tmp_path / "a.jsonl")
    (back,) = read(put(tmp_path, [{**line, "label": ["refund"]}]))
    assert back.annotations == (Answer(labels=("refund",)),)


def test_label_settings_have_a_key_for_each_label_as_long_as_there_are_keys(tmp_path):
    write_label_settings([f"label {n}" for n in range(40)], tmp_path / "labels.json")
    rows = json.loads((tmp_path / "labels.json").read_text(encoding="utf-8"))
    assert [row["text"] for row in rows[-2:]] == ["label 39", "none_of_these"]
    assert [row["suffixKey"] for row in (rows[0], rows[9], rows[10], rows[36])] == ["1", "0", "a", None]
    assert set(rows[0]) == {"text", "suffixKey", "backgroundColor", "textColor"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"txt": "a"}, "row 2: 'text' is missing; expected: str"),
        ({"text": "a", "label": [[0, 1, "ORG"]]}, "row 2: 'label' holds spans"),
        ({"text": "a", "label": [1.5]}, "row 2: 'label' holds a float"),
        ({"text": "a", "label": ["x"]}, "row 2: unknown label 'x'; choose from: refund"),
        ({"text": "a", "Comments": "x"}, "row 2: 'Comments' is a str; expected: list"),
        ({"text": "a", "Comments": [1]}, "row 2: 'Comments' holds something that is no string"),
    ],
)
def test_broken_lines_are_refused_with_file_and_row(tmp_path, line, message):
    path = put(tmp_path, [{"text": "fine"}, line])
    with pytest.raises(DataError, match=message) as error:
        list(read(path, labels=["refund"]))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_folders_that_cannot_be_right_are_refused(tmp_path):
    put(tmp_path, [{"id": 1, "text": "a"}], "d/ann.jsonl")
    put(tmp_path, [{"id": 1, "text": "b"}], "d/bob.jsonl")
    with pytest.raises(DataError, match=r"bob\.jsonl: id '1' has another text in an earlier file"):
        list(read(tmp_path / "d"))
    with pytest.raises(DataError, match=r"holds \.jsonl files already"):
        write_folder([], tmp_path / "d")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no \.jsonl file"):
        list(read(tmp_path / "empty"))
    twice = Record("a", "t", {}, (Answer("Ann", labels=("x",)), Answer("ann", labels=("x",))))
    with pytest.raises(DataError, match="differ by case only: Ann, ann"):
        write_folder([twice], tmp_path / "new")
