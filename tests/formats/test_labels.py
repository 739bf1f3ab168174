import pytest

from llm_al.errors import LabelError
from llm_al.formats.labels import parse_labels, read_labels


def put(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("l.yaml", "- refund\n- delivery\n", [("refund", ""), ("delivery", "")]),
        ("l.yaml", "refund: money back\ndelivery:\n", [("refund", "money back"), ("delivery", "")]),
        ("l.yaml", "- name: a\n  description: b c\n- name: d\n", [("a", "b c"), ("d", "")]),
        ("l.yaml", "labels:\n- a: first\n- b\n", [("a", "first"), ("b", "")]),
        ("l.yml", "- yes\n- no\n- 01\n", [("yes", ""), ("no", ""), ("01", "")]),
        ("l.json", '["a", "b"]', [("a", ""), ("b", "")]),
        ("l.json", '{"a": "x", "b": null}', [("a", "x"), ("b", "")]),
        ("l.txt", "\ufeffa\n\n b \n", [("a", ""), ("b", "")]),
    ],
)
def test_label_lists_are_read_in_every_shape(tmp_path, name, content, expected):
    assert read_labels(put(tmp_path, name, content)) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("l.yaml", "- a\n- b\n- A\n", "label 'A' is listed twice"),
        ("l.yaml", "a: x\nb: y\na: z\n", "'a' is listed twice"),
        ("l.json", '{"a": "x", "a": "y"}', "'a' is listed twice"),
        ("l.txt", "a\na\n", "label 'a' is listed twice"),
        ("l.yaml", "- a\n", "at least two labels; got 1"),
        ("l.yaml", "", "the file is empty"),
        ("l.yaml", "[]", "at least two labels; got 0"),
        ("l.yaml", "- a\n- none_of_these\n", "reserved"),
        ("l.yaml", "- a\n- ''\n", "label name is empty"),
        ("l.yaml", "- a\n- name: b\n  colour: red\n", "keys name, colour; allowed are: name, description"),
        ("l.yaml", "- a\n- [b, c]\n", "expected text; allowed is a list of names"),
        ("l.yaml", "just words\n", "expected a list of names, a mapping"),
        ("l.yaml", "a: [\n", "cannot be parsed at line 2"),
        ("l.json", "[1,", "cannot be parsed at line 1"),
        ("l.xml", "<a/>", "unknown suffix '.xml'"),
    ],
)
def test_bad_label_list_gives_one_clear_line(tmp_path, name, content, message):
    path = put(tmp_path, name, content)
    with pytest.raises(LabelError, match=message) as error:
        read_labels(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_or_binary_label_list_is_refused(tmp_path):
    with pytest.raises(LabelError, match="does not exist"):
        read_labels(tmp_path / "l.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\x00\x80")
    with pytest.raises(LabelError, match="not readable UTF-8 text"):
        read_labels(tmp_path / "b.yaml")


def test_labels_from_python_are_checked_alike():
    assert parse_labels(["a", {"name": "b", "description": "c"}]) == [("a", ""), ("b", "c")]
    with pytest.raises(LabelError, match="expected a list of names"):
        parse_labels("a, b")
