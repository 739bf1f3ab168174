from llm_al.reports.explore import render_page, write_page

ROW = {
    "name": "<b>late</b> & lost",
    "description": "Where <script>alert(1)</script> is",
    "n": 1200,
    "share": 0.6,
    "keywords": ("late", "<i>"),
    "typical": ("<img src=x>", "b", "c"),
    "typical_ids": ("1", "2", "3"),
    "is_named_by_llm": True,
}
PAGE = {"project": "shop <1>", "n": 2000, "clusters": [ROW], "cost_nanousd": 1_500_000, "notes": ("<u>note</u>",)}


def test_texts_and_names_are_escaped_and_scripts_forbidden():
    page = render_page(PAGE)
    assert "default-src 'none'" in page
    for raw in ("<b>late", "<script>", "<img", "<i>late", "<u>note", "shop <1>"):
        assert raw not in page
    assert "&lt;b&gt;late&lt;/b&gt; &amp; lost" in page
    assert "1,200" in page
    assert "60" in page


def test_what_it_cost_and_who_named_is_said():
    assert "The names cost $0.0015" in render_page(PAGE)
    by_words = render_page({**PAGE, "cost_nanousd": 0, "clusters": [{**ROW, "is_named_by_llm": False}]})
    assert "The names cost" not in by_words
    assert "class-based TF-IDF" in by_words


def test_an_empty_pool_says_so(tmp_path):
    write_page({**PAGE, "clusters": [], "n": 0}, tmp_path / "explore.html")
    assert "there is nothing to group" in (tmp_path / "explore.html").read_text(encoding="utf-8")
