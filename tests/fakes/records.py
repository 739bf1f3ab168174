"""Records that any tool may have to carry."""

from hypothesis import strategies as st

from llm_al.formats.records import STATUSES, Answer, Flag, Record, Suggestion

MIXED_TEXT = "Where is my parcel? 📦\n\u05e9\u05dc\u05d5\u05dd \u202b\u0634\u0643\u0631\u0627\u202c\r\nzoë\u2028end"
"""Emoji, right-to-left words and marks, every kind of line end."""

WORDS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=12)
LABELS = st.sampled_from(["refund", "lieferung 📦", "مرحبا", "none_of_these", "a#b"])
LABEL_TUPLES = st.lists(LABELS, max_size=2, unique=True).map(tuple)
UNIT = st.floats(0, 1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | UNIT | WORDS,
    lambda below: st.lists(below, max_size=2) | st.dictionaries(WORDS, below, max_size=2),
    max_leaves=4,
)
META = st.dictionaries(WORDS | st.sampled_from(["id", "text", "label", "meta", "answer", "Comments"]), JSON, max_size=3)
FOREIGN = st.just({}) | st.just({"other tool": {"added": {"key": [1, None, "é"]}}})
CREATED = st.none() | st.datetimes().map(lambda moment: moment.isoformat())
ANSWERS = st.builds(
    Answer,
    annotator=st.sampled_from(["", "7", "ann", "bo@example.org", "../x y", "007"]),
    kind=st.sampled_from(["human", "llm"]),
    labels=LABEL_TUPLES,
    negative_labels=st.just(()) | LABEL_TUPLES,
    status=st.sampled_from(STATUSES),
    confidence=st.none() | UNIT,
    seconds=st.none() | UNIT,
    created=CREATED | st.just("2026-01-02T03:04:05+00:00"),
    seen_suggestion=st.sampled_from([None, True, False]),
    notes=WORDS,
    form=st.sampled_from(["", "list", "candidates"]),
    extra=FOREIGN,
)
FLAGS = st.builds(Flag, st.sampled_from(["ann", "zoë"]), WORDS)
SUGGESTIONS = st.builds(Suggestion, LABEL_TUPLES, st.none() | UNIT, WORDS, FOREIGN)
RECORDS = st.lists(
    st.builds(
        Record,
        id=st.uuids().map(str) | WORDS.filter(bool),
        text=WORDS,
        meta=META,
        annotations=st.lists(ANSWERS, max_size=3).map(tuple),
        suggestions=st.lists(SUGGESTIONS, max_size=2).map(tuple),
        flags=st.lists(FLAGS, max_size=2).map(tuple),
        extra=FOREIGN,
    ),
    max_size=3,
    unique_by=lambda record: record.id,
)
