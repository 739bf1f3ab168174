from dataclasses import replace

import numpy as np
import pytest

from llm_al.errors import DataError
from llm_al.phrasing import Form
from llm_al.questions.times import PRIOR, Pace, Timed, fit_pace

TRUE = Pace(
    word_s=0.2,
    option_s=0.4,
    list_s=9.0,
    decision_s={Form.LIST: 2.0, Form.CANDIDATES: 1.0, Form.VERIFY: 0.7, Form.PAIR: 1.2, Form.BULK: 3.0},
)


def answers(n: int, *, breaks: float = 0.0, paces: tuple[float, ...] = (1.0,), seed: int = 0) -> list[Timed]:
    """Answers of people at `TRUE`, 30 % noise, some of them with a coffee break of ten minutes."""
    rng, made = np.random.default_rng(seed), []
    n_options = {Form.LIST: 0, Form.VERIFY: 1, Form.PAIR: 2}
    for number in range(n):
        form = (Form.LIST, Form.CANDIDATES, Form.VERIFY, Form.PAIR)[rng.integers(4)]
        n_words, looked = int(rng.integers(3, 40)), float(n_options.get(form, rng.integers(1, 9)))
        is_opened = form is Form.LIST or rng.random() < 0.2
        seconds = TRUE.seconds(form, n_words=n_words, n_options=looked, n_lists=float(is_opened))
        seconds *= np.exp(rng.normal(scale=0.3)) * paces[number % len(paces)]
        if rng.random() < breaks:
            seconds = 600.0
        made.append(Timed(seconds, form, n_words, looked, is_opened, f"human:{number % len(paces)}"))
    return made


def test_seconds_are_the_sum_of_the_parts_by_hand() -> None:
    # 10 words at .2, 3 options at .4, a tenth of a list at 9, a decision of 1.
    assert TRUE.seconds(Form.CANDIDATES, n_words=10, n_options=3, n_lists=0.1) == pytest.approx(2 + 1.2 + 0.9 + 1.0)


def test_the_prior_looks_through_half_of_the_list() -> None:
    assert Pace.prior(77).list_s == pytest.approx(0.25 * 39)
    assert PRIOR.word_s == pytest.approx(0.252, abs=1e-3)


def test_without_answers_the_prior_stays() -> None:
    prior = Pace.prior(5)
    assert fit_pace([], prior=prior) is prior


def test_planted_seconds_are_recovered() -> None:
    fitted = fit_pace(answers(4000), prior=Pace.prior(77))
    assert fitted.word_s == pytest.approx(TRUE.word_s, rel=0.1)
    assert fitted.option_s == pytest.approx(TRUE.option_s, rel=0.2)
    assert fitted.list_s == pytest.approx(TRUE.list_s, rel=0.1)
    assert fitted.decision_s[Form.LIST] == pytest.approx(2.0, rel=0.2)
    assert fitted.decision_s[Form.LIST] > fitted.decision_s[Form.PAIR] > fitted.decision_s[Form.VERIFY]
    assert fitted.n_measured == 2000


def test_coffee_breaks_move_little() -> None:
    quiet, disturbed = (fit_pace(answers(1500, breaks=share), prior=Pace.prior(77)) for share in (0.0, 0.05))
    assert disturbed.list_s == pytest.approx(quiet.list_s, rel=0.1)
    assert disturbed.word_s == pytest.approx(quiet.word_s, rel=0.15)


def test_a_slow_person_does_not_make_their_form_a_slow_one() -> None:
    rng, made = np.random.default_rng(1), []
    for _ in range(600):
        is_slow = rng.random() < 0.5
        form = Form.VERIFY if is_slow == (rng.random() < 0.8) else Form.PAIR
        noise = np.exp(rng.normal(scale=0.2))
        made.append(Timed((6.0 if is_slow else 2.0) * noise, form, 5, 1.0, False, "slow" if is_slow else "quick"))
    fitted = fit_pace(made)
    ratio = fitted.decision_s[Form.VERIFY] / fitted.decision_s[Form.PAIR]
    assert ratio == pytest.approx(1.0, abs=0.25)


def test_few_answers_move_the_prior_little_and_many_move_a_form_that_nobody_used() -> None:
    slow = [Timed(30.0, Form.LIST, 10, 0.0, True) for _ in range(200)]
    prior = replace(Pace.prior(10), list_s=3.0)
    few, many = fit_pace(slow[:1], prior=prior), fit_pace(slow, prior=prior)
    assert prior.list_s < few.list_s < many.list_s
    assert many.decision_s[Form.BULK] > prior.decision_s[Form.BULK]


def test_a_fit_is_the_same_each_time() -> None:
    assert fit_pace(answers(50)) == fit_pace(answers(50))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_an_answer_that_took_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(DataError, match=r"seconds must be positive and finite, counts not negative; leave it out"):
        Timed(seconds, Form.LIST, 5)
    with pytest.raises(DataError, match=r"an answer took 1\.0 s for -1 words"):
        Timed(1.0, Form.LIST, -1)
