import numpy as np
import pytest

from llm_al.answers import Answers, read_answers
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.corpus import Corpus
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Known, Label, LabelScheme

NAMES = ("cat", "dog")
HUMAN, LLM, SIMULATED = AnnotatorKind.HUMAN, AnnotatorKind.LLM, AnnotatorKind.SIMULATED


def corpus(n: int = 4) -> Corpus:
    ids = [f"e{row}" for row in range(n)]
    scheme = LabelScheme(tuple(map(Label, NAMES)))
    return Corpus(scheme, ids, [f"text {id_}" for id_ in ids], np.eye(n, dtype=np.float32), np.arange(n))


def said(row: int, label: str | None, source: str = "ann", kind: AnnotatorKind = HUMAN) -> Annotation:
    return Annotation(f"e{row}", label, source, kind=kind, model="m" if kind is LLM else None)


def read(*annotations: Annotation) -> Answers:
    return read_answers(annotations, corpus(), OneCoin(NAMES))


def test_answers_stand_in_the_rows_of_their_examples() -> None:
    answers = read(said(2, "dog"), said(0, "cat", "sim", SIMULATED))
    assert answers.human.tolist() == [0, -1, 1, -1]
    assert answers.is_asked.tolist() == [True, False, True, False]
    assert answers.n_human == 2
    assert set(answers.everyone) == {0, 2}


def test_a_project_without_answers_has_empty_arrays() -> None:
    answers = read()
    assert answers.human.tolist() == [-1] * 4
    assert answers.n_human == 0
    assert answers.llm_posterior([], 2).shape == (0, 2)


@pytest.mark.parametrize(("label", "is_outside"), [(NONE_OF_THESE, True), (SKIP, False)])
def test_none_of_these_and_skip_count_as_asked_and_give_no_label(label: str, is_outside: bool) -> None:
    answers = read(said(1, label))
    assert answers.human[1] == -1
    assert answers.is_asked[1]
    assert answers.is_outside[1] == is_outside
    assert answers.n_human == 1


def test_a_language_model_is_not_a_person() -> None:
    answers = read(said(0, "cat", "llm/a", LLM), said(0, "dog", "llm/b", LLM), said(1, None, "llm/a", LLM))
    assert answers.n_human == 0
    assert answers.is_llm.tolist() == [True, True, False, False]
    assert answers.human.tolist() == [-1] * 4
    assert np.allclose(answers.llm_posterior([0], 2).sum(), 1.0)


def test_a_persons_word_stands_against_any_number_of_models() -> None:
    machine = [said(0, "dog", f"llm/{n}", LLM) for n in range(5)]
    assert read(*machine, said(0, "cat")).human[0] == 0


def test_people_who_disagree_are_merged_into_one_label() -> None:
    answers = read(said(0, "cat", "a"), said(0, "cat", "b"), said(0, "dog", "c"))
    assert answers.human[0] == 0
    assert answers.n_human == 3


def test_a_skip_beside_a_label_changes_nothing() -> None:
    answers = read(said(0, SKIP, "a"), said(0, "dog", "b"))
    assert answers.human[0] == 1


def test_answers_outside_of_the_pool_are_passed_over() -> None:
    answers = read(Annotation("test-7", "cat", "test-labels", kind=HUMAN))
    assert answers.n_human == 0
    assert answers.quality == ()


def test_a_label_that_left_the_list_is_no_label() -> None:
    answers = read_answers([said(0, "cat"), said(1, "bird")], corpus(), OneCoin((*NAMES, "bird")))
    assert answers.human.tolist() == [0, -1, -1, -1]
    assert answers.is_asked[1]


def settled(*annotations: Annotation, **gold: str) -> Answers:
    return read_answers(annotations, corpus(), OneCoin(NAMES), known=Known(gold))


def test_a_settled_label_stands_above_all_answers() -> None:
    answers = settled(said(0, "cat", "a"), said(0, "cat", "b"), e0="dog")
    assert answers.human[0] == 1
    assert answers.settled == {0}


def test_a_settled_label_is_known_without_an_answer_and_costs_none() -> None:
    answers = settled(e1="dog", e2=NONE_OF_THESE, elsewhere="cat")
    assert answers.human.tolist() == [-1, 1, -1, -1]
    assert answers.is_asked.tolist() == [False, True, True, False]
    assert answers.is_outside.tolist() == [False, False, True, False]
    assert answers.n_human == 0


def test_each_person_counts_once_on_a_text() -> None:
    answers = read(said(0, "cat", "a"), said(0, SKIP, "b"), said(0, "dog", "a"), said(1, "cat", "a"))
    assert answers.n_human == 3


def test_shares_are_those_of_peoples_votes() -> None:
    votes = [said(0, "cat", "a"), said(0, "cat", "b"), said(0, "dog", "c"), said(1, "dog"), said(0, "dog", "m", LLM)]
    np.testing.assert_allclose(read(*votes).human_shares([0, 1], 2), [[2 / 3, 1 / 3], [0, 1]])
    np.testing.assert_allclose(settled(*votes, e0="dog").human_shares([0], 2), [[0, 1]])
    assert read().human_shares([], 2).shape == (0, 2)
