from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llm_al.people.answer_book import AnswerBook
from llm_al.people.suggestions import Suggestions
from llm_al.project import Project
from llm_al.types import Annotation, AnnotatorKind


class Student:
    """Proposes the label of the round's number: `b` after round 1, `c` after round 2."""

    def pool(self, number: int, _names: Any, n_rows: int) -> Any:
        return np.tile(np.eye(3)[number], (n_rows, 1)) if number else None


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    texts = [{"id": f"t{n}", "text": f"text {n}"} for n in range(4)]
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}}
    test = [{"id": "held", "text": "held back", "label": "a"}]
    with Project.create(tmp_path / "p", texts=texts, labels=["a", "b", "c"], test=test, settings=settings) as made:
        yield made


@pytest.fixture
def book(project: Project) -> AnswerBook:
    def suggestions(number: int) -> Suggestions:
        return Suggestions(project.store, Student(), project.scheme, number)  # type: ignore[arg-type]

    return AnswerBook(project.store, suggestions)


def say(project: Project, id_: str, label: str | None, **options: Any) -> int:
    kind = options.pop("kind", AnnotatorKind.HUMAN)
    (row,) = project.store.add_annotations([Annotation(id_, label, options.pop("who", "human:ann"), kind, **options)])
    return row


def labels(book: AnswerBook) -> list[tuple[str, str | None]]:
    return [(asked.annotation.example_id, asked.annotation.label) for asked in book.read()]


def test_only_what_people_said_about_the_pool_is_in_it(project: Project, book: AnswerBook) -> None:
    say(project, "t0", "a")
    say(project, "t1", "b", who="gpt", kind=AnnotatorKind.LLM)
    say(project, "t2", None)
    assert labels(book) == [("t0", "a")]


def test_what_is_taken_back_before_or_after_it_was_read_is_gone(project: Project, book: AnswerBook) -> None:
    project.store.take_back(say(project, "t0", "a"))
    later = say(project, "t1", "b")
    assert labels(book) == [("t1", "b")]
    project.store.take_back(later)
    assert labels(book) == []
    say(project, "t1", "c")
    assert (labels(book), labels(book)) == ([("t1", "c")], [("t1", "c")])
    assert [asked.annotation.label for asked in book.kept()] == ["c"]


def test_a_row_that_becomes_visible_late_is_still_read(project: Project, book: AnswerBook) -> None:
    first = say(project, "t0", "a")
    say(project, "t1", "b")
    book.read()
    # As if a slower transaction had committed the smaller row number only now.
    del book._asked[first]
    assert labels(book) == [("t0", "a"), ("t1", "b")]


def test_what_was_proposed_comes_from_the_round_before_and_from_llms_where_there_is_no_student(
    project: Project, book: AnswerBook
) -> None:
    say(project, "t2", "a", who="gpt", kind=AnnotatorKind.LLM, model="gpt")
    say(project, "t0", "b", round=2, is_suggestion_shown=True)
    say(project, "t1", "b", round=3, is_suggestion_shown=True)
    say(project, "t2", "b", round=1, is_suggestion_shown=True)
    say(project, "t3", "b", round=1, is_suggestion_shown=True)
    say(project, "t3", "b", round=3)
    assert [asked.proposed for asked in book.read()] == ["b", "c", "a", None, None]
