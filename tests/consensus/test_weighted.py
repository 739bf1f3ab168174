import numpy as np
import pytest

from llm_al.consensus.weighted import Weighted
from llm_al.types import Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


def llm(example, label, model="m", prompt="p"):
    return Annotation(str(example), label, f"{model}/{prompt}", AnnotatorKind.LLM, model=model)


def test_weights_are_log_odds_of_measured_accuracy_by_hand():
    # On eight gold texts ann is right 8 times, bob 2 times: (8 + 8) / 18 and (8 + 2) / 18.
    votes = [person(i, "a", "ann") for i in range(8)] + [person(i, "a" if i < 2 else "b", "bob") for i in range(8)]
    votes += [person("new", "a", "ann"), person("new", "b", "bob")]
    consensus, _ = Weighted(LABELS).aggregate(votes, known=Known({str(i): "a" for i in range(8)}))
    # Texts without gold are compared with the other's word: both wrong once on the new one.
    ann, bob = 16 / 19, 10 / 19
    odds = np.array([ann * 3 / (1 - ann), bob * 3 / (1 - bob), 1.0])
    np.testing.assert_allclose(consensus[-1].posterior, odds / odds.sum(), rtol=1e-9)


def test_a_voter_below_chance_counts_nothing():
    votes = [person(i, "a", "ann") for i in range(40)] + [person(i, "b", "bob") for i in range(40)]
    votes += [person("new", "b", "bob")]
    consensus, _ = Weighted(LABELS).aggregate(votes, known=Known({str(i): "a" for i in range(40)}))
    np.testing.assert_allclose(consensus[-1].posterior, [1 / 3, 1 / 3, 1 / 3])
    # The word of the only person who answered is the label even so.
    assert consensus[-1].label == "a" or consensus[-1].posterior[1] == max(consensus[-1].posterior)


def test_a_tie_of_the_others_teaches_nothing():
    votes = [person("e", "a", "ann"), person("e", "b", "bob"), person("e", "c", "cid")]
    _, quality = Weighted(LABELS).aggregate(votes)
    assert [(q.accuracy, q.n_reference) for q in quality] == [(None, 0)] * 3


def test_runs_of_one_model_share_one_vote():
    votes = [llm("e", "a", "x", f"p{i}") for i in range(4)] + [llm("e", "b", "y"), llm("e", "b", "z")]
    consensus, _ = Weighted(LABELS).aggregate(votes)
    assert consensus[0].label == "b"


def test_machines_without_a_reference_get_the_accuracy_they_were_weighted_by():
    votes = [llm(i, "a", m) for i in range(10) for m in "xyz"]
    _, quality = Weighted(LABELS).aggregate(votes)
    assert [q.accuracy for q in quality] == pytest.approx([18 / 20] * 3)
    assert {(q.low, q.high, q.n_reference) for q in quality} == {(None, None, 0)}
