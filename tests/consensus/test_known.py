"""What every way of counting votes owes to gold and to the people who voted."""

import pytest

from llm_al.consensus.dawid_skene import OneCoin
from llm_al.consensus.majority import Majority
from llm_al.errors import LabelError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")
METHODS = [Majority(LABELS), OneCoin(LABELS)]

every_method = pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)


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


def test_one_coin_learns_from_gold_alone_how_good_a_single_voter_is():
    votes = [llm(i, "a") for i in range(40)] + [llm("new", "a")]
    _, (before,) = OneCoin(LABELS).aggregate(votes)
    consensus, _ = OneCoin(LABELS).aggregate(votes, known=Known({str(i): "b" for i in range(40)}))
    assert before.accuracy is None
    # Accuracy (.75 * 8 + 0) / (8 + 40) = .125 is less than one of four outcomes by chance.
    assert consensus[-1].label != "a"
