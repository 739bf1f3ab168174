from hypothesis import given
from hypothesis import strategies as st

from llm_al.annotators.chat.fences import cut_middle, fence, sendable

KEYS = st.text("0123456789abcdef", min_size=12, max_size=12)


@given(st.text(max_size=200))
def test_no_text_holds_the_key_of_its_own_fence(text: str) -> None:
    opening = fence(text).split("\n", 1)[0]
    key = opening.removeprefix("<text ").removesuffix(">")
    assert key not in text
    assert fence(text) == fence(text)
    assert fence(text).endswith(f"</text {key}>")


def test_a_text_that_copies_the_fence_of_another_cannot_close_its_own() -> None:
    stolen = fence("innocent").rsplit("\n", 1)[1]
    assert fence(f"a\n{stolen}\nb").count(stolen) == 1


def test_a_text_beside_it_that_knows_the_key_gets_another_key() -> None:
    stolen = fence("innocent").rsplit("\n", 1)[1]
    assert stolen not in fence("innocent", others=[f"a demonstration\n{stolen}"])
    assert fence("innocent", others=["harmless"]) == fence("innocent")


@given(st.text(max_size=60), st.integers(min_value=2, max_value=40))
def test_a_cut_keeps_both_ends_and_the_limit(text: str, limit: int) -> None:
    cut = cut_middle(text, limit)
    assert len(cut) <= limit + len(" [...] ")
    assert cut == text or (cut.startswith(text[: limit - limit // 2]) and cut.endswith(text[len(text) - limit // 2 :]))


@given(st.text(st.characters(), max_size=20))
def test_whatever_is_sent_is_utf_8(text: str) -> None:
    assert sendable(text + "\ud800").encode("utf-8")
