import numpy as np
import pytest

from llm_al.questions.conformal import Asked
from llm_al.questions.posterior import fit_sharpness, sharpened


def asked(power: float, n: int = 400, seed: int = 0) -> Asked:
    """Answers that come as probabilities say once these are raised to a power."""
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(5), size=n)
    labels = np.array([rng.choice(5, p=row) for row in sharpened(proba, power)])
    return Asked(proba, labels)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_a_planted_power_is_found(power: float) -> None:
    assert fit_sharpness([asked(power)]) == pytest.approx(power, rel=0.2)


def test_without_answers_probabilities_stay() -> None:
    empty = Asked(np.zeros((0, 5)), np.zeros(0, dtype=np.int64))
    assert fit_sharpness([]) == fit_sharpness([empty]) == 1.0
    assert abs(fit_sharpness([asked(3.0, n=1)]) - 1.0) < 0.5


def test_old_answers_are_forgotten() -> None:
    assert fit_sharpness([asked(0.3), asked(1.0, seed=1)]) == pytest.approx(1.0, rel=0.2)


def test_an_answer_that_was_held_impossible_does_not_end_the_fit() -> None:
    never = Asked(np.array([[1.0, 0.0]] * 20), np.ones(20, dtype=np.int64))
    assert 0.1 <= fit_sharpness([never]) < 0.2


def test_a_power_by_hand() -> None:
    assert sharpened(np.array([[0.5, 0.25, 0.25]]), 2.0)[0] == pytest.approx([4 / 6, 1 / 6, 1 / 6])
    assert sharpened(np.array([[1.0, 0.0]]), 1.0).min() > 0.0
