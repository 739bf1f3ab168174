from pathlib import Path

import numpy as np
import pytest

from llm_al.answers import Answers
from llm_al.distillation.rows import draw_rows, last_mixture
from llm_al.project import Project
from llm_al.supervision import Mixture, Summary
from llm_al.types import Source


def _answers(n: int, human: list[int], outside: list[int]) -> Answers:
    labels, is_asked, is_outside = np.full(n, -1), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    labels[human], is_asked[human + outside], is_outside[outside] = 0, True, True
    none = np.zeros(n, np.bool_)
    return Answers(labels, is_asked, is_outside, none, {}, {}, (), {}, {}, None)  # type: ignore[arg-type]


def _mixture(human: list[int], others: list[int]) -> Mixture:
    positions = np.array([*human, *others], dtype=np.intp)
    summary = Summary(len(human), len(others), 0, (Source.HUMAN, Source.LLM), "")
    return Mixture(positions, np.eye(2)[np.zeros(len(positions), int)], np.ones(len(positions)), summary)


def test_every_row_is_for_one_thing_at_most() -> None:
    mixture, answers = _mixture([3, 1], [7, 8]), _answers(100, [3, 1], [5])
    draw = draw_rows(mixture, answers, 1000, np.random.default_rng(0))
    assert draw.human.tolist() == [3, 1]
    assert draw.targets.shape == (2, 2)
    # 95 rows were seen by nobody; a tenth is held out, and what the LLM labelled teaches softly.
    assert len(draw.held_out) == 9
    assert {7, 8} <= set(draw.soft.tolist())
    everything = [*draw.human, *draw.soft, *draw.held_out]
    assert sorted(everything) == [row for row in range(100) if row != 5]


def test_too_many_rows_are_drawn_at_random() -> None:
    mixture, answers = _mixture([0], []), _answers(100, [0], [])
    drawn = [draw_rows(mixture, answers, 20, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert [len(draw.soft) for draw in drawn] == [20] * 3
    assert np.array_equal(drawn[0].soft, drawn[1].soft)
    assert not np.array_equal(drawn[0].soft, drawn[2].soft)
    assert not set(drawn[0].soft) & set(drawn[0].held_out)


def test_a_pool_that_people_labelled_whole_leaves_nothing_over() -> None:
    draw = draw_rows(_mixture([0, 1], []), _answers(2, [0, 1], []), 10, np.random.default_rng(0))
    assert (len(draw.human), len(draw.soft), len(draw.held_out)) == (2, 0, 0)


def test_the_last_round_is_mixed_again_as_the_loop_mixed_it(finished: Path) -> None:
    with Project.open(finished) as project:
        loop, number = project.loop(), 3
        before = project.store.read_note(number, "supervision")
        mixture = last_mixture(loop, number)
        assert mixture.summary == Summary.from_json(before)
        # The student of the round, trained again on it, says what it said.
        again = loop.students.student.fit(
            mixture.training_set(loop.corpus), labels=loop.corpus.scheme.names, seed=loop._seed(number, "student")
        )
        said = again.predict_proba(loop.corpus.texts[:], embeddings=loop.corpus.embeddings)
        assert said == pytest.approx(loop.students.pool_proba(number, loop.corpus), abs=1e-6)
