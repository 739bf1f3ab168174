"""Whole rounds with two people at one desk, through the real store."""

from pathlib import Path
from typing import Any

import pytest

from llm_al.people.desk_types import Reply
from llm_al.places import SECOND
from llm_al.project import Project
from llm_al.types import Outcome
from tests.fakes import shop


@pytest.fixture
def gold(tmp_path: Path) -> dict[str, str]:
    shop.write_inputs(tmp_path)
    rows = (tmp_path / "gold.csv").read_text(encoding="utf-8").splitlines()[1:]
    return dict(row.rsplit(",", 1) for row in rows)


def project_of(folder: Path, **human: Any) -> Project:
    inputs = {"texts": folder / "pool.csv", "labels": folder / "labels.json"}
    strategy = {"initial": 24, "human_per_round": 8, "llm_per_round": 12}
    settings = shop.settings(human={"annotator": "queue", **human}, strategy=strategy, budget={"human_labels": 80})
    return Project.create(folder / "p", **inputs, settings=settings)


def answer_all(project: Project, gold: dict[str, str]) -> None:
    """Ann knows the answers; bob errs on every third text."""
    desk = project.desk
    for n in range(400):
        drawn = [(person, ticket) for person in ("ann", "bob") for ticket in desk.draw(person, n=1)]
        for person, ticket in drawn:
            right = gold.get(ticket.example_id, "skip")
            wrong = next(name for name in project.scheme.names if name != right)
            desk.answer(person, Reply(ticket.id, wrong if person == "bob" and n % 3 == 2 else right, seconds=2.0))
        if not drawn:
            return


def test_overlap_asks_both_about_every_text_and_counts_answers(tmp_path: Path, gold: dict[str, str]) -> None:
    with project_of(tmp_path, overlap=2, second_opinions=0.0, gold_rate=0.0, re_ask_rate=0.0) as project:
        list(project.run(max_human_labels=32))
        answer_all(project, gold)
        outcomes = list(project.run(max_human_labels=32))
        given = [a for a in project.store.annotations() if a.kind.is_human]
        by_text = {id_: {a.source for a in given if a.example_id == id_} for id_ in {a.example_id for a in given}}
        assert by_text
        assert all(who == {"human:ann", "human:bob"} for who in by_text.values())
        assert outcomes[0].record is not None
        assert outcomes[0].record.n_human == len(given)
        assert 24 <= len(given) <= 32


def test_weak_students_want_new_texts_before_second_opinions(tmp_path: Path, gold: dict[str, str]) -> None:
    with project_of(tmp_path, second_opinions=0.5, gold_rate=0.0, re_ask_rate=0.0) as project:
        for _ in range(3):
            list(project.run(max_human_labels=60))
            answer_all(project, gold)
        pairs = [a.example_id for a in project.store.annotations() if a.kind.is_human]
        assert len(pairs) == len(set(pairs)) > 9
        assert {a.source for a in project.store.annotations() if a.kind.is_human} == {"human:ann", "human:bob"}


def test_a_second_opinion_that_costs_little_is_asked_blind_of_somebody_else(
    tmp_path: Path, gold: dict[str, str]
) -> None:
    people = ("ann", "bob", "eve")
    human = {"overlap": 2, "second_opinions": 0.5, "gold_rate": 0.0, "re_ask_rate": 0.0}
    with project_of(tmp_path, **human) as project:
        for _ in range(4):
            list(project.run(max_human_labels=80))
            said: set[str] = {a.example_id for a in project.store.annotations() if a.kind.is_human}
            while drawn := [(who, ticket) for who in people for ticket in project.desk.draw(who, n=1)]:
                for who, ticket in drawn:
                    seconds = 1.0 if ticket.example_id in said else 30.0
                    said.add(ticket.example_id)
                    label = gold.get(ticket.example_id, "skip")
                    project.desk.answer(who, Reply(ticket.id, label, seconds=seconds))
        again = [d for d in project.store.decisions() if d.outcome is Outcome.SECOND_OPINION]
        assert again
        assert all(d.reason.startswith("a second opinion: ") for d in again)
        asked = {(q.example_id, q.round): q for q in project.store.questions()}
        put = [asked[key] for d in again if (key := (d.example_id, d.round)) in asked]
        assert put
        assert all(question.is_blind and question.reason == SECOND for question in put)
        (first,) = [question for question in put if question.n_answered][:1]
        sources = [a.source for a in project.store.annotations(ids=[first.example_id]) if a.kind.is_human]
        assert len(sources) == len(set(sources)) > 1
