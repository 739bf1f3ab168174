import numpy as np
import pytest

from llm_al.people.matching import Experience, Expertise, Spread, label_skill
from llm_al.phrasing import Phrasing
from llm_al.store.tickets import Offer


def offer(number: int, *, priority: float = 2.0) -> Offer:
    return Offer(number, number, f"t{number}", priority, Phrasing(), 1, 0)


def numbers(offers: list[Offer]) -> list[int]:
    return [one.assignment for one in offers]


LIKELY = {1: {"a": 0.9, "b": 0.1}, 2: {"b": 0.8, "a": 0.2}, 3: {"c": 1.0}, 4: {}}
OFFERS = [offer(number) for number in LIKELY]


def likely(one: Offer) -> dict[str, float]:
    return LIKELY[one.assignment]


def test_experts_get_what_they_know_and_leave_what_others_know() -> None:
    rank = Expertise(frozenset({"b"}), likely, frozenset({"c"}))
    assert numbers(rank(OFFERS)) == [2, 1, 4, 3]


def test_without_expertise_the_order_of_the_queue_stays() -> None:
    assert numbers(Expertise(frozenset(), likely)(OFFERS)) == [1, 2, 3, 4]


def test_priority_goes_before_fit() -> None:
    urgent = offer(3, priority=3.0)
    assert numbers(Expertise(frozenset({"a"}), likely)([*OFFERS[:2], urgent])) == [3, 1, 2]


def test_a_person_gets_what_they_do_better_than_the_others() -> None:
    skill = {"ann": {"a": 0.9, "b": 0.9, "c": 0.9}, "bob": {"a": 0.5, "b": 0.9, "c": 0.95}}
    assert numbers(Experience(skill, "ann", likely)(OFFERS)) == [1, 2, 4, 3]
    assert numbers(Experience(skill, "bob", likely)(OFFERS)) == [3, 4, 2, 1]
    assert numbers(Experience(skill, "eve", likely)(OFFERS)) == [1, 2, 3, 4]


def test_subjective_texts_go_to_people_unlike_those_who_answered() -> None:
    habits = {"ann": np.array([0.9, 0.1]), "bob": np.array([0.8, 0.2]), "eve": np.array([0.1, 0.9])}
    by = {1: ["bob"], 2: ["eve"], 3: [], 4: ["bob", "eve"]}
    assert numbers(Spread(habits, "ann", lambda one: by[one.assignment])(OFFERS)) == [2, 3, 1, 4]
    assert numbers(Spread(habits, "new", lambda one: by[one.assignment])(OFFERS)) == [1, 2, 3, 4]


def test_skill_is_shrunk_by_hand_calculation() -> None:
    answers = {("ann", "1"): "a", ("ann", "2"): "b", ("ann", "3"): "skip", ("ann", "4"): "a", ("bob", "9"): "a"}
    skill = label_skill(answers, {"1": "a", "2": "a", "3": "a", "4": "a"}, ["a", "b"])
    # Right on 2 of 3: (2 + .8 x 8) / (3 + 8); on label a: (2 + that x 8) / (3 + 8); nothing is known about b.
    overall = 8.4 / 11
    assert skill == {
        "ann": {
            "a": pytest.approx((2 + overall * 8) / 11),
            "b": pytest.approx(overall),
            "none_of_these": pytest.approx(overall),
        }
    }
