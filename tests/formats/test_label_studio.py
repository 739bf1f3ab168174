import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from llm_al.errors import DataError
from llm_al.formats.label_studio import Layout, read, write
from llm_al.formats.records import Answer, Record, Suggestion
from tests.fakes.records import MIXED_TEXT, RECORDS


def choice(label, id_="r1", control="label"):
    return {
        "id": id_,
        "from_name": control,
        "to_name": "text",
        "type": "choices",
        "origin": "manual",
        "value": {"choices": label if isinstance(label, list) else [label]},
    }


EXPORT = [
    {
        "id": 101,
        "annotations": [
            {
                "id": 9,
                "completed_by": 3,
                "result": [choice("refund")],
                "was_cancelled": False,
                "ground_truth": True,
                "created_at": "2026-03-01T10:00:00.123456Z",
                "updated_at": "2026-03-01T10:00:09.000000Z",
                "draft_created_at": None,
                "lead_time": 7.25,
                "prediction": {},
                "result_count": 0,
                "task": 101,
                "parent_prediction": 5,
                "parent_annotation": None,
            },
            {
                "id": 10,
                "completed_by": {"id": 4, "email": "zoë@example.org", "first_name": ""},
                "result": [],
                "was_cancelled": True,
                "ground_truth": False,
                "lead_time": 1,
            },
            {"id": 11, "completed_by": 5, "result": [], "was_cancelled": False},
            {"id": 12, "completed_by": 6, "result": [choice(["refund", "delivery"])], "was_cancelled": False},
        ],
        "drafts": [],
        "predictions": [
            {"id": 5, "model_version": "student-2", "score": 0.75, "result": [choice("delivery", "p1")]},
            {"id": 6, "model_version": None, "score": None, "result": []},
        ],
        "data": {"text": MIXED_TEXT, "id": "t-1", "lang": "he"},
        "meta": {},
        "created_at": "2026-02-01T00:00:00Z",
        "project": 2,
    },
    {"id": 102, "data": {"text": ""}, "annotations": [], "project": 2, "file_upload": None},
    {"text": "bare data", "id": 7, "source": "import"},
]


def put(tmp_path, content):
    path = tmp_path / "export.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_an_export_is_understood(tmp_path):
    first, second, bare = read(put(tmp_path, EXPORT), labels=["refund", "delivery"])
    assert (first.id, first.text, first.meta) == ("t-1", MIXED_TEXT, {"lang": "he"})
    said = [(a.annotator, a.labels, a.status, a.seconds) for a in first.annotations]
    assert said == [
        ("3", ("refund",), "submitted", 7.25),
        ("zoë@example.org", (), "skipped", 1),
        ("5", ("none_of_these",), "submitted", None),
        ("6", ("refund", "delivery"), "submitted", None),
    ]
    assert (first.annotations[0].seen_suggestion, first.annotations[1].seen_suggestion) == (True, None)
    assert first.annotations[0].created == "2026-03-01T10:00:00.123456Z"
    assert [(s.labels, s.score, s.agent) for s in first.suggestions] == [
        (("delivery",), 0.75, "student-2"),
        ((), None, ""),
    ]
    assert (second.id, second.text, second.annotations) == ("102", "", ())
    assert (bare.id, bare.text, bare.meta) == ("7", "bare data", {"source": "import"})


def test_an_export_comes_back_letter_for_letter(tmp_path):
    write(read(put(tmp_path, EXPORT)), tmp_path / "back.json")
    assert json.loads((tmp_path / "back.json").read_text(encoding="utf-8")) == EXPORT


@settings(max_examples=20, deadline=None)
@given(RECORDS)
def test_any_records_come_back_equal(records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        write(records, path)
        back = list(read(path))
        assert back == records
        write(back, Path(folder) / "b.json")
        assert (Path(folder) / "b.json").read_bytes() == path.read_bytes()


def test_our_answers_take_the_form_that_label_studio_imports(tmp_path):
    answers = (
        Answer("3", labels=("refund",), seconds=2.0),
        Answer("bo@example.org", labels=("none_of_these",)),
        Answer("", status="skipped"),
        Answer("4", labels=("refund",), status="draft"),
    )
    record = Record("a", "text", {"lang": "en"}, answers, (Suggestion(("refund",), 0.5, "llm"),))
    layout = Layout(control="intent", object_tag="mail", text_key="body")
    write([record], tmp_path / "a.json", layout=layout)
    (task,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    result = [{"from_name": "intent", "to_name": "mail", "type": "choices", "value": {"choices": ["refund"]}}]
    assert task["data"] == {"body": "text", "id": "a", "lang": "en"}
    assert task["annotations"] == [
        {"completed_by": 3, "result": result, "was_cancelled": False, "lead_time": 2.0},
        {"completed_by": {"email": "bo@example.org"}, "result": [], "was_cancelled": False},
        {"result": [], "was_cancelled": True},
    ]
    assert task["predictions"] == [{"result": result, "model_version": "llm", "score": 0.5}]
    assert list(read(tmp_path / "a.json", layout=layout)) == [record]


def test_what_people_change_there_wins_over_what_was_kept(tmp_path):
    record = Record("a", "text", {}, (Answer("ann", labels=("refund",), status="discarded", confidence=0.5),))
    write([record], tmp_path / "a.json")
    tasks = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    tasks[0]["annotations"][0] |= {"was_cancelled": False, "result": [choice("delivery")], "id": 1}
    (back,) = read(put(tmp_path, tasks))
    (answer,) = back.annotations
    assert (answer.labels, answer.status, answer.confidence) == (("delivery",), "submitted", 0.5)


def test_what_we_change_here_wins_over_what_was_in_the_file(tmp_path):
    first, *_ = read(put(tmp_path, EXPORT))
    changed = replace(first.annotations[0], labels=("delivery",))
    write([replace(first, annotations=(changed, *first.annotations[1:]))], tmp_path / "b.json")
    (task,) = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert task["annotations"][0]["result"][0]["value"] == {"choices": ["delivery"]}
    assert (task["annotations"][0]["id"], task["annotations"][0]["ground_truth"]) == (9, True)
    assert task["annotations"][1:] == EXPORT[0]["annotations"][1:]


def test_taxonomies_and_further_controls_are_read(tmp_path):
    taxonomy = {"from_name": "tree", "to_name": "text", "type": "taxonomy", "value": {"taxonomy": [["a", "b"], ["c"]]}}
    note = {"from_name": "why", "to_name": "text", "type": "textarea", "value": {"text": ["because"]}}
    two = [choice("refund"), choice("angry", "r2", "mood")]
    tasks = [{"data": {"text": "t"}, "annotations": [{"result": result}]} for result in ([taxonomy, note], two)]
    path = put(tmp_path, tasks)
    assert [r.annotations[0].labels for r in read(path)] == [("a / b", "c"), ("refund",)]
    write(read(path), tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == tasks
    with pytest.raises(DataError, match="row 2: results of several controls: label, mood; name the one"):
        list(read(path, layout=Layout(control="tree")))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": {}}, "a JSON dict; expected one list of objects"),
        ([1], "row 1: a JSON int; expected an object"),
        ([{"data": {"txt": "a"}}], "row 1: 'text' is missing; expected: str"),
        ([{"data": {"text": 3}}], "row 1: 'text' is a int; expected: str"),
        ([{"data": {"text": "a"}}, {"data": {"text": "a"}, "annotations": {}}], "row 2: 'annotations' is a dict"),
        ([{"data": {"text": "a"}, "annotations": [{"result": "x"}]}], "row 1: 'result' of an annotation"),
        ([{"data": {"text": "a"}, "annotations": [{"result": [], "lead_time": "1"}]}], "row 1: 'lead_time' is a str"),
        (
            [{"data": {"text": "a"}, "annotations": [{"result": [choice("x")]}]}],
            "row 1: unknown label 'x'; choose from",
        ),
        ([{"data": {"text": "a\x00"}}], "row 1: .* holds a NUL character"),
    ],
)
def test_broken_files_are_refused_with_file_and_row(tmp_path, content, message):
    path = put(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        list(read(path, labels=["refund"]))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_no_json_is_refused(tmp_path):
    (tmp_path / "a.json").write_text('[{"data": ', encoding="utf-8")
    with pytest.raises(DataError, match="no JSON"):
        list(read(tmp_path / "a.json"))


def test_a_failed_export_leaves_the_old_file(tmp_path):
    path = put(tmp_path, EXPORT)
    with pytest.raises(DataError, match="record 2 cannot be written"):
        write([Record("a", "fine"), Record("b", "half \ud800")], path)
    assert json.loads(path.read_text(encoding="utf-8")) == EXPORT
    assert list(tmp_path.iterdir()) == [path]
