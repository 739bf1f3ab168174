"""What every way of counting votes owes to gold and to the people who voted."""

from dataclasses import replace

import numpy as np
import pytest

from llm_al.consensus.dawid_skene import DawidSkene, OneCoin
from llm_al.consensus.glad import Glad
from llm_al.consensus.mace import Mace
from llm_al.consensus.majority import Majority
from llm_al.consensus.weighted import Weighted
from llm_al.errors import ConfigError, LabelError, ShapeError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")
METHODS = [method(LABELS) for method in (Majority, Weighted, OneCoin, DawidSkene, Glad, Mace)]
STUDENT_VOTES = [method for method in METHODS if not isinstance(method, Majority | Weighted)]


def _name(method):
    return type(method).__name__


every_method = pytest.mark.parametrize("method", METHODS, ids=_name)
every_listener = pytest.mark.parametrize("method", STUDENT_VOTES, ids=_name)
everyone_alike = pytest.mark.parametrize(
    "method",
    [replace(method, people_stand=False) for method in METHODS if not isinstance(method, Majority)],
    ids=_name,
)


def llm(example, label, model="m"):
    return Annotation(str(example), label, model, AnnotatorKind.LLM, model=model)


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


@every_method
def test_gold_stands_against_any_number_of_votes(method):
    votes = [person("e", "b", name) for name in ("ann", "bob", "cid")] + [llm("e", "b")]
    ((consensus,), _) = method.aggregate(votes, known=Known({"e": "c", "elsewhere": "a"}))
    assert (consensus.label, consensus.posterior, consensus.is_human) == ("c", (0.0, 0.0, 1.0), True)
    assert consensus.votes == (0.0, 1.0, 0.0)


@every_method
def test_gold_may_say_that_no_label_fits(method):
    ((consensus,), _) = method.aggregate([person("e", "b")], known=Known({"e": NONE_OF_THESE}))
    assert (consensus.label, consensus.posterior) == (NONE_OF_THESE, (0.0, 0.0, 0.0))


@every_method
def test_gold_settles_an_example_that_was_only_skipped(method):
    ((consensus,), quality) = method.aggregate([person("e", SKIP)], known=Known({"e": "a"}))
    assert (consensus.label, consensus.posterior, consensus.sources, consensus.votes) == ("a", (1.0, 0.0, 0.0), (), ())
    assert quality == []


@every_method
def test_nobody_is_asked_and_nothing_comes_back(method):
    assert method.aggregate([], known=Known({"e": "a"})) == ([], [])


@every_method
def test_annotators_are_compared_with_gold_before_they_are_compared_with_each_other(method):
    votes = [person(i, "a", name) for i in range(4) for name in ("ann", "bob")] + [llm(i, "b") for i in range(4)]
    _, quality = method.aggregate(votes, known=Known({"0": "b", "1": "b", "2": "b"}))
    accuracy = {q.name: (q.accuracy, q.n_reference) for q in quality}
    assert accuracy == {"ann": (0.25, 4), "bob": (0.25, 4), "m": (0.75, 4)}


@every_method
def test_votes_are_the_shares_of_people_who_gave_a_label_of_the_scheme(method):
    votes = [person("e", "a", "ann"), person("e", "a", "bob"), person("e", "c", "cid"), llm("e", "b")]
    votes += [person("e", NONE_OF_THESE, "dan"), person("e", SKIP, "eve"), llm("f", "a")]
    ((e, f), _) = method.aggregate(votes)
    assert e.votes == pytest.approx((2 / 3, 0.0, 1 / 3))
    assert f.votes == ()


@every_method
def test_a_gold_label_outside_the_list_is_refused(method):
    with pytest.raises(LabelError, match=r"gold label of 'e' is unknown label 'dog'; choose from: a, b, c, none_of"):
        method.aggregate([person("e", "a")], known=Known({"e": "dog"}))


@every_method
def test_knowing_nothing_changes_nothing_and_inputs_stay_as_they_are(method):
    votes = [person(i, LABELS[i % 3], name) for i in range(9) for name in ("ann", "bob")] + [llm(1, "a")]
    kept, known = list(votes), Known({"0": "b"})
    assert method.aggregate(votes, known=Known()) == method.aggregate(votes)
    method.aggregate(votes, known=known)
    assert votes == kept
    assert known == Known({"0": "b"})


@every_method
def test_a_persons_sole_word_stands_against_many_machines(method):
    people = [person(i, LABELS[i % 2]) for i in range(60)]
    machines = [llm(i, LABELS[i % 2], m) for i in range(59) for m in "xyz"] + [llm(59, "a", m) for m in "xyz"]
    consensus, _ = method.aggregate([*people, *machines], known=Known(proba={"59": (0.98, 0.01, 0.01)}))
    assert consensus[59].label == "b"
    assert consensus[59].posterior[1] == max(consensus[59].posterior)
    assert consensus[59].is_human


@everyone_alike
def test_a_poor_annotators_word_falls_when_all_are_treated_alike(method):
    rng = np.random.default_rng(0)
    truth = rng.choice(LABELS, 200)
    votes = [person(i, rng.choice(LABELS), "guesses") for i in range(200)]
    votes += [llm(i, truth[i] if rng.random() < 0.95 else "a", m) for i in range(200) for m in "xyz"]
    options = {"correlation": 0.0} if hasattr(method, "correlation") else {}
    options |= {"human_strength": 2.0} if hasattr(method, "human_strength") else {}
    # What one more person would say is anybody's guess here.
    options |= {"target": "truth", "kind_strength": 20.0} if hasattr(method, "target") else {}
    consensus, _ = replace(method, **options).aggregate(votes)
    assert np.mean([c.label == truth[i] for i, c in enumerate(consensus)]) > 0.95


@every_method
def test_one_annotator_one_label_and_unequal_counts_are_fine(method):
    alone, quality = method.aggregate([person(i, LABELS[i % 3]) for i in range(9)])
    assert [c.label for c in alone] == [LABELS[i % 3] for i in range(9)]
    assert [(q.accuracy, q.n_reference) for q in quality] == [(None, 0)]
    same, _ = method.aggregate([person(i, "a", name) for i in range(5) for name in ("ann", "bob")])
    assert {c.label for c in same} == {"a"}
    uneven, _ = method.aggregate([person(i, "b", f"p{j}") for i in range(5) for j in range(i + 1)])
    assert {c.label for c in uneven} == {"b"}
    assert all(np.isfinite(c.posterior).all() for c in (*alone, *same, *uneven))


@every_method
def test_skips_and_abstentions_are_no_votes(method):
    consensus, quality = method.aggregate([person("e", SKIP), llm("e", None), person("f", "a"), llm("f", "a")])
    assert [c.label for c in consensus] == [None, "a"]
    assert consensus[0].posterior == (0.0, 0.0, 0.0)
    assert [q.n for q in quality] == [1, 1]


@every_method
def test_none_of_these_can_win(method):
    votes = [person("e", NONE_OF_THESE, name) for name in ("ann", "bob", "cid")] + [person("f", "a", "ann")]
    (e, f), _ = method.aggregate(votes)
    assert (e.label, e.posterior, e.votes, f.label) == (NONE_OF_THESE, (0.0, 0.0, 0.0), (), "a")


@every_method
def test_a_label_that_nobody_gave_keeps_its_place(method):
    votes = [person(i, LABELS[i % 2], name) for i in range(20) for name in ("ann", "bob")]
    consensus, _ = method.aggregate(votes)
    for c in consensus:
        assert c.posterior[2] >= 0.0
        assert sum(c.posterior) == pytest.approx(1.0)


@every_method
def test_the_same_votes_give_the_same_answer_twice(method):
    rng = np.random.default_rng(3)
    votes = [person(i, rng.choice(LABELS), name) for i in range(30) for name in ("ann", "bob", "cid")]
    assert method.aggregate(votes) == method.aggregate(votes)


@every_method
def test_a_planted_truth_is_found_and_annotators_are_ranked(method):
    rng = np.random.default_rng(4)
    truth = rng.choice(LABELS, 300)
    skill = {"ann": 0.95, "bob": 0.9, "cid": 0.85, "dan": 0.5, "eve": 0.4}
    votes = [
        person(i, truth[i] if rng.random() < p else rng.choice([x for x in LABELS if x != truth[i]]), name)
        for i in range(300)
        for name, p in skill.items()
    ]
    consensus, quality = method.aggregate(votes)
    right = np.mean([c.label == t for c, t in zip(consensus, truth, strict=True)])
    assert right > (0.9 if isinstance(method, Majority) else 0.94)
    accuracy = {q.name: q.accuracy for q in quality}
    assert min(accuracy[name] for name in ("ann", "bob", "cid")) > max(accuracy["dan"], accuracy["eve"]) + 0.15
    assert all(q.low < q.accuracy < q.high and q.n_reference > 200 for q in quality)


@every_listener
def test_a_student_settles_what_two_people_leave_open(method):
    rng = np.random.default_rng(5)
    truth = rng.choice(LABELS, 120)
    votes = [person(i, truth[i], name) for i in range(100) for name in ("ann", "bob")]
    votes += [person(i, label, name) for i in range(100, 120) for label, name in (("a", "ann"), ("c", "bob"))]
    proba = {str(i): np.where(np.array(LABELS) == truth[i], 0.8, 0.1) for i in range(100)}
    proba |= {str(i): (0.1, 0.1, 0.8) if i % 2 else (0.8, 0.1, 0.1) for i in range(100, 120)}
    consensus, _ = method.aggregate(votes, known=Known(proba=proba))
    assert [c.label for c in consensus[100:]] == ["a", "c"] * 10


@every_listener
def test_probabilities_that_are_not_one_a_label_are_refused(method):
    with pytest.raises(ShapeError, match="probabilities of 'e' have 2 values; give one for each of 3 labels"):
        method.aggregate([person("e", "a")], known=Known(proba={"e": (0.5, 0.5)}))


def test_methods_without_an_ear_for_the_student_pass_it_over():
    votes = [person("e", "a", "ann"), person("e", "b", "bob")]
    for method in (Majority(LABELS), Weighted(LABELS)):
        assert method.aggregate(votes, known=Known(proba={"e": (0.0, 1.0, 0.0)})) == method.aggregate(votes)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (Weighted, {"accuracy": 1.0}, r"accuracy is 1\.0; allowed is between 0 and 1"),
        (Weighted, {"strength": 0}, "strength is 0; allowed is more than 0"),
        (DawidSkene, {"target": "gold"}, "target is 'gold'; choose from: answers, truth"),
        (DawidSkene, {"vote_weight": 0}, "vote_weight is 0; allowed is more than 0, to 1"),
        (DawidSkene, {"kind_strength": -1}, "kind_strength is -1; allowed is more than 0"),
        (Glad, {"ability_spread": 0}, "ability_spread is 0; allowed is more than 0"),
        (Glad, {"correlation": 2}, "correlation is 2; allowed is 0 to 1"),
        (Mace, {"n_starts": 0}, "n_starts is 0; allowed is more than 0"),
        (Mace, {"habit": 0}, "habit is 0; allowed is more than 0"),
    ],
)
def test_settings_out_of_range_are_refused(cls, options, message):
    with pytest.raises(ConfigError, match=message):
        cls(LABELS, **options)


def test_one_coin_learns_from_gold_alone_how_good_a_single_voter_is():
    votes = [llm(i, "a") for i in range(40)] + [llm("new", "a")]
    _, (before,) = OneCoin(LABELS).aggregate(votes)
    consensus, _ = OneCoin(LABELS).aggregate(votes, known=Known({str(i): "b" for i in range(40)}))
    assert before.accuracy is None
    # Accuracy (.75 * 8 + 0) / (8 + 40) = .125 is less than one of four outcomes by chance.
    assert consensus[-1].label != "a"
