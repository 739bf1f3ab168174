from dataclasses import replace

import numpy as np
import pytest

from llm_al.errors import ConfigError, ShapeError
from llm_al.pseudo_labels._comparison import is_taught
from llm_al.pseudo_labels._folds import deal
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.pseudo_labels.guard import Guard, Rows
from llm_al.types import Source

C, D = 4, 32


def planted(n, seed, noise=0.0, wrong_way=False, weight=1.0):
    """Rows around four fixed centres; `noise` of the labels are replaced by the next class or at random."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(C, D))
    y = rng.integers(C, size=n)
    x = centres[y] + 2.5 * rng.normal(size=(n, D))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    other = (y + 1) % C if wrong_way else rng.integers(C, size=n)
    given = np.where(rng.random(n) < noise, other, y)
    return Rows(x.astype(np.float32), np.eye(C)[given], np.full(n, weight))


def choose(human, llm=None, pseudo=None, seed=0, **fields):
    return Guard(**fields).choose(human, llm, pseudo, np.random.default_rng(seed))


def test_the_head_matches_an_independent_optimum():
    rows = planted(60, 0)
    w = fit_head(rows.embeddings, rows.targets, rows.weights)
    proba = predict_head(w, rows.embeddings)
    # At the optimum C * X'(p - t) + W = 0; checked on coefficients, loosely because steps are few.
    gradient = 10 * rows.embeddings.T @ (proba - rows.targets) + w[:-1]
    assert np.abs(gradient).max() < 0.2
    assert (proba.argmax(axis=1) == rows.targets.argmax(axis=1)).mean() > 0.9


def test_good_llm_labels_stay():
    verdict = choose(planted(60, 1), planted(400, 2, noise=0.05))
    assert verdict.sources == (Source.HUMAN, Source.LLM)
    assert verdict.llm_weight > 0
    assert verdict.pseudo_weight == 0
    assert "cross-validated on 60 labels of people: LLM labels stay: log loss changes by -" in verdict.reason


@pytest.mark.parametrize("seed", range(5))
def test_systematically_wrong_llm_labels_stay_out(seed):
    verdict = choose(planted(80, seed), planted(300, seed + 50, noise=0.7, wrong_way=True), seed=seed)
    assert verdict.sources == (Source.HUMAN,)
    assert verdict.llm_weight == 0
    assert "stay out, no clear gain" in verdict.reason


def test_pseudo_labels_are_given_anew_so_that_their_targets_cannot_leak():
    human, pseudo = planted(80, 1), planted(100, 2)
    flipped = Rows(pseudo.embeddings, np.roll(pseudo.targets, 1, axis=1), pseudo.weights)
    assert choose(human, None, pseudo) == choose(human, None, flipped)


def test_each_kept_source_has_a_factor_and_each_other_none():
    verdict = choose(planted(60, 1), planted(300, 2), planted(100, 3, weight=0.5))
    assert (Source.LLM in verdict.sources) == (verdict.llm_weight > 0)
    assert (Source.PSEUDO in verdict.sources) == (verdict.pseudo_weight > 0)
    assert {verdict.llm_weight, verdict.pseudo_weight} <= {0.0, 0.03, 0.1, 0.3, 1.0}


def test_people_alone_need_no_comparison():
    verdict = choose(planted(60, 1), planted(0, 2), None)
    assert (verdict.sources, verdict.reason) == ((Source.HUMAN,), "only people's labels are at hand")


def test_too_few_labels_of_people_keep_accepted_llm_labels_lightly_and_no_pseudo_labels():
    verdict = choose(planted(12, 1), planted(100, 2), planted(100, 3))
    assert verdict.sources == (Source.HUMAN, Source.LLM)
    assert (verdict.llm_weight, verdict.pseudo_weight) == (0.3, 0.0)
    assert "these are too few to compare sources (at least 20 over 2 classes are needed)" in verdict.reason
    assert choose(planted(0, 1), None, planted(100, 3)).sources == (Source.HUMAN,)


def test_one_class_cannot_be_compared():
    human = planted(40, 1)
    one = Rows(human.embeddings, np.eye(C)[np.zeros(40, dtype=int)], human.weights)
    assert "over 1 classes; these are too few" in choose(one, planted(50, 2)).reason


def test_folds_are_stratified_and_cover_each_row_once():
    human = planted(53, 1)
    folds = deal(human.targets.argmax(axis=1), 5, np.random.default_rng(0))
    assert sorted(np.concatenate(folds).tolist()) == list(range(53))
    truth = human.targets.argmax(axis=1)
    counts = np.array([np.bincount(truth[fold], minlength=C) for fold in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()


def test_verdicts_repeat_with_the_seed_and_inputs_stay():
    human, llm = planted(60, 1), planted(100, 2)
    before = human.embeddings.copy()
    assert choose(human, llm, seed=3) == choose(human, llm, seed=3)
    np.testing.assert_array_equal(human.embeddings, before)


def test_rare_classes_with_one_label_do_not_break_the_comparison():
    human = planted(40, 1)
    y = human.targets.argmax(axis=1)
    y[y == 3] = 0
    y[0] = 3
    verdict = choose(Rows(human.embeddings, np.eye(C)[y], human.weights), planted(200, 2))
    assert verdict.sources[0] is Source.HUMAN


def test_a_class_with_one_label_is_not_tested_as_nobody_could_know_it():
    human = planted(7, 1)
    given = Rows(human.embeddings, np.eye(C)[[0, 0, 1, 1, 2, 3, 3]], human.weights)
    # Row 4 has a class of its own; rows 0 and 1 share a fold, so that neither can be known in it.
    tests = [np.array([0, 1]), np.array([2, 4]), np.array([3, 5]), np.array([6])]
    assert is_taught(given, tests).tolist() == [False, False, True, True, False, True, True]


def one_a_class(n_classes=30, d=40):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_classes, d))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Rows(x.astype(np.float32), np.eye(n_classes), np.ones(n_classes))


def test_one_label_a_class_leaves_the_decision_to_the_prior():
    human = one_a_class()
    verdict = choose(human, one_a_class())
    assert (verdict.llm_weight, verdict.pseudo_weight) == (0.3, 0.0)
    assert "0 labels of people have another of their class, over 30 classes" in verdict.reason


def test_labels_that_know_the_tested_row_are_given_anew_in_each_fold():
    human, pool, asked = planted(60, 1), planted(300, 2), []

    def without(rows):
        asked.append(rows)
        return Rows(pool.embeddings, np.roll(pool.targets, 1, axis=1), pool.weights)

    # The rows themselves are perfect, as they know everything; without what is tested they are all wrong.
    verdict = choose(human, Rows(pool.embeddings, pool.targets, pool.weights, without))
    assert verdict.sources == (Source.HUMAN,)
    assert sorted(np.concatenate(asked).tolist()) == list(range(60))


def test_names_of_labels_make_other_sources_less_needed():
    human, llm = planted(40, 1), planted(300, 2, noise=0.3)
    names = np.random.default_rng(99).normal(size=(C, D))
    names = (names / np.linalg.norm(names, axis=1, keepdims=True)).astype(np.float32)

    def gain(reason):
        return float(reason.split("log loss changes by ")[1].split()[0])

    with_names = Guard().choose(human, llm, None, np.random.default_rng(0), names=names)
    assert gain(with_names.reason) > gain(choose(human, llm).reason)


def test_the_prior_on_the_factor_yields_to_many_labels():
    llm = planted(300, 2)
    factors = [choose(planted(n, 1), llm, prior_factor=0.03, prior_sd=0.5).llm_weight for n in (24, 100)]
    assert factors[0] == 0.03
    assert factors[1] > 0.03


def test_few_labels_a_class_favour_the_llm_and_many_do_not():
    human, llm = planted(40, 1), planted(100, 2, noise=0.5)
    for n_more, is_favoured in ((0, False), (36, True)):
        wide = [
            Rows(rows.embeddings, np.pad(rows.targets, ((0, 0), (0, n_more))), rows.weights) for rows in (human, llm)
        ]
        verdict = choose(*wide, prior_gain=50.0, min_gain_se=4.0)
        assert (Source.LLM in verdict.sources) == is_favoured


def test_large_sources_are_drawn_from_and_weigh_as_much():
    rows = planted(500, 1)
    drawn = rows.drawn(100, np.random.default_rng(0))
    assert len(drawn) == 100
    assert drawn.weights.sum() == pytest.approx(500.0)
    assert rows.drawn(500, np.random.default_rng(0)) is rows


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prior_factor": 0.0}, "prior_factor is 0.0; allowed is more than 0"),
        ({"max_added": 0}, "max_added is 0; allowed is more than 0"),
        ({"prior_gain": -1.0}, "prior_gain is -1.0; allowed is 0 or more"),
        ({"max_fall_se": -0.1}, "max_fall_se is -0.1; allowed is 0 or more"),
        ({"kept_loss_se": float("nan")}, "kept_loss_se is nan; allowed is 0 or more"),
    ],
)
def test_priors_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Guard(**settings)


def test_wrong_settings_and_shapes_are_refused():
    with pytest.raises(ConfigError, match="n_folds is 1"):
        Guard(n_folds=1)
    with pytest.raises(ConfigError, match="multipliers is"):
        Guard(multipliers=())
    with pytest.raises(ShapeError, match="3 embeddings, 2 targets"):
        Rows(np.ones((3, 2), dtype=np.float32), np.ones((2, 2)), np.ones(3))


def test_pseudo_labels_in_use_stay_until_they_hurt():
    human, good, bad = planted(60, 1), planted(300, 2, noise=0.3), planted(300, 3, noise=1.0)

    def sources(rows, in_use, *, is_llm=False):
        # Labels that do not know people's are the same in every fold.
        given = Rows(rows.embeddings, rows.targets, rows.weights, lambda _unknown: rows)
        llm, pseudo = (given, None) if is_llm else (None, given)
        guard = Guard(min_gain_se=1000.0, pseudo_gain_se=1000.0)
        return guard.choose(human, llm, pseudo, np.random.default_rng(0), in_use=in_use).sources

    both = (Source.HUMAN, Source.LLM, Source.PSEUDO)
    assert Source.PSEUDO not in sources(good, ())
    assert Source.PSEUDO in sources(good, both)
    assert Source.PSEUDO not in sources(bad, both)
    # LLM labels may have been let in without a test.
    assert Source.LLM not in sources(good, both, is_llm=True)


@pytest.mark.parametrize(("n_lost", "stays"), [(3, True), (5, False)])
def test_pseudo_labels_whose_log_loss_gains_may_cost_a_little_accuracy(n_lost, stays, monkeypatch):
    human, pseudo = planted(100, 1), planted(100, 2)

    def better_but_wrong(known, added, rng, *, is_own):
        base = known.base
        is_right = base.is_right.copy()
        is_right[np.flatnonzero(is_right)[:n_lost]] = False
        return {0.1: replace(base, loss=base.loss - 0.1 - 0.01 * np.arange(100) / 100, is_right=is_right)}

    guard = Guard()
    monkeypatch.setattr(Guard, "_trials", lambda _, *args, **named: better_but_wrong(*args, **named))
    # 3 of 100 lost are 1.7 standard errors, 5 are 2.3.
    sources = guard.choose(human, None, pseudo, np.random.default_rng(0)).sources
    assert (Source.PSEUDO in sources) == stays
    assert Source.LLM not in guard.choose(human, pseudo, None, np.random.default_rng(0)).sources
