import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.questions.conformal import Asked, Threshold, miss_scores, quantile, replay


def rounds_of(n_rounds: int, m: int, c: int, *, seed: int, sharpness: float = 1.0) -> list[Asked]:
    """Exchangeable texts of a student that is right to say what it says, or too sure by a factor."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(n_rounds):
        proba = rng.dirichlet(np.full(c, 0.3), size=m)
        labels = np.array([rng.choice(c, p=row) for row in proba])
        shown = proba**sharpness
        made.append(Asked(shown / shown.sum(axis=1, keepdims=True), labels))
    return made


def test_the_quantile_by_hand() -> None:
    scores = np.array([0.3, 0.1, 0.2, 0.4])
    # ceil(5 * .6) = 3, the third smallest of four.
    assert quantile(scores, 0.6) == 0.3
    assert quantile(scores, 0.8) == 0.4
    assert quantile(scores, 0.81) == float("inf")
    assert quantile(scores, 0.0) == float("-inf")


def test_nine_answers_are_just_enough_for_nine_tenths() -> None:
    # In binary, 10 * .9 is a little above 9.
    assert quantile(np.arange(9) / 10, 0.9) == 0.8
    assert quantile(np.arange(8) / 10, 0.9) == float("inf")
    assert quantile(np.zeros(0), 0.5) == float("inf")


def test_scores_are_relative_to_the_likeliest_label() -> None:
    asked = Asked(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]), np.array([1, 2]))
    assert miss_scores(asked).tolist() == [0.5, 0.0]


def test_a_set_holds_what_is_near_the_likeliest_with_ties() -> None:
    proba = np.array([[0.4, 0.4, 0.2], [0.7, 0.2, 0.1]])
    threshold = Threshold(0.5, 0.9, 0.9, 10)
    assert threshold.sets(proba).tolist() == [[True, True, True], [True, False, False]]
    assert Threshold(float("-inf"), 0.9, 0.0, 10).sets(proba).tolist() == [[True, True, False], [True, False, False]]


def test_with_too_few_answers_every_label_is_in_every_set() -> None:
    record = replay(rounds_of(1, 8, 4, seed=0), 0.9)
    assert not record.threshold.is_known
    assert record.threshold.sets(np.array([[0.9, 0.1, 0.0, 0.0]])).all()
    assert len(record.is_hit) == 0
    assert record.mean_seconds(0.2, 5.0) == float("inf")
    assert replay([], 0.9).threshold.n == 0


@pytest.mark.parametrize("n_classes", [2, 10])
def test_coverage_holds_over_many_exchangeable_draws(n_classes: int) -> None:
    """Split conformal, no correction: P(hit) lies in [.9, .9 + 1/(n + 1)], or above it where scores tie."""
    hits = []
    for seed in range(300):
        calibration, future = rounds_of(2, 39, n_classes, seed=seed)
        sets = replay([calibration], 0.9, step=0.0).threshold.sets(future.proba)
        hits.append(sets[np.arange(39), future.labels].mean())
    # The mean of 300 draws; its standard deviation is measured on the draws themselves.
    error = 3 * np.std(hits) / np.sqrt(300)
    assert np.mean(hits) > 0.9 - error
    if n_classes > 2:
        assert np.mean(hits) < 0.9 + 1 / 40 + error


def test_the_level_follows_misses_by_hand() -> None:
    # Nine answers that were thought likeliest, then two rounds: one miss among two answers, then a hit.
    sure = Asked(np.tile([0.9, 0.1], (9, 1)), np.zeros(9, dtype=np.int64))
    one_miss = Asked(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1]))
    hit = Asked(np.array([[0.9, 0.1]]), np.array([0]))
    record = replay([sure, one_miss, hit], 0.9, step=0.01)
    assert record.is_hit.tolist() == [True, False, True]
    # ceil(10 * .9) = 9 of nine scores, all 0; then ceil(12 * .908) = 11 of eleven, the miss among them.
    assert record.n_options.tolist() == [1, 1, 2]
    # .9 + .01 * (2 * .9 - 1), then + .01 * (.9 - 1).
    assert record.threshold.level == pytest.approx(0.908 - 0.001)
    assert record.threshold.n == 12


def test_labels_looked_at_by_hand() -> None:
    start = Asked(np.tile([0.5, 0.3, 0.2], (9, 1)), np.array([0, 0, 0, 0, 0, 0, 0, 1, 1]))
    then = Asked(np.tile([0.5, 0.3, 0.2], (3, 1)), np.array([0, 1, 2]))
    record = replay([start, then], 0.9)
    assert record.n_options.tolist() == [2, 2, 2]
    assert record.n_looked.tolist() == [1, 2, 2]
    # (1 + 2 + 2) options at .1 s and one list at 6 s, over three answers.
    assert record.mean_seconds(0.1, 6.0) == pytest.approx((0.5 + 6.0) / 3)


def test_coverage_comes_back_after_the_student_has_changed() -> None:
    """A student that grows too sure: without the correction its sets become too small."""
    shifted = [*rounds_of(10, 40, 10, seed=1), *rounds_of(50, 40, 10, seed=2, sharpness=3.0)]
    drifting = [*shifted, *rounds_of(50, 40, 10, seed=3)]
    followed, plain = (replay(drifting, 0.9, step=step) for step in (0.005, 0.0))
    assert abs(followed.is_hit.mean() - 0.9) < 0.01
    assert abs(followed.is_hit.mean() - 0.9) < abs(plain.is_hit.mean() - 0.9)


def test_after_a_run_of_misses_the_list_is_shown_and_no_miss_is_counted() -> None:
    wrong = Asked(np.tile([0.9, 0.1], (30, 1)), np.array([0] * 15 + [1] * 15))
    only_misses = Asked(np.tile([0.99, 0.01], (60, 1)), np.ones(60, dtype=np.int64))
    record = replay([wrong, only_misses, only_misses], 0.9, step=0.01)
    assert record.n_lists == 60
    assert len(record.is_hit) == 60
    assert record.mean_seconds(0.0, 1.0) == 1.0


def test_one_class_and_an_empty_round_are_no_special_case() -> None:
    alone = Asked(np.ones((12, 1)), np.zeros(12, dtype=np.int64))
    empty = Asked(np.zeros((0, 1)), np.zeros(0, dtype=np.int64))
    record = replay([alone, empty, alone], 0.9)
    assert record.is_hit.all()
    assert record.n_options.tolist() == [1] * 12


def test_a_replay_is_the_same_each_time_and_changes_nothing() -> None:
    asked = rounds_of(3, 30, 5, seed=4)
    before = [one.proba.copy() for one in asked]
    assert replay(asked, 0.9).threshold == replay(asked, 0.9).threshold
    assert all((one.proba == old).all() for one, old in zip(asked, before, strict=True))


@pytest.mark.parametrize("bad", [[[np.nan, 1.0]], [[-0.1, 1.1]], [[0.0, 0.0]], [0.5, 0.5]])
def test_what_is_no_probability_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(ShapeError, match=r"expected \(n, c\) with numbers from 0 to 1, none of the rows all 0"):
        Asked(np.array(bad), np.array([0]))
    with pytest.raises(ShapeError, match="train the student again"):
        Threshold(0.5, 0.9, 0.9, 10).sets(np.array(bad))


@pytest.mark.parametrize("labels", [[2], [-1], [0, 0]])
def test_labels_that_do_not_fit_are_refused(labels: list[int]) -> None:
    with pytest.raises(ShapeError, match="give one class index from 0 to c - 1 a row"):
        Asked(np.array([[0.5, 0.5]]), np.array(labels))


@pytest.mark.parametrize("coverage", [0.0, 1.0, float("nan")])
def test_an_impossible_coverage_is_refused(coverage: float) -> None:
    with pytest.raises(ConfigError, match="it must lie between 0 and 1, such as"):
        replay([], coverage)
