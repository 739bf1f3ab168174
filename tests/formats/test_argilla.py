import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from llm_al.errors import DataError
from llm_al.formats.argilla import Layout, read, write
from llm_al.formats.records import Answer, Record, Suggestion
from tests.fakes.records import MIXED_TEXT, RECORDS

ANN, BOB = "6f3c1d1e-0000-4000-8000-000000000001", "6f3c1d1e-0000-4000-8000-000000000002"
FLAT = Layout(is_flat=True)
NESTED_FILE = [
    {
        "id": "t-1",
        "fields": {"text": MIXED_TEXT},
        "metadata": {"source": "mail", "length": 3},
        "suggestions": {"label": {"value": "refund", "score": 0.5, "agent": "student"}},
        "responses": {"label": [{"value": "delivery", "user_id": ANN}, {"value": "none_of_these", "user_id": BOB}]},
        "vectors": {"mini": [0.25, -1.0]},
        "status": "completed",
        "_server_id": "0d1c2b3a-0000-4000-8000-000000000000",
    },
    {"id": "t-2", "fields": {"text": ""}, "metadata": {}, "suggestions": {}, "responses": {}, "vectors": {}},
    {
        "id": "t-3",
        "fields": {"text": "more", "title": "fields"},
        "suggestions": {
            "label": {"value": ["refund", "delivery"], "score": [0.9, 0.4], "agent": None},
            "mood": {"value": "calm", "score": None, "agent": None},
        },
        "responses": {
            "label": [
                {"value": ["refund", "delivery"], "user_id": ANN, "status": "discarded"},
                {"value": ["refund"], "user_id": BOB, "status": "draft"},
            ],
            "mood": [{"value": "calm", "user_id": ANN}],
        },
        "_server_id": None,
    },
    {"fields": {"prompt": "other names"}, "responses": {"topic": [{"value": "refund", "user_id": ANN}]}},
]
FLAT_FILE = [
    {
        "id": "t-1",
        "status": "completed",
        "_server_id": "0d1c2b3a-0000-4000-8000-000000000000",
        "text": MIXED_TEXT,
        "source": "mail",
        "mini": [0.25, -1.0],
        "label.suggestion": "refund",
        "label.suggestion.score": 0.5,
        "label.suggestion.agent": "student",
        "label.responses": ["delivery", None, "refund"],
        "label.responses.users": [ANN, BOB, BOB],
        "label.responses.status": ["submitted", "discarded", "draft"],
    },
    {
        "id": "t-2",
        "status": "pending",
        "_server_id": None,
        "text": "",
        "source": None,
        "mini": None,
        "label.suggestion": None,
        "label.suggestion.score": None,
        "label.suggestion.agent": None,
        "label.responses": None,
        "label.responses.users": None,
        "label.responses.status": None,
    },
    {"text": "log form", "label.suggestion": ["refund"], "label.suggestion.score": [1.0]},
]


def put(tmp_path, content):
    path = tmp_path / "records.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def said(record):
    return [(answer.annotator, answer.labels, answer.status) for answer in record.annotations]


def test_nested_records_are_understood(tmp_path):
    first, second, third, fourth = read(put(tmp_path, NESTED_FILE), labels=["refund", "delivery"])
    assert (first.id, first.text, first.meta) == ("t-1", MIXED_TEXT, {"source": "mail", "length": 3})
    assert said(first) == [(ANN, ("delivery",), "submitted"), (BOB, ("none_of_these",), "submitted")]
    assert first.suggestions == (Suggestion(("refund",), 0.5, "student"),)
    assert (second.text, second.annotations, second.suggestions) == ("", (), ())
    assert said(third) == [(ANN, ("refund", "delivery"), "discarded"), (BOB, ("refund",), "draft")]
    assert third.suggestions == (Suggestion(("refund", "delivery")),)
    assert (fourth.text, said(fourth)) == ("other names", [(ANN, ("refund",), "submitted")])


def test_flattened_records_are_understood(tmp_path):
    first, second, third = read(put(tmp_path, FLAT_FILE), layout=FLAT)
    assert said(first) == [(ANN, ("delivery",), "submitted"), (BOB, (), "discarded"), (BOB, ("refund",), "draft")]
    assert (first.meta["source"], first.suggestions) == ("mail", (Suggestion(("refund",), 0.5, "student"),))
    assert (second.annotations, second.suggestions) == ((), ())
    assert third.suggestions == (Suggestion(("refund",)),)


@pytest.mark.parametrize(
    ("content", "layout"),
    [(NESTED_FILE, Layout()), (NESTED_FILE, Layout(is_multi_label=True)), (FLAT_FILE, FLAT)],
)
def test_records_come_back_letter_for_letter(tmp_path, content, layout):
    write(read(put(tmp_path, content), layout=layout), tmp_path / "b.json", layout=layout)
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8")) == content


@pytest.mark.parametrize("layout", [Layout(), Layout("body", "topic", is_multi_label=True), FLAT])
@settings(max_examples=12, deadline=None)
@given(records=RECORDS)
def test_any_records_come_back_equal(layout, records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.json"
        write(records, path, layout=layout)
        back = list(read(path, layout=layout))
        assert back == records
        write(back, Path(folder) / "b.json", layout=layout)
        assert (Path(folder) / "b.json").read_bytes() == path.read_bytes()


ANSWERS = (
    Answer(ANN, labels=("refund",)),
    Answer(BOB, status="skipped"),
    Answer(BOB, labels=("refund",), status="draft"),
)
RECORD = Record("a", "text", {"n": 1}, ANSWERS, (Suggestion(("refund",), 0.5, "llm"), Suggestion(("x",))))


def test_our_answers_take_the_nested_form_that_the_sdk_reads(tmp_path):
    write([RECORD], tmp_path / "a.json")
    (row,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert set(row.pop("llm_al")) == {"annotations", "suggestions"}
    assert row == {
        "id": "a",
        "fields": {"text": "text"},
        "metadata": {"n": 1},
        "suggestions": {"label": {"value": "refund", "score": 0.5, "agent": "llm"}},
        "responses": {
            "label": [
                {"value": "refund", "user_id": ANN, "status": "submitted"},
                {"value": "refund", "user_id": BOB, "status": "draft"},
            ]
        },
    }


def test_our_answers_take_the_flattened_form(tmp_path):
    write([RECORD], tmp_path / "a.json", layout=FLAT)
    (row,) = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert row["label.responses"] == ["refund", None, "refund"]
    assert row["label.responses.users"] == [ANN, BOB, BOB]
    assert row["label.responses.status"] == ["submitted", "discarded", "draft"]


def test_answers_changed_there_win_over_what_was_kept(tmp_path):
    write([RECORD], tmp_path / "a.json")
    rows = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    rows[0]["responses"]["label"] = [{"value": "delivery", "user_id": BOB, "status": "submitted"}]
    (back,) = read(put(tmp_path, rows))
    assert said(back) == [(BOB, ("delivery",), "submitted")]
    assert back.suggestions == RECORD.suggestions


@pytest.mark.parametrize(
    ("row", "layout", "message"),
    [
        ({"text": "a"}, Layout(), "row 2: 'fields' is missing; expected: dict"),
        ({"fields": {"a": "x", "b": "y"}}, Layout(), "row 2: 'text' is missing; expected: str"),
        ({"fields": {"text": "a"}, "responses": []}, Layout(), "row 2: 'responses' is a list; expected: dict"),
        ({"fields": {"text": "a"}, "responses": {"label": ["x"]}}, Layout(), "row 2: responses of 'label' hold"),
        (
            {"fields": {"text": "a"}, "responses": {"label": [{"value": "x", "user_id": ANN, "status": "done"}]}},
            Layout(),
            "row 2: status of a response is 'done'; choose from: submitted, discarded, draft",
        ),
        (
            {"fields": {"text": "a"}, "responses": {"label": [{"value": "x", "user_id": 3}]}},
            Layout(),
            "row 2: user of a response is a int",
        ),
        (
            {"fields": {"text": "a"}, "responses": {"label": [{"value": "x", "user_id": ANN}]}},
            Layout(),
            "row 2: unknown label 'x'; choose from: refund",
        ),
        ({"fields": {"text": "a"}}, FLAT, "row 2: a nested record"),
        (
            {"text": "a", "label.responses": ["refund"], "label.responses.users": []},
            FLAT,
            "row 2: .* differ in length: 1, 0",
        ),
    ],
)
def test_broken_records_are_refused_with_file_and_row(tmp_path, row, layout, message):
    fine = {"text": "fine"} if layout.is_flat else {"fields": {"text": "fine"}}
    path = put(tmp_path, [fine, row])
    with pytest.raises(DataError, match=message) as error:
        list(read(path, labels=["refund"], layout=layout))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
