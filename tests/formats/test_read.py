import csv
import gzip
import itertools
import json
import tracemalloc

import datasets
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_al.errors import DataError
from llm_al.formats.read import open_rows

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1).filter(
    lambda text: not text.isspace()
)


def texts(source, **options):
    return [row.text for row in open_rows(source, **options)]


def put(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def one_line(error):
    assert "\n" not in str(error.value)
    return str(error.value)


# --- formats


def test_csv_gives_text_id_and_the_rest_as_meta(tmp_path):
    path = put(tmp_path, "a.csv", 'id,message,channel\n7,"hello, you",web\n8,"two\nlines",\n')
    first, second = open_rows(path)
    assert (first.number, first.id, first.text, first.meta) == (2, "7", "hello, you", {"channel": "web"})
    assert (second.number, second.text) == (3, "two\nlines")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiter_is_found(tmp_path, delimiter):
    path = put(tmp_path, "a.csv", f'id{delimiter}text\n1{delimiter}"yes; it is, really"\n')
    assert texts(path) == ["yes; it is, really"]


def test_commas_in_a_semicolon_file_stay_in_the_text(tmp_path):
    path = put(tmp_path, "a.csv", "id;text\n1;one, two, three\n2;four, five, six\n3;seven\n")
    assert texts(path) == ["one, two, three", "four, five, six", "seven"]


def test_tsv_keeps_commas(tmp_path):
    assert texts(put(tmp_path, "a.tsv", "id\ttext\n1\ta, b, c\n")) == ["a, b, c"]


def test_jsonl_keeps_nested_meta(tmp_path):
    path = put(tmp_path, "a.jsonl", '{"uid": 5, "text": "hi", "tags": ["x", {"y": 1.5}]}\n')
    (row,) = open_rows(path)
    assert (row.id, row.text, row.meta) == ("5", "hi", {"tags": ["x", {"y": 1.5}]})


def test_json_suffix_with_one_object_a_line_is_json_lines(tmp_path):
    assert texts(put(tmp_path, "a.json", '{"text": "hi"}\n{"text": "ho"}\n')) == ["hi", "ho"]


def test_file_without_suffix_is_sniffed_as_json_lines(tmp_path):
    assert texts(put(tmp_path, "data", '{"text": "hi"}\n')) == ["hi"]


def test_plain_text_is_one_text_a_line(tmp_path):
    path = put(tmp_path, "a.txt", "one\n\n  two  \nthree")
    assert [(row.number, row.text) for row in open_rows(path)] == [(1, "one"), (2, ""), (3, "  two  "), (4, "three")]


def test_line_separator_characters_do_not_split_a_line(tmp_path):
    assert texts(put(tmp_path, "a.txt", "one\u2028still one\x0bstill\n")) == ["one\u2028still one\x0bstill"]


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv.gz", "text\nhi there\n"), ("a.jsonl.gz", '{"text": "hi there"}\n')]
)
def test_gzip_is_read_as_if_it_were_not_there(tmp_path, name, content):
    assert texts(put(tmp_path, name, gzip.compress(content.encode()))) == ["hi there"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_byte_order_marks_name_the_encoding(tmp_path, encoding):
    path = put(tmp_path, "a.csv", "text,id\ngrüße 👋,1\n".encode(encoding))
    assert [(row.text, row.id) for row in open_rows(path)] == [("grüße 👋", "1")]


def test_parquet_streams_rows_in_order(tmp_path):
    path = tmp_path / "a.parquet"
    table = pa.table({"text": [f"text {i}" for i in range(2500)], "id": range(2500), "when": [None] * 2500})
    pq.write_table(table, path)
    rows = list(open_rows(path))
    assert [row.text for row in rows] == [f"text {i}" for i in range(2500)]
    assert (rows[-1].number, rows[-1].id, rows[-1].meta) == (2500, "2499", {"when": None})


def test_saved_dataset_gives_class_names_as_labels(tmp_path):
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    data = datasets.Dataset.from_dict({"text": ["a b", "c d"], "label": [1, -1]}, features=features)
    data.save_to_disk(tmp_path / "saved")
    assert [row.label for row in open_rows(tmp_path / "saved", label_column="auto")] == ["yes", None]
    assert [row.label for row in open_rows(data, label_column="label")] == ["yes", None]


def test_saved_dataset_dict_takes_train_and_says_so(tmp_path):
    splits = {name: datasets.Dataset.from_dict({"text": [name]}) for name in ("train", "test")}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "both")
    rows = open_rows(tmp_path / "both")
    assert "took split 'train' of: train, test" in rows.notes[0]
    assert [row.text for row in rows] == ["train"]
    assert texts(tmp_path / "both" / "test") == ["test"]


def test_dataset_dict_without_train_asks_for_a_split():
    splits = {name: datasets.Dataset.from_dict({"text": [name]}) for name in ("dev", "test")}
    with pytest.raises(DataError, match=r"several splits: dev, test; give the one"):
        open_rows(datasets.DatasetDict(splits))


def test_iterables_of_strings_mappings_and_frames_are_read():
    assert texts(word for word in ["one", "two"]) == ["one", "two"]
    assert texts([{"body": "one", "id": 3}]) == ["one"]
    frame = pd.DataFrame({"text": ["one", None], "id": [1, 2]})
    assert [(row.id, row.text) for row in open_rows(frame)] == [("1", "one"), ("2", None)]


def test_string_source_is_a_path(tmp_path):
    assert texts(str(put(tmp_path, "a.txt", "hi\n"))) == ["hi"]


# --- columns


def test_named_text_column_wins(tmp_path):
    path = put(tmp_path, "a.csv", "text,other\nshort,the other one\n")
    assert texts(path, text_column="OTHER") == ["the other one"]


def test_only_column_of_words_is_the_text(tmp_path):
    assert texts(put(tmp_path, "a.csv", "n,words\n1,hello\n2,you\n")) == ["hello", "you"]


def test_much_longer_column_is_the_text(tmp_path):
    path = put(tmp_path, "a.csv", "who,said\nann,where is my parcel please\nbob,I want my money back now\n")
    rows = open_rows(path)
    assert rows.columns.text == "said"


def test_unclear_text_column_is_refused_with_all_columns(tmp_path):
    path = put(tmp_path, "a.csv", "one,two\nhello there you,hello there me\n")
    with pytest.raises(DataError, match=r"no column is clearly the text; its columns are: one, two; .*--text-column"):
        open_rows(path)


def test_two_usual_text_names_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"several columns may hold the text: body, message"):
        open_rows(put(tmp_path, "a.csv", "body,message\na b,c d\n"))


def test_labels_are_read_only_when_asked_for(tmp_path):
    path = put(tmp_path, "a.csv", "text,intent\nhi there,greet\n")
    (row,) = open_rows(path)
    assert (row.label, row.meta) == (None, {"intent": "greet"})
    (row,) = open_rows(path, label_column="auto")
    assert (row.label, row.meta) == ("greet", {})


def test_empty_id_column_switches_ids_off(tmp_path):
    (row,) = open_rows(put(tmp_path, "a.csv", "text,id\nhi there,4\n"), id_column="")
    assert (row.id, row.meta) == (None, {"id": "4"})


def test_whole_number_ids_have_no_decimal_point():
    assert [row.id for row in open_rows([{"id": 3.0, "text": "a"}, {"id": None, "text": "b"}])] == ["3", None]


# --- bad input


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"  \n\n", "is empty"),
        ("a.csv", b"id,text\n", "has a header and no rows"),
        ("a.jsonl", b"", "is empty"),
        ("a.parquet", b"", "is empty"),
        ("a.csv", b"PK\x03\x04rest", "zip archive or an Excel"),
        ("a.csv", b"%PDF-1.7 and so on", "is a PDF"),
        ("a.txt", b"\x89PNG\r\n", "PNG image"),
        ("a.csv", b"id,text\n1,\x00\x01\x02", "binary file"),
        ("a.csv", b"PAR1xxxx", "name it .parquet"),
        ("a.parquet", b"this is not parquet", "is not a Parquet file"),
        ("a.docx", b"hello there", "unknown suffix '.docx'; allowed: .csv"),
        ("a.csv.gz", gzip.compress(b"id,text\n1,hello\n" * 50, mtime=0)[:40], "damaged"),
        ("a.json", b'[{"text": "hi"}]', "one JSON array; expected JSON Lines"),
        ("a.csv", b"text,text\na,b\n", "column 'text' is there twice"),
        ("a.csv", b"where is my parcel it has been weeks now\nhello\n", "looks like data"),
        ("a.csv", b"1,hello\n2,there\n", "looks like data"),
        ("a.jsonl", b"nope\nnope\n", "none of its first 2 rows can be read; row 1: invalid JSON"),
        ("a.txt", b"\xe9\xe8\n", "its only row cannot be read; row 1: byte 0xE9 .*Latin-1"),
        ("a.csv", b"tit\xe9,text\na,b\n", "header is not UTF-8"),
        ("a.csv", b'"id,text\n1,a\n', "header line has line 1|header line has lines"),
    ],
)
def test_bad_file_gives_one_clear_line(tmp_path, name, content, message):
    path = put(tmp_path, name, content)
    with pytest.raises(DataError, match=message) as error:
        list(open_rows(path))
    assert str(path) in one_line(error)


def test_missing_file_names_the_path(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.csv does not exist"):
        open_rows(tmp_path / "nowhere.csv")


def test_folder_without_dataset_is_refused(tmp_path):
    with pytest.raises(DataError, match="folder without a saved dataset"):
        open_rows(tmp_path)


def test_damaged_saved_dataset_is_refused_in_one_line(tmp_path):
    put(tmp_path, "state.json", "{nope")
    with pytest.raises(DataError, match="damaged saved dataset") as error:
        open_rows(tmp_path)
    one_line(error)


def test_missing_column_lists_the_columns_and_the_near_one(tmp_path):
    path = put(tmp_path, "a.csv", "id,message\n1,hi\n")
    with pytest.raises(DataError, match=r"no column 'mesage'; its columns are: id, message; did you mean 'message'\?"):
        open_rows(path, text_column="mesage")
    with pytest.raises(DataError, match="name one of them with --id-column"):
        open_rows(path, id_column="zzz")
    with pytest.raises(DataError, match="no column looks like the label"):
        open_rows(path, label_column="auto")


@pytest.mark.parametrize("source", [b"bytes", {"text": "a"}, 5])
def test_what_is_no_list_of_texts_is_refused(source):
    with pytest.raises(DataError, match="allowed: a path, or an iterable"):
        open_rows(source)


def test_item_that_is_no_text_is_refused_with_its_number():
    with pytest.raises(DataError, match="item 2 is a int"):
        list(open_rows(["one", 2]))


def test_empty_iterable_is_refused():
    with pytest.raises(DataError, match="the iterable is empty"):
        open_rows([])


def problems(path):
    return {row.number: row.problem for row in open_rows(path) if row.problem}


def test_undecodable_csv_rows_are_told_with_their_line_and_the_others_are_read(tmp_path):
    path = put(tmp_path, "a.csv", b"id,text\n1,good\n2,caf\xe9\n3,fine\n")
    assert list(problems(path)) == [3]
    assert "byte 0xE9 in column 'text' is not UTF-8; if the file is Latin-1" in problems(path)[3]
    assert [t for t in texts(path) if t] == ["good", "fine"]


def test_rows_of_another_width_are_told(tmp_path):
    found = problems(put(tmp_path, "a.csv", "id,text\n1,a,b\n2\n3,good\n"))
    assert "3 cells where the header has 2" in found[2]
    assert "1 cells where the header has 2" in found[3]


def test_unclosed_quote_is_told_and_nothing_is_swallowed_in_silence(tmp_path):
    found = problems(put(tmp_path, "a.csv", 'id,text\n1,good\n2,"never closed\n3,gone\n'))
    assert found == {3: "undecodable: lines 3 to 4: a quote that opens here is never closed"}


def test_broken_quoting_is_told(tmp_path):
    found = problems(put(tmp_path, "a.csv", 'id,text\n1,"a "b" c"\n2,good\n'))
    assert "broken quoting" in found[2]


def test_huge_cell_is_too_long_and_reading_goes_on(tmp_path):
    path = put(tmp_path, "a.csv", f"id,text\n1,{'x' * 1_100_000}\n2,good\n")
    assert problems(path)[2].startswith("too long: line 2")
    assert texts(path) == [None, "good"]


def test_huge_line_is_read_past(tmp_path):
    path = put(tmp_path, "a.jsonl", '{"text": "' + "x" * 9_000_000 + '"}\n{"text": "good"}\n')
    assert problems(path)[1].startswith("too long")
    assert texts(path) == [None, "good"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{nope", "invalid JSON at column 2"),
        ('["a"]', "a JSON list; expected an object"),
        ('{"text": 5}', "the text is a int"),
        ('{"text": "\\ud800"}', "half a surrogate pair"),
        ('{"text": "a\\u0000b"}', "NUL character"),
        ('{"text": "ok", "m": {"deep": ["\\udfff"]}}', "half a surrogate pair"),
        ("[" * 100_000, "invalid JSON"),
    ],
)
def test_bad_json_line_is_told_and_the_others_are_read(tmp_path, line, message):
    path = put(tmp_path, "a.jsonl", f'{{"text": "good"}}\n{line}\n')
    assert message in problems(path)[2]


def test_bad_bytes_in_parquet_strings_are_told(tmp_path):
    raw = pa.array([b"good", b"caf\xe9"], pa.binary())
    table = pa.table({"text": pa.Array.from_buffers(pa.string(), 2, raw.buffers())})
    pq.write_table(table, tmp_path / "a.parquet")
    assert list(problems(tmp_path / "a.parquet")) == [2]


def test_nul_late_in_a_csv_is_a_bad_row(tmp_path):
    path = put(tmp_path, "a.csv", b"text\n" + b"good\n" * 20_000 + b"a\x00b\n")
    assert list(problems(path)) == [20_002]


def test_truncated_utf16_is_damaged(tmp_path):
    path = put(tmp_path, "a.txt", ("hello\n" * 40_000).encode("utf-16")[:-1])
    with pytest.raises(DataError, match="damaged after row"):
        list(open_rows(path))


# --- round trips and memory


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(TEXT, min_size=1, max_size=5))
def test_any_text_survives_csv_jsonl_and_parquet(tmp_path, wanted):
    with (tmp_path / "a.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text", "id"], *([text, i] for i, text in enumerate(wanted))])
    lines = "".join(json.dumps({"text": text}) + "\n" for text in wanted)
    put(tmp_path, "a.jsonl", lines)
    pq.write_table(pa.table({"text": wanted}), tmp_path / "a.parquet")
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        assert texts(tmp_path / name, text_column="text") == wanted


def test_rows_are_not_held(tmp_path):
    with (tmp_path / "a.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            itertools.chain([["id", "text"]], ((i, f"a longer text {i}") for i in range(50_000)))
        )
    tracemalloc.start()
    assert sum(1 for _ in open_rows(tmp_path / "a.csv")) == 50_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000
