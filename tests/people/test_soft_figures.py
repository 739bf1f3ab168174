import math
from typing import Any

import numpy as np
import pytest

from llm_al.people.answer_book import Asked
from llm_al.people.soft_figures import soft_figures
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Label, LabelScheme

SCHEME = LabelScheme((Label("a"), Label("b")))


class Said:
    """What the student of a round says: the same of every text."""

    def __init__(self, number: int) -> None:
        self.number = number

    def proba(self, ordinal: int) -> Any:
        return {1: np.array([0.8, 0.2]), 2: np.array([0.4, 0.6])}[self.number] if ordinal < 9 else None


def votes(text: int, said: str, *, round: int = 2, **options: Any) -> list[Asked]:
    words = {"-": SKIP, "x": NONE_OF_THESE}
    rows = [
        Annotation(
            f"t{text}",
            words.get(label, label),
            f"human:{who}",
            AnnotatorKind.HUMAN,
            round=round,
            form="list",
            **options,
        )
        for who, label in enumerate(said)
    ]
    return [Asked(row, text, 0.0, None) for row in rows]


def test_votes_are_compared_with_the_student_of_the_round_before_the_first() -> None:
    # Shares (3/4, 1/4) against (.8, .2), and (1/2, 1/2) against (.4, .6) after a first vote in round 3.
    found = soft_figures([*votes(0, "aaab"), *votes(1, "ab", round=3)], SCHEME, Said)  # type: ignore[arg-type]
    assert found is not None
    assert (found.n, found.majority.value) == (2, 1.0)
    assert found.distance == pytest.approx((0.05 + 0.1) / 2)
    first = -(0.75 * math.log(0.8) + 0.25 * math.log(0.2))
    second = -0.5 * (math.log(0.4) + math.log(0.6))
    assert found.cross_entropy == pytest.approx((first + second) / 2)
    floor = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert found.entropy == pytest.approx((floor + math.log(2.0)) / 2)


def test_a_likeliest_label_that_few_gave_is_a_miss() -> None:
    found = soft_figures([*votes(0, "aaa"), *votes(1, "bba")], SCHEME, Said)  # type: ignore[arg-type]
    assert found is not None
    assert found.majority.value == 0.5


@pytest.mark.parametrize(
    "answers",
    [
        [],
        votes(0, "a"),
        votes(0, "a-x"),
        votes(0, "ab", round=1),
        votes(9, "ab"),
        [
            *votes(0, "a"),
            *[Asked(Annotation("t0", "b", "r", AnnotatorKind.HUMAN, round=2, reason="ruling"), 0, 0.0, None)],
        ],
    ],
    ids=["none", "one vote", "skips", "no student yet", "not looked at", "a ruling"],
)
def test_without_a_text_that_can_be_compared_there_is_nothing(answers: list[Asked]) -> None:
    assert soft_figures(answers, SCHEME, Said) is None  # type: ignore[arg-type]
