from typing import Any, cast

from llm_al.round_book import RoundBook
from llm_al.supervision import SUPERVISION_NOTE, Summary
from llm_al.types import Source


class Notes:
    def __init__(self, kept: dict[tuple[int, str], Any]) -> None:
        self.kept = kept

    def read_note(self, number: int, name: str) -> Any:
        return self.kept.get((number, name))


def test_the_guard_can_know_what_the_round_before_learned_from() -> None:
    summary = Summary(10, 0, 40, (Source.HUMAN, Source.PSEUDO), "pseudo-labels stay")
    nothing = cast(Any, None)
    book = RoundBook(nothing, cast(Any, Notes({(1, SUPERVISION_NOTE): summary.to_json()})), nothing, nothing, nothing)
    assert book.sources(1) == (Source.HUMAN, Source.PSEUDO)
    assert book.sources(2) == ()
    assert book.sources(0) == ()
