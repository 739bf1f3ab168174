from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_al.people.crowd import Crowd
from llm_al.people.desk_types import Reply
from llm_al.project import Project
from llm_al.store.people import Person
from llm_al.store.tickets import Offer
from llm_al.types import Annotation, AnnotatorKind


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    texts = [{"id": f"t{n}", "text": f"text number {n}"} for n in range(30)]
    settings = {"embedder": {"name": "hashing"}, "student": {"name": "head"}}
    with Project.create(tmp_path / "p", texts=texts, labels=["a", "b"], settings=settings) as made:
        yield made


def crowd(project: Project, matching: str) -> Crowd:
    settings = project.config.human.model_copy(update={"matching": matching})
    return Crowd(project.store, settings, project.scheme, expertise=project._expertise)


def likely(one: Offer) -> dict[str, float]:
    return {"a" if int(one.example_id[1:]) % 2 else "b": 1.0}


def drawn(project: Project, matching: str, person: str, n: int = 4) -> list[str]:
    rank = crowd(project, matching).rank(person, likely)
    with project.store.database.writing() as connection:
        handed = project.store.tickets.draw(connection, person, n=n, expires_s=2e9, now=1e9, rank=rank)
    return [one.example_id for one in handed]


def test_said_expertise_decides_who_gets_what(project: Project) -> None:
    project.store.people.add(Person("ann", "annotator", expertise=("a",)))
    project.store.people.add(Person("bob", "annotator", expertise=("b",)))
    project.store.enqueue([f"t{n}" for n in range(8)], round=1, reason="x")
    assert drawn(project, "expertise", "human:ann") == ["t1", "t3", "t5", "t7"]
    assert drawn(project, "expertise", "human:bob") == ["t0", "t2", "t4", "t6"]


def test_measured_accuracy_decides_who_gets_what(project: Project) -> None:
    for n in range(8, 24):
        project.store.rulings.add(f"t{n}", "a" if n % 2 else "b", person="human:eve")
        # Ann knows a and takes b for a; bob the other way round.
        for person, always in (("human:ann", "a"), ("human:bob", "b")):
            project.store.add_annotations([Annotation(f"t{n}", always, person, kind=AnnotatorKind.HUMAN)])
    project.store.enqueue([f"t{n}" for n in range(8)], round=1, reason="x")
    assert drawn(project, "accuracy", "human:ann") == ["t1", "t3", "t5", "t7"]
    assert drawn(project, "accuracy", "human:bob") == ["t0", "t2", "t4", "t6"]


def test_one_person_alone_gets_the_order_of_the_queue(project: Project) -> None:
    project.store.enqueue(["t3", "t1", "t2"], round=1, reason="x")
    for matching in ("none", "accuracy", "spread"):
        assert crowd(project, matching).rank("human:ann", likely) is None
    assert drawn(project, "accuracy", "human:ann") == ["t3", "t1", "t2"]


def test_subjective_texts_are_spread_over_unlike_people(project: Project) -> None:
    for n in range(10, 26):
        for person, label in (("human:ann", "a"), ("human:bob", "a"), ("human:eve", "b")):
            project.store.add_annotations([Annotation(f"t{n}", label, person, kind=AnnotatorKind.HUMAN)])
    project.store.enqueue(["t0", "t1"], round=1, reason="x", n_wanted=2)
    desk = project.desk
    for person, wanted in (("bob", "t0"), ("eve", "t1")):
        ticket = next(t for t in desk.draw(person, n=2) if t.example_id == wanted)
        desk.answer(person, Reply(ticket.id, "a"))
        desk.give_back(person)
    assert drawn(project, "spread", "human:ann", n=1) == ["t1"]


def test_people_of_the_last_week_are_counted(project: Project) -> None:
    assert crowd(project, "none").n_recent() == 1
    project.store.enqueue(["t0", "t1"], round=1, reason="x")
    for person in ("ann", "bob"):
        project.desk.draw(person, n=1)
    assert crowd(project, "none").n_recent() == 2
