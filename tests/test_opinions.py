import numpy as np
import pytest

from llm_al.corpus import Corpus
from llm_al.opinions import SecondOpinions, out_of_fold, people_at_work, seconds_of
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Label, LabelScheme

NAMES = ("cat", "dog", "eel")
N = 120


def corpus(n: int = N) -> Corpus:
    """Return three clusters of texts, row after row."""
    vectors = np.eye(3, 16)[np.arange(n) % 3] + np.random.default_rng(0).normal(scale=0.05, size=(n, 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = [f"e{row}" for row in range(n)]
    scheme = LabelScheme(tuple(map(Label, NAMES)))
    return Corpus(scheme, ids, [f"text {id_}" for id_ in ids], vectors.astype(np.float32), np.arange(n))


def said(row: int, label: str | None = None, source: str = "ann", seconds: float | None = None) -> Annotation:
    word = label or NAMES[row % 3]
    return Annotation(f"e{row}", word, source, kind=AnnotatorKind.HUMAN, duration_s=seconds)


def two_people(n: int = 60, **own: str) -> list[Annotation]:
    """Return answers of one person to the first n texts, and of another to every third."""
    first = [said(row, own.get(f"e{row}")) for row in range(n)]
    return first + [said(row, source="bob") for row in range(0, n, 4)]


def test_out_of_fold_contradicts_a_wrong_label() -> None:
    proba = out_of_fold(two_people(e7="cat"), corpus())
    assert len(proba) == 60
    assert np.argmax(proba["e7"]) == 7 % 3
    assert sum(proba["e7"]) == pytest.approx(1.0)


def test_settled_labels_are_learned_and_machines_skips_and_none_of_these_are_not() -> None:
    machine = Annotation("e70", "cat", "llm", kind=AnnotatorKind.LLM, model="m")
    given = [*two_people(), machine, said(71, SKIP), said(72, NONE_OF_THESE)]
    proba = out_of_fold(given, corpus(), {"e80": "eel", "e81": NONE_OF_THESE, "elsewhere": "cat"})
    assert set(proba) == {f"e{row}" for row in range(60)} | {"e80"}


def test_nobody_has_answered() -> None:
    assert out_of_fold([], corpus()) == {}
    assert people_at_work([]) == set()


def test_reviewers_who_only_settle_are_not_at_work() -> None:
    ruling = Annotation("e0", "cat", "eve", kind=AnnotatorKind.HUMAN, reason="ruling: see guidelines")
    machine = Annotation("e0", "cat", "llm", kind=AnnotatorKind.LLM)
    assert people_at_work([said(0), ruling, machine]) == {"ann"}


def picks(*rows: int) -> np.ndarray:
    return np.array(rows, dtype=np.intp)


def test_a_label_that_the_student_doubts_is_worth_more_than_a_new_text_that_it_is_sure_of() -> None:
    opinions = SecondOpinions(corpus(), two_people(e7="cat", e13="eel")).choose(picks(*range(80, 90)), 3)
    assert {opinion.example_id for opinion in opinions[:2]} == {"e7", "e13"}
    assert opinions[0].score > 1.0
    assert opinions[0].reason.startswith("a second opinion: one answer says '")
    assert "as much a second as the next new text" in opinions[0].reason


def test_a_sure_label_does_not_take_the_place_of_a_doubtful_new_text() -> None:
    world = corpus()
    world.embeddings[100:110] = np.full(16, 0.25)
    assert SecondOpinions(world, two_people()).choose(picks(*range(100, 110)), 3) == []


def test_places_without_a_new_text_are_free_for_second_opinions() -> None:
    assert len(SecondOpinions(corpus(), two_people()).choose(picks(), 5)) == 5


def test_what_is_settled_or_answered_by_everybody_gets_no_further_opinion() -> None:
    given = two_people(e7="cat", e8="cat")
    both = [*given, said(8, source="bob")]
    chosen = {o.example_id for o in SecondOpinions(corpus(), both, {"e7": "cat"}).choose(picks(), N)}
    assert not chosen & {"e7", "e8", "e0", "e4"}
    assert "e1" in chosen


def test_a_text_that_was_only_skipped_is_no_second_opinion() -> None:
    chosen = {o.example_id for o in SecondOpinions(corpus(), [*two_people(), said(90, SKIP)]).choose(picks(), N)}
    assert "e90" not in chosen


def test_no_place_and_no_answer_give_no_opinion() -> None:
    assert SecondOpinions(corpus(), two_people()).choose(picks(80), 0) == []
    assert SecondOpinions(corpus(), []).choose(picks(80), 5) == []


def test_a_second_answer_that_takes_longer_is_worth_less() -> None:
    def n_chosen(seconds: float) -> int:
        given = [said(row, seconds=4.0) for row in range(60)]
        given += [said(row, source="bob", seconds=seconds) for row in range(0, 60, 4)]
        return len(SecondOpinions(corpus(), given).choose(picks(*range(80, 90)), 10))

    assert n_chosen(40.0) < n_chosen(0.4)


def test_seconds_are_medians_once_there_are_enough() -> None:
    first = [said(row, seconds=5.0) for row in range(12)]
    assert seconds_of([*first, said(0, source="bob", seconds=3.0)]) == (1.0, 1.0)
    assert seconds_of(first + [said(row, source="bob", seconds=3.0) for row in range(10)]) == (5.0, 3.0)
