import numpy as np
import pytest

from llm_al.students._linear import Linear
from llm_al.students._mixture import Mixture, fit_mixture, mixed
from llm_al.students._prototypes import Rows

RNG = np.random.default_rng(0)
POINTS = RNG.normal(size=(200, 2))
ROWS = Rows(POINTS, np.eye(2)[(POINTS[:, 0] + 0.3 * RNG.normal(size=200) > 0).astype(int)], np.ones(200))


def _linear(coef: list[list[float]], intercept: tuple[float, float] = (0.0, 0.0)) -> Linear:
    return Linear(np.array(coef), np.array(intercept), np.ones(2, dtype=np.bool_), 0.0)


TRUE = _linear([[-3.0, 0.0], [3.0, 0.0]])
BLIND = _linear([[0.0, -3.0], [0.0, 3.0]])


def _fitted(first: Linear, second: Linear, rows: Rows = ROWS) -> Mixture:
    return fit_mixture(lambda _rows: (first, second), rows, n_folds=5, rng=np.random.default_rng(0))


def test_the_better_one_gets_the_share() -> None:
    assert _fitted(TRUE, BLIND).share < 0.15
    assert _fitted(BLIND, TRUE).share > 0.85


def test_two_of_a_kind_share_evenly() -> None:
    assert _fitted(TRUE, TRUE).share == pytest.approx(0.5, abs=1e-3)


def test_two_labels_move_the_share_little() -> None:
    few = ROWS.at(np.array([0, int(np.flatnonzero(ROWS.targets[:, 1] != ROWS.targets[0, 1])[0])]))
    assert abs(_fitted(TRUE, BLIND, few).share - 0.5) < abs(_fitted(TRUE, BLIND).share - 0.5)


def test_a_classifier_that_is_too_sure_gets_a_temperature_above_one() -> None:
    sure = _linear([[-30.0, 0.0], [30.0, 0.0]])
    assert _fitted(sure, sure).temperature > 2.0 > _fitted(TRUE, TRUE).temperature


def test_rows_are_tested_by_fits_that_have_not_seen_them() -> None:
    seen: list[int] = []

    def fit(rows: Rows) -> tuple[Linear, Linear]:
        seen.append(len(rows.vectors))
        return TRUE, BLIND

    fit_mixture(fit, ROWS, n_folds=4, rng=np.random.default_rng(0))
    assert seen == [150] * 4


def test_a_mixture_adds_logits_in_its_shares() -> None:
    points = np.array([[1.0, 2.0]])
    logits = mixed(TRUE, BLIND, 0.25).logits(points)[0]
    # .75 * 6 of the first and .25 * 12 of the second.
    assert logits[1] - logits[0] == pytest.approx(7.5)
    assert mixed(TRUE, BLIND, 0.0).logits(points) == pytest.approx(TRUE.logits(points))
