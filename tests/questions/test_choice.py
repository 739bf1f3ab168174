from typing import Any

import numpy as np
import pytest

from llm_al.errors import ConfigError
from llm_al.phrasing import Form
from llm_al.questions.choice import Chooser, Habits, Texts, information
from llm_al.questions.clusters import BulkRule
from llm_al.questions.times import Pace

PACE = Pace(word_s=0.25, option_s=0.25, list_s=10.0, decision_s={**dict.fromkeys(Form, 1.5), Form.BULK: 0.5})
PERFECT = Habits(0.0, 0.0)


def texts(*proba: list[float], plausible: Any = None, vectors: Any = None) -> Texts:
    rows = np.array(proba)
    embeddings = np.eye(len(rows), 8, dtype=np.float32) if vectors is None else vectors
    return Texts(rows, np.full(len(rows), 10), embeddings, None if plausible is None else np.array(plausible))


def brute_force(proba: np.ndarray, options: tuple[int, ...], habits: Habits) -> float:
    """Mutual information from the whole table of right labels and answers."""
    c = len(proba)
    plain = np.full((c, c), habits.error / (c - 1))
    np.fill_diagonal(plain, 1 - habits.error)
    says = plain.copy()
    for label in range(c):
        if options and label not in options:
            says[label] = habits.anchoring * plain[options[0]] + (1 - habits.anchoring) * plain[label]
    joint = proba[:, None] * says
    apart = proba[:, None] * joint.sum(axis=0)[None, :]
    return float((joint[joint > 0] * np.log2(joint[joint > 0] / apart[joint > 0])).sum())


def test_information_equals_brute_force() -> None:
    rng = np.random.default_rng(0)
    for options in ((), (0,), (2, 1), (0, 1, 2, 3, 4)):
        proba, habits = rng.dirichlet(np.ones(5)), Habits(0.1, 0.3)
        assert information(proba, options, habits) == pytest.approx(brute_force(proba, options, habits))


def test_a_perfect_answer_tells_the_whole_entropy_in_every_form() -> None:
    proba = np.array([0.5, 0.25, 0.25, 0.0])
    assert information(proba, (), PERFECT) == information(proba, (0,), PERFECT) == pytest.approx(1.5)
    assert information(np.array([1.0]), (), PERFECT) == 0.0
    assert information(np.array([1.0, 0.0]), (), Habits()) == 0.0


def test_an_offer_that_sways_tells_less() -> None:
    proba = np.array([0.6, 0.2, 0.2])
    assert information(proba, (0,), Habits(0.0, 0.3)) < information(proba, (0, 1), Habits(0.0, 0.3))
    assert information(proba, (0, 1, 2), Habits(0.0, 0.3)) == information(proba, (), Habits(0.0, 0.3))


def test_seconds_of_each_form_by_hand() -> None:
    chooser, one = Chooser(PACE, habits=PERFECT), texts([0.6, 0.3, 0.1])
    # 10 words at .25 s and a decision of 1.5 s come to 4 s in each form.
    assert chooser.put(one, 0, Form.LIST, ()).seconds == pytest.approx(4 + 10)
    assert chooser.put(one, 0, Form.VERIFY, (0,)).seconds == pytest.approx(4 + 0.25 + 0.4 * 10)
    assert chooser.put(one, 0, Form.PAIR, (0, 1)).seconds == pytest.approx(4 + 0.25 * (0.6 + 0.6 + 0.2) + 0.1 * 10)
    assert chooser.put(one, 0, Form.BULK, (0,)).seconds == pytest.approx(2.5 + 0.5 + 0.25 + 0.4 * 10)


def test_a_long_list_makes_candidates_a_short_one_the_list() -> None:
    one = texts([0.4, 0.3, 0.25, 0.05], plausible=[[True, True, True, False]])
    (chosen,) = Chooser(PACE, habits=PERFECT).choose(one)
    assert (chosen.form, chosen.options) == (Form.CANDIDATES, (0, 1, 2))
    assert chosen.rate == pytest.approx(chosen.bits / chosen.seconds)
    quick = Pace(PACE.word_s, PACE.option_s, 0.1, PACE.decision_s)
    assert [choice.form for choice in Chooser(quick, habits=PERFECT).choose(one)] == [Form.LIST]


def test_a_fast_yes_makes_verification_and_a_slow_one_a_pair() -> None:
    one = texts([0.97, 0.02, 0.01])
    fast = Pace(0.25, 0.25, 10.0, {**PACE.decision_s, Form.VERIFY: 0.5})
    slow = Pace(0.25, 0.25, 10.0, {**PACE.decision_s, Form.VERIFY: 3.0})
    assert Chooser(fast, habits=PERFECT).choose(one)[0].form is Form.VERIFY
    assert Chooser(slow, habits=PERFECT).choose(one)[0].form is Form.PAIR


def test_people_who_are_always_swayed_get_the_list() -> None:
    one = texts([0.5, 0.3, 0.2])
    swayed = Chooser(PACE, forms=(Form.LIST, Form.VERIFY), habits=Habits(0.0, 0.99))
    assert swayed.choose(one)[0].form is Form.LIST


def test_only_allowed_forms_are_used_and_closed_texts_get_the_list() -> None:
    several = texts([0.9, 0.1], [0.9, 0.1], plausible=[[True, False]] * 2)
    assert {choice.form for choice in Chooser(PACE, forms=()).choose(several)} == {Form.LIST}
    chosen = Chooser(PACE, forms=(Form.VERIFY,)).choose(several, np.array([True, False]))
    assert [choice.form for choice in chosen] == [Form.VERIFY, Form.LIST]


def test_without_sets_nobody_gets_candidates() -> None:
    assert Chooser(PACE, forms=(Form.CANDIDATES,)).choose(texts([0.9, 0.1]))[0].form is Form.LIST
    none = Texts(np.zeros((0, 2)), np.zeros(0, dtype=np.int64), np.zeros((0, 2), dtype=np.float32))
    assert Chooser(PACE).choose(none) == []


def test_similar_sure_texts_are_answered_together() -> None:
    vectors = np.tile(np.eye(1, 8, dtype=np.float32), (4, 1))
    vectors[3] = np.eye(8, dtype=np.float32)[5]
    four = texts(*[[0.95, 0.025, 0.025]] * 4, vectors=vectors)
    chosen = Chooser(PACE, habits=PERFECT, bulk=BulkRule(similarity=0.9, certainty=0.9)).choose(four)
    assert [choice.form for choice in chosen[:3]] == [Form.BULK] * 3
    assert [choice.cluster for choice in chosen] == [0, 0, 0, -1]
    assert chosen[3].form is not Form.BULK
    slow = Pace(0.25, 0.25, 10.0, {**PACE.decision_s, Form.BULK: 9.0})
    assert all(choice.form is not Form.BULK for choice in Chooser(slow).choose(four))


@pytest.mark.parametrize("wrong", [{"error": 1.0}, {"anchoring": -0.1}, {"error": float("nan")}])
def test_impossible_habits_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="give numbers from 0 to below 1"):
        Habits(**wrong)
