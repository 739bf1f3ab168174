import numpy as np
import pytest

from llm_al.consensus.majority import Majority
from llm_al.errors import LabelError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind

LABELS = ("a", "b", "c")


def llm(example, label, model="m", prompt="p1"):
    return Annotation(example, label, f"{model}/{prompt}", AnnotatorKind.LLM, model=model)


def person(example, label, name="ann"):
    return Annotation(example, label, name, AnnotatorKind.HUMAN)


def aggregate(*annotations):
    return Majority(LABELS).aggregate(annotations)


def test_three_prompts_of_one_model_have_one_vote():
    votes = [llm("e", "a", "x", f"p{i}") for i in range(3)] + [llm("e", "b", "y"), llm("e", "b", "z")]
    ((consensus,), _) = aggregate(*votes)
    assert consensus.label == "b"
    np.testing.assert_allclose(consensus.posterior, [1 / 3, 2 / 3, 0])
    assert consensus.sources == ("x/p0", "x/p1", "x/p2", "y/p1", "z/p1")
    assert not consensus.is_human


def test_a_split_model_gives_shares():
    ((consensus,), _) = aggregate(llm("e", "a", prompt="p1"), llm("e", "b", prompt="p2"), llm("e", "b", prompt="p3"))
    assert consensus.label == "b"
    np.testing.assert_allclose(consensus.posterior, [1 / 3, 2 / 3, 0])


def test_ties_go_to_the_first_label_and_to_none_of_these_last():
    ((tie, with_none), _) = aggregate(
        llm("e", "b", "x"), llm("e", "a", "y"), llm("f", NONE_OF_THESE, "x"), llm("f", "c", "y")
    )
    assert (tie.label, with_none.label) == ("a", "c")


def test_a_person_is_not_outvoted_by_models():
    ((consensus,), _) = aggregate(person("e", "a"), llm("e", "b", "x"), llm("e", "b", "y"), llm("e", "b", "z"))
    assert consensus.label == "a"
    assert consensus.is_human
    assert consensus.posterior == (1.0, 0.0, 0.0)


def test_models_vote_where_people_disagree():
    ((consensus,), _) = aggregate(person("e", "a", "ann"), person("e", "b", "bob"), llm("e", "b"))
    assert consensus.label == "b"


def test_skips_and_abstentions_are_no_votes():
    ((nothing, something), quality) = aggregate(person("e", SKIP), llm("e", None), person("f", SKIP), llm("f", "c"))
    assert (nothing.label, nothing.posterior, nothing.sources, nothing.is_human) == (None, (0.0, 0.0, 0.0), (), False)
    assert (something.label, something.is_human) == ("c", False)
    assert [q.name for q in quality] == ["m/p1"]


def test_none_of_these_can_win_and_has_no_posterior():
    ((consensus,), _) = aggregate(person("e", NONE_OF_THESE), llm("e", "a"))
    assert (consensus.label, consensus.posterior) == (NONE_OF_THESE, (0.0, 0.0, 0.0))


def test_a_persons_later_answer_replaces_the_earlier():
    ((consensus,), (quality,)) = aggregate(person("e", "a"), person("e", "b"))
    assert consensus.posterior == (0.0, 1.0, 0.0)
    assert quality.n == 1


def test_order_is_that_of_first_appearance_and_nothing_gives_nothing():
    (consensus, _) = aggregate(llm("z", "a"), llm("y", "a"), llm("z", "a", "n"))
    assert [c.example_id for c in consensus] == ["z", "y"]
    assert aggregate() == ([], [])


def test_accuracy_is_measured_against_people_with_an_interval():
    truths = ["a"] * 10
    given = ["a"] * 8 + ["b"] * 2
    annotations = [person(str(i), t) for i, t in enumerate(truths)] + [llm(str(i), g) for i, g in enumerate(given)]
    _, (ann, model) = aggregate(*annotations)
    assert (ann.accuracy, ann.n, ann.n_reference) == (None, 10, 0)
    assert (model.accuracy, model.n_reference, model.kind) == (0.8, 10, AnnotatorKind.LLM)
    # Clopper-Pearson, 8 of 10, 95 %.
    assert (model.low, model.high) == (pytest.approx(0.4439, abs=1e-4), pytest.approx(0.9748, abs=1e-4))


def test_a_person_is_measured_against_the_others_only():
    _, quality = aggregate(person("e", "a", "ann"), person("e", "a", "bob"), person("e", "b", "cid"))
    # ann faces a tie of a and b; bob too; cid faces two a.
    assert [(q.name, q.accuracy, q.n_reference) for q in quality] == [
        ("ann", None, 0),
        ("bob", None, 0),
        ("cid", 0.0, 1),
    ]


def test_an_unknown_label_is_refused():
    with pytest.raises(LabelError, match=r"'e' by 'm/p1' has unknown label 'dog'; choose from: a, b, c, none_of_these"):
        aggregate(llm("e", "dog"))
