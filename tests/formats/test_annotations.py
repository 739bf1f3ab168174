import json

import pytest

from llm_al.errors import DataError
from llm_al.formats.annotations import AnnotationColumns, read_annotations
from llm_al.types import Label, LabelScheme

SCHEME = LabelScheme((Label("refund"), Label("delivery")))


def put(tmp_path, content, name="a.csv"):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


def test_annotations_are_read_with_their_annotators(tmp_path):
    path = put(tmp_path, "id,label,annotator\n1,refund,ann\n1,delivery,bob\n2,none_of_these,ann\n3,skip,\n")
    found = read_annotations(path, SCHEME)
    expected = [("1", "refund", "ann"), ("1", "delivery", "bob"), ("2", "none_of_these", "ann"), ("3", "skip", None)]
    assert list(found) == expected
    assert list(found) == expected  # it can be read again
    assert (found.n_rows, found.n_unlabeled) == (4, 0)


def test_unlabelled_rows_are_counted_and_passed_over(tmp_path):
    found = read_annotations(put(tmp_path, "id,label\n1,refund\n2,\n"), SCHEME)
    assert (list(found), found.n_unlabeled) == ([("1", "refund", None)], 1)


def test_json_lines_and_named_columns_serve(tmp_path):
    path = put(tmp_path, json.dumps({"nr": 4, "says": "refund", "by": "ann"}) + "\n", "a.jsonl")
    columns = AnnotationColumns(id="nr", label="says", annotator="by")
    assert list(read_annotations(path, SCHEME, columns=columns)) == [("4", "refund", "ann")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "id,label\n1,refund\n2,refnd\n",
            r"row 3: unknown label 'refnd'; choose from: refund, delivery, none_of_these",
        ),
        ("id,label\n1,Refund\n", r"did you mean 'refund'\?"),
        ("id,label\n9,refund\n", "row 2: no example has the id '9'"),
        ("id,label\n,refund\n", "row 2: the id is empty"),
        ("id,label\n1,refund\n1,delivery\n", "row 3: one annotator gives '1' both 'refund' and 'delivery'"),
        ("id,label\n1,refund,x\n2,refund\n", "row 2: 3 cells where the header has 2"),
        ("id,label\n1,\n", "none of its 1 rows has a label"),
        ("nr,label\n1,refund\n", "no id column; its columns are: nr, label"),
        ("id,says\n1,refund\n", "no column looks like the label"),
    ],
)
def test_bad_import_is_refused_whole(tmp_path, content, message):
    path = put(tmp_path, content)
    with pytest.raises(DataError, match=message) as error:
        read_annotations(path, SCHEME, known_ids=lambda ids: {"1", "2"} & set(ids))
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
