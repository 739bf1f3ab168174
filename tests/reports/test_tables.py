from dataclasses import replace

from llm_al.reports.tables import markdown, round_rows

COLUMNS = ["round", "human", "LLM", "pseudo", "accuracy", "macro-F1", "cost", "seconds"]


def test_no_rounds_give_no_rows():
    assert round_rows([]) == []
    assert markdown([]) == ""


def test_a_row_says_what_the_round_recorded(run):
    rows = round_rows(run.rounds)
    assert list(rows[0]) == COLUMNS
    assert len(rows) == 6
    assert rows[2]["human"] == "70"
    assert rows[2]["LLM"] == "138"
    assert rows[2]["pseudo"] == "84"
    assert rows[2]["accuracy"] == "79.7% (75.1-84.2%)"
    assert rows[2]["cost"] == "$0.1229643"
    assert rows[2]["seconds"] == "19.8"  # 0 + 0.21 + 4.4 + 0.12 + 0.34 + 13.8 + 0.9


def test_a_round_without_test_split_has_dashes(run):
    row = round_rows([replace(run.rounds[0], metrics=None, seconds={})])[0]
    assert row["accuracy"] == row["macro-F1"] == "-"
    assert row["seconds"] == "0.0"


def test_markdown_cells_cannot_leave_their_cell():
    table = markdown([{"label": "a|b\n# c <script>", "n": "1"}], right=["n"])
    assert table.splitlines() == ["| label | n |", "| --- | ---: |", r"| a\|b \# c &lt;script&gt; | 1 |"]


def test_written_texts_have_a_column_only_where_there_are_any(run):
    rows = round_rows([run.rounds[0], replace(run.rounds[1], n_synthetic=7)])
    assert [row["written"] for row in rows] == ["0", "7"]
    assert list(rows[0]).index("written") == 4
