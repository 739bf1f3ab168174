import gzip
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from llm_al.errors import DataError
from llm_al.formats.prodigy import Layout, read, write
from llm_al.formats.records import Answer, Record, Suggestion
from tests.fakes.records import MIXED_TEXT, RECORDS

OPTIONS = [{"id": "refund", "text": "Refund"}, {"id": "delivery", "text": "Delivery 📦"}]
HASHES = {"_input_hash": -1442101131, "_task_hash": 1896612005}


def choice(who, answer, accept, **more):
    return {
        "text": MIXED_TEXT,
        "meta": {"source": "mail", "score": 0.31},
        **HASHES,
        "options": OPTIONS,
        "_view_id": "choice",
        "accept": accept,
        "config": {"choice_style": "single"},
        "answer": answer,
        "_timestamp": 1700000000,
        "_annotator_id": f"news-{who}",
        "_session_id": f"news-{who}",
        **more,
    }


def binary(label, answer, **more):
    return {"text": "Uber's parcel", "label": label, "_input_hash": 7, "_task_hash": 8, "answer": answer, **more}


LINES = [
    choice("ann", "accept", ["refund"]),
    choice("bob", "reject", []),
    choice("cy", "ignore", [], flagged=True),
    choice("di", "accept", ["refund", "delivery"]),
    binary("refund", "accept", meta={}, spans=[], _session_id="s1"),
    binary("delivery", "reject", meta={}, _session_id=None),
    binary("delivery", "ignore", meta={}),
    {"text": "", "_input_hash": 9},
    {"text": "not yet", "label": "refund", "meta": {"score": 0.9}},
    {"text": "not yet", "options": OPTIONS, "accept": ["delivery"], "id": 12},
    {"text": "numbers", "accept": [1], "answer": "accept"},
    {"text": "twice", "accept": [], "answer": "accept"},
    {"text": "twice", "accept": [], "answer": "accept"},
]


def put(tmp_path, lines, name="a.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def test_both_views_are_understood(tmp_path):
    records = list(read(put(tmp_path, LINES[:10]), labels=["refund", "delivery"]))
    first, second, empty, shown, chosen = records
    assert (first.id, first.text, first.meta) == ("-1442101131", MIXED_TEXT, {"source": "mail", "score": 0.31})
    assert [(a.annotator, a.labels, a.status) for a in first.annotations] == [
        ("news-ann", ("refund",), "submitted"),
        ("news-bob", ("none_of_these",), "submitted"),
        ("news-cy", (), "skipped"),
        ("news-di", ("refund", "delivery"), "submitted"),
    ]
    assert first.annotations[0].created == "2023-11-14T22:13:20+00:00"
    assert [(a.annotator, a.labels, a.negative_labels, a.status) for a in second.annotations] == [
        ("s1", ("refund",), (), "submitted"),
        ("", (), ("delivery",), "submitted"),
        ("", (), (), "skipped"),
    ]
    assert (empty.id, empty.text, empty.annotations, empty.suggestions) == ("9", "", (), ())
    assert (shown.suggestions, shown.annotations) == ((Suggestion(("refund",), extra=shown.suggestions[0].extra),), ())
    assert (chosen.id, chosen.suggestions[0].labels) == ("12", ("delivery",))


@pytest.mark.parametrize("layout", [Layout(), Layout("classification"), Layout(options=("refund", "delivery"))])
def test_lines_come_back_letter_for_letter(tmp_path, layout):
    write(read(put(tmp_path, LINES), layout=layout), tmp_path / "b.jsonl", layout=layout)
    assert lines_of(tmp_path / "b.jsonl") == LINES


@pytest.mark.parametrize("layout", [Layout(), Layout("classification"), Layout(options=("refund", "lieferung 📦"))])
@settings(max_examples=12, deadline=None)
@given(records=RECORDS)
def test_any_records_come_back_equal(layout, records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        write(records, path, layout=layout)
        if not records:
            return
        back = list(read(path, layout=layout))
        assert back == records
        write(back, Path(folder) / "b.jsonl", layout=layout)
        assert (Path(folder) / "b.jsonl").read_bytes() == path.read_bytes()


def test_our_answers_take_the_forms_of_prodigy(tmp_path):
    answers = (
        Answer("ann", labels=("refund",), created="2023-11-14T22:13:20+00:00"),
        Answer("ann", negative_labels=("delivery",)),
        Answer("bob", labels=("none_of_these",)),
        Answer("bob", status="skipped"),
    )
    records = [Record("a", "text", {}, answers), Record("b", "open", {}, (), (Suggestion(("refund",)),))]
    head = {"text": "text", "id": "a"}
    write(records, tmp_path / "a.jsonl", layout=Layout("classification"))
    assert lines_of(tmp_path / "a.jsonl") == [
        {**head, "answer": "accept", "label": "refund", "_annotator_id": "ann", "_timestamp": 1700000000},
        {**head, "answer": "reject", "label": "delivery", "_annotator_id": "ann"},
        {**head, "answer": "reject", "accept": [], "_annotator_id": "bob"},
        {**head, "answer": "ignore", "_annotator_id": "bob"},
        {"text": "open", "id": "b", "label": "refund"},
    ]
    write(records, tmp_path / "b.jsonl", layout=Layout(options=("refund",)))
    offered = [{"id": "refund", "text": "refund"}]
    first, *_, last = lines_of(tmp_path / "b.jsonl")
    assert (first["answer"], first["accept"], first["options"]) == ("accept", ["refund"], offered)
    assert last == {"text": "open", "id": "b", "accept": ["refund"], "options": offered}


def test_a_draft_that_was_answered_there_is_an_answer_here(tmp_path):
    write([Record("a", "text", {}, (Answer("ann", labels=("refund",), status="draft"),))], tmp_path / "a.jsonl")
    (line,) = lines_of(tmp_path / "a.jsonl")
    assert "answer" not in line
    (back,) = read(put(tmp_path, [{**line, "answer": "accept", "accept": ["delivery"], "_annotator_id": "bob"}]))
    assert [(a.annotator, a.labels, a.status) for a in back.annotations] == [("bob", ("delivery",), "submitted")]


def test_gzipped_lines_are_read(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "answer": "ignore"}\n\n'))
    (record,) = read(tmp_path / "a.jsonl.gz")
    assert record.annotations[0].status == "skipped"


def test_an_unknown_view_is_refused():
    with pytest.raises(DataError, match="unknown Prodigy view 'html'; choose from: choice, classification"):
        Layout("html")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "row 2: undecodable|row 2: invalid JSON"),
        ("[1]", "row 2: a JSON list"),
        ('{"txt": "a"}', "row 2: 'text' is missing; expected: str"),
        ('{"text": "a", "answer": "yes"}', "row 2: 'answer' is 'yes'; choose from: accept, reject, ignore"),
        ('{"text": "a", "answer": "accept", "label": ["x"]}', "row 2: 'label' is a list; expected: str"),
        ('{"text": "a", "answer": "accept", "accept": [{}]}', "row 2: 'accept' holds a dict"),
        ('{"text": "a", "answer": "reject", "label": "x"}', "row 2: unknown label 'x'; choose from: refund"),
        ('{"text": "a", "answer": "ignore", "_timestamp": 1e300}', "row 2: '_timestamp' is 1e\\+300"),
        ('{"text": "a", "meta": "b"}', "row 2: 'meta' is a str; expected: dict"),
    ],
)
def test_broken_lines_are_refused_with_file_and_row(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "fine"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(DataError, match=message) as error:
        list(read(path, labels=["refund"]))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
