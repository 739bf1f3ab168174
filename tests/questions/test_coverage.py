from dataclasses import dataclass

import numpy as np
import pytest

from llm_al.phrasing import Form
from llm_al.questions.coverage import anchoring, measure_coverage
from llm_al.types import NONE_OF_THESE, SKIP


@dataclass(frozen=True)
class Answer:
    label: str
    options: tuple[str, ...] = ("a", "b")
    form: str = "candidates"
    coverage: float | None = 0.9


def test_the_share_of_hits_has_wilsons_interval() -> None:
    found = measure_coverage([Answer("a")] * 9 + [Answer("c", coverage=0.8)])
    assert (found.n, found.empirical.value) == (10, 0.9)
    assert found.nominal == pytest.approx(0.89)
    # Wilson at 9 of 10, as in textbooks: .596 to .982.
    assert found.empirical.low == pytest.approx(0.5958, abs=1e-3)
    assert found.empirical.high == pytest.approx(0.9821, abs=1e-3)


def test_skips_and_texts_without_a_label_are_no_misses() -> None:
    found = measure_coverage([Answer("a"), Answer(SKIP), Answer(NONE_OF_THESE), Answer("")])
    assert (found.n, found.empirical.value) == (1, 1.0)


def test_each_form_has_its_own_coverage() -> None:
    answers = [Answer("a"), Answer("c", form="verify", options=("a",)), Answer("c", form="list", coverage=None)]
    assert measure_coverage(answers).empirical.value == 1.0
    assert measure_coverage(answers, form=Form.VERIFY).empirical.value == 0.0
    none = measure_coverage(answers, form=Form.BULK)
    assert (none.nominal, none.empirical.value, none.n) == (None, None, 0)
    assert none.empirical.reason == "undefined because nobody has answered a bulk question"


def test_anchoring_by_hand() -> None:
    shown = [Answer("a")] * 95 + [Answer("c")] * 5
    unseen = [Answer("a")] * 80 + [Answer("c")] * 20
    found = anchoring(shown, unseen)
    assert found.value == pytest.approx(1 - 0.05 / 0.2)
    # exp(1.96 * sqrt(.95 / 5 + .8 / 20)) = 2.56 either way.
    assert found.low == pytest.approx(1 - 0.25 * 2.559, abs=1e-3)
    assert found.high == pytest.approx(1 - 0.25 / 2.559, abs=1e-3)


def test_planted_anchoring_is_found_within_its_interval() -> None:
    rng, inside = np.random.default_rng(0), 0
    for _ in range(100):
        unseen = [Answer("c" if rng.random() < 0.1 else "a") for _ in range(300)]
        shown = [Answer("c" if rng.random() < 0.1 * 0.7 else "a") for _ in range(2000)]
        found = anchoring(shown, unseen)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.3 <= found.high
    # 95 of 100, less three standard deviations.
    assert inside >= 88


def test_anchoring_is_unknown_without_a_miss_on_the_list() -> None:
    for shown, unseen in (([Answer("c")], [Answer("a")]), ([], [Answer("c")]), ([Answer("a")], [])):
        found = anchoring(shown, unseen)
        assert found.value is None
        assert found.reason == "undefined because no full list has shown an answer outside its set yet"
    assert anchoring([Answer("a")] * 50, [Answer("c")]).value == 1.0
    assert anchoring([Answer("c")], [Answer("c"), Answer("a")]).value == 0.0
