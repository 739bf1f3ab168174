"""Ten thousand answers that no model should give: a listed label that they do name, or an explicit failure."""

import json
import string
from collections import Counter
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_al.annotators.chat.replies import read_envelope
from llm_al.annotators.engine.answers import open_envelope

CODES = {
    "A": "spam",
    "B": "Straße",
    "C": "i",
    "D": "\u0131",  # dotless i
    "E": "kelvin",
    "F": "same",
    "G": "да",
    "H": "none_of_these",
}
N_EXAMPLES, N_DRAWN = 500, 5
_BLANK = string.whitespace
_NAMES = [*CODES, *CODES.values()]
_LOOK_ALIKES = {
    "A": "\uff21\u0410\u0391\U0001d400a",
    "B": "\uff22\u0412\u0392b",
    "C": "\u0421\u2103c",
    "E": "\u0415\u0395e",
    "K": "\u212a",
    "S": "\u017f\u0405",
    "i": "\u0131\u0130I\u0456",
    "k": "\u212aK",
    "s": "\u017fS\u0455",
    "ß": "\u1e9e\u03b2",
    "a": "\u0430\u00e4",
    "d": "\u0501",
    "\u0430": "a",
}


# What a reply may be read as, written down a second time and independently of the parser.


def _is_same(one: str, two: str) -> bool:
    return len(one) == len(two) and all(
        a == b or (a.lower() == b.lower() and a.isascii() == b.isascii()) for a, b in zip(one, two, strict=True)
    )


def _named(value: object) -> str | None:
    """Return the label that a string names, first to the letter, then without case inside one script."""
    if not isinstance(value, str):
        return None
    value = value.strip(_BLANK)
    for code, label in CODES.items():
        if value in (code, label):
            return label
    labels = {label for code, label in CODES.items() if _is_same(value, code) or _is_same(value, label)}
    return labels.pop() if len(labels) == 1 else None


def _objects(content: str) -> list[object]:
    """Return everything that decodes as an object, left to right, none inside another."""
    decoder, found, place = json.JSONDecoder(object_pairs_hook=list), [], 0
    while (place := content.find("{", place)) >= 0:
        try:
            pairs, place = decoder.raw_decode(content, place)
            found.append(pairs)
        except (ValueError, RecursionError):
            place += 1
    return found


def may_be_read_as(content: str) -> set[str | None]:
    """Return what a reply names outside of thoughts at its beginning; a reader may take it when it is one thing."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        whole = None
    head, mark, tail = content.partition("</think>")
    if not isinstance(whole, dict) and mark and head.strip(_BLANK).rfind("<think>") <= 0:
        content = tail
    if "{" not in content and "}" not in content:
        return {CODES[line.strip(_BLANK)] for line in content.split("\n") if line.strip(_BLANK) in CODES}
    pairs = [dict(pairs) for pairs in _objects(content) if len(dict(pairs)) == len(pairs)]
    return {_named(each.get("code")) for each in pairs}


# Replies.


@st.composite
def look_alikes(draw: st.DrawFn) -> str:
    """Write a code or a label with letters that only look like it, or with something invisible in it."""
    name = draw(st.sampled_from(_NAMES))
    letters = [draw(st.sampled_from(_LOOK_ALIKES[c] + c)) if c in _LOOK_ALIKES else c for c in name]
    return "".join(letters) + draw(st.sampled_from(["", "\u200b", "\u0301", "\u0307", "\u00a0", "\ufeff", "."]))


_WRITTEN = st.sampled_from(_NAMES) | look_alikes() | st.text(max_size=4)
_VALUE = _WRITTEN | st.none() | st.integers() | st.lists(_WRITTEN, max_size=2)
_KEY = st.sampled_from(["code", "code", "code", "Code", "label", "\u0441ode", "answer", "rationale"])
_OBJECT = st.dictionaries(_KEY, _VALUE, min_size=1, max_size=3).map(lambda d: json.dumps(d, ensure_ascii=False))
_TWICE = st.builds('{{"code": "{}", "code": "{}"}}'.format, st.sampled_from([*CODES]), st.sampled_from([*CODES]))
_PROSE = st.sampled_from(
    [
        "",
        "Sure! ",
        "\n",
        "答案是 ",
        "Ответ: ",
        "الجواب ",
        "```json\n",
        "\n```",
        "<think>A?</think>",
        "not ",
        "}",
        "{",
        '"',
        "\\",
        ", ",
    ]
)
_MIXED = st.lists(_PROSE | _OBJECT | _WRITTEN | _TWICE, max_size=5).map("".join)
_LINES = st.lists(_WRITTEN | _PROSE, max_size=4).map("\n".join)
_NESTED = st.builds(
    lambda before, n, inside, behind: before * n + inside + behind * n,
    st.sampled_from(['{"code": ', '{"a": ', "[", "{", '{"code": "A", "b": ', "\\", '"']),
    st.sampled_from([1, 2, 50, 1_200]),
    _OBJECT | _WRITTEN,
    st.sampled_from(["}", "]", "", '"']),
)
_TRUNCATED = st.builds(lambda text, n: text[:n], _OBJECT | _MIXED, st.integers(0, 20))
_BYTES = st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
_CONTENT = st.one_of(_OBJECT, _MIXED, _LINES, _NESTED, _TRUNCATED, _BYTES, look_alikes(), st.text(max_size=20), _TWICE)
_BATCH = st.lists(_CONTENT, min_size=N_DRAWN, max_size=N_DRAWN)


def _bodies(content: str) -> list[str]:
    """Send one reply as a message, as the arguments of a tool call, and cut off."""
    call = {"function": {"name": "label", "arguments": content}}
    choices = [
        {"message": {"content": content}},
        {"message": {"content": None, "tool_calls": [call]}},
        {"message": {"content": content}, "finish_reason": "length"},
    ]
    return [json.dumps({"choices": [choice]}) for choice in choices]


def _replies(drawn: list[str]) -> list[str]:
    """Make four replies of each drawn one: itself, cut in half, behind another one, in a fence."""
    return [
        reply
        for before, one in pairwise([drawn[-1], *drawn])
        for reply in (one, one[: len(one) // 2], f"{before} {one}", f"```json\n{one}\n```")
    ]


def _check(content: str, body: str) -> bool:
    completion = read_envelope(open_envelope(body), CODES)
    assert "\0" not in (completion.failure + completion.rationale).encode().decode()
    if completion.label is None:
        assert completion.failure
        return False
    assert not completion.failure
    assert may_be_read_as(content) == {completion.label}
    return True


def test_ten_thousand_malformed_replies_give_the_label_that_they_name_or_a_failure() -> None:
    tally: Counter[bool] = Counter()

    @settings(max_examples=N_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_BATCH)
    def read_all(drawn: list[str]) -> None:
        for position, content in enumerate(_replies(drawn)):
            tally[_check(content, _bodies(content)[position % 3])] += 1

    read_all()
    assert tally.total() >= 10_000
    # Neither side is empty: the test would see a parser that refuses everything.
    assert min(tally.values()) >= 500


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["x", "{", '{"code": "A"}', '"', "\\", "A\n", "[", "\u0410", '{"a":', "{}", "A B"]), st.booleans()
)
def test_replies_of_a_megabyte_are_read_or_refused_at_once(piece: str, has_answer: bool) -> None:
    content = piece * (2**20 // len(piece)) + '{"code": "B"}' * has_answer
    for body in (content, *_bodies(content)):
        completion = read_envelope(open_envelope(body), CODES)
        assert completion.label is None
        assert completion.failure


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_bodies_of_random_bytes_are_failures(body: bytes) -> None:
    assert read_envelope(open_envelope(body), CODES).failure


def test_the_oracle_itself_reads_plain_answers_and_refuses_mixed_ones() -> None:
    assert may_be_read_as('{"code": "B"}') == {"Straße"}
    assert may_be_read_as("so\nB\n") == {"Straße"}
    assert may_be_read_as('{"code": "A"} {"code": "B"}') == {"spam", "Straße"}
    assert may_be_read_as("<think>A</think>B") == {"Straße"}
    assert may_be_read_as('{"code": "STRASSE"}') == {None}
    assert all(a != b for a, b in pairwise(sorted(CODES.values())))
