import pytest

from llm_al.web.markdown import to_html


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("", ""),
        ("a\nb\n\nc", "<p>a\nb</p>\n<p>c</p>"),
        ("## Two ##", "<h2>Two</h2>"),
        ("#no heading", "<p>#no heading</p>"),
        ("- a\n- b\n  more\n\n1. c\n2) d", "<ul><li>a</li><li>b\nmore</li></ul>\n<ol><li>c</li><li>d</li></ol>"),
        ("- a\n1. b", "<ul><li>a</li></ul>\n<ol><li>b</li></ol>"),
        ("**a** and *b* and `c`", "<p><strong>a</strong> and <em>b</em> and <code>c</code></p>"),
        ("`**a** <b>`", "<p><code>**a** &lt;b&gt;</code></p>"),
        ("2 * 3 * 4", "<p>2 * 3 * 4</p>"),
        ("```\n# <x>\n- y\n```\nz", "<pre><code># &lt;x&gt;\n- y</code></pre>\n<p>z</p>"),
        ("```\nnever closed", "<pre><code>never closed</code></pre>"),
        ("text\n# H", "<p>text</p>\n<h1>H</h1>"),
        ("[a](javascript:x) ![b](y)", "<p>[a](javascript:x) ![b](y)</p>"),
        ("a\r\nb", "<p>a\nb</p>"),
    ],
)
def test_the_small_part_of_markdown(source, html) -> None:
    assert to_html(source) == html


@pytest.mark.parametrize("piece", ["**", "*a", "`", "# ", "- ", "```\n", "a*b**"])
def test_long_pages_take_no_time(piece) -> None:
    # A page may have 200,000 characters; a pattern that backtracks would hang here.
    assert to_html(piece * (200_000 // len(piece)))
