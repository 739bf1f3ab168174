import numpy as np
import pytest

from llm_al.consensus.dawid_skene import OneCoin
from llm_al.consensus.majority import Majority
from llm_al.errors import ConfigError, LabelError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind

LABELS = ("a", "b", "c")


def llm(example, label, model="m", prompt="p1"):
    return Annotation(str(example), label, f"{model}/{prompt}", AnnotatorKind.LLM, model=model)


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.SIMULATED)


def aggregate(*annotations, **settings):
    return OneCoin(LABELS, **settings).aggregate(annotations)


def test_one_model_alone_keeps_the_prior_accuracy_and_does_not_confirm_itself():
    annotations = [llm(i, "a") for i in range(500)]
    consensus, (quality,) = aggregate(*annotations)
    # Four outcomes: .75 against .25 / 3 each; without none of these .75 / (.75 + 2 * .25 / 3).
    np.testing.assert_allclose(consensus[0].posterior, [9 / 11, 1 / 11, 1 / 11])
    assert (quality.accuracy, quality.low, quality.high, quality.n) == (None, None, None, 500)


def test_two_voters_multiply_by_hand():
    consensus, _ = aggregate(llm("e", "a", "x"), llm("e", "b", "y"), max_steps=0, correlation=0.0)
    # Odds a : b : c = 9 : 9 : 1 with accuracy .75 and four outcomes.
    np.testing.assert_allclose(consensus[0].posterior, [9 / 19, 9 / 19, 1 / 19])


def test_one_em_step_by_hand():
    # Voters x and y agree once: T(a) = 81 / (81 + 3), accuracy = (.75 * 8 + T) / 9.
    t = 81 / 84
    a = (6 + t) / 9
    g = (a / ((1 - a) / 3)) ** 2
    consensus, quality = aggregate(llm("e", "a", "x"), llm("e", "a", "y"), max_steps=1, correlation=0.0)
    np.testing.assert_allclose(consensus[0].posterior[0], g / (g + 2))
    assert quality[0].accuracy == pytest.approx(a)


def test_runs_of_one_model_are_as_sure_as_one_run():
    many, _ = aggregate(*[llm("e", "a", prompt=f"p{i}") for i in range(20)])
    one, _ = aggregate(llm("e", "a"))
    np.testing.assert_allclose(many[0].posterior, one[0].posterior)


def test_a_split_model_votes_by_shares():
    consensus, _ = aggregate(llm("e", "a", prompt="p1"), llm("e", "a", prompt="p2"), llm("e", "b", prompt="p3"))
    odds = np.array([9 ** (2 / 3), 9 ** (1 / 3), 1.0])
    np.testing.assert_allclose(consensus[0].posterior, odds / odds.sum())


def test_a_person_is_nearly_gold_and_never_overruled_by_models():
    consensus, _ = aggregate(*[person(i, "a") for i in range(50)], *[llm(i, "b", m) for i in range(50) for m in "xyz"])
    assert {c.label for c in consensus} == {"a"}
    assert min(c.posterior[0] for c in consensus) > 0.97
    assert all(c.is_human for c in consensus)


def test_models_are_learned_from_people():
    rng = np.random.default_rng(0)
    truth = rng.choice(LABELS, 300)
    annotations = [person(i, truth[i]) for i in range(100)]
    for i, true in enumerate(truth):
        annotations += [llm(i, true if rng.random() < 0.95 else "a", "good")]
        annotations += [llm(i, rng.choice(LABELS), "bad")]
    consensus, quality = OneCoin(LABELS).aggregate(annotations)
    by_name = {q.name: q for q in quality}
    assert by_name["good/p1"].accuracy > 0.9
    assert by_name["good/p1"].n_reference == 100
    assert by_name["good/p1"].low < by_name["good/p1"].accuracy < by_name["good/p1"].high
    assert by_name["bad/p1"].accuracy < 0.5
    assert np.mean([c.label == truth[int(c.example_id)] for c in consensus]) > 0.95


def test_reliable_voters_beat_a_majority_of_weak_ones():
    rng = np.random.default_rng(1)
    n = 400
    truth = rng.choice(LABELS, n)
    accuracy = {"m1": 0.95, "m2": 0.9, "m3": 0.4, "m4": 0.4, "m5": 0.4}
    annotations = [
        llm(i, truth[i] if rng.random() < p else rng.choice([x for x in LABELS if x != truth[i]]), model)
        for i in range(n)
        for model, p in accuracy.items()
    ]

    def score(aggregator):
        consensus, _ = aggregator.aggregate(annotations)
        return np.mean([c.label == truth[int(c.example_id)] for c in consensus])

    independent = OneCoin(LABELS, correlation=0.0)
    assert score(independent) > score(Majority(LABELS)) + 0.05
    assert score(OneCoin(LABELS)) > score(Majority(LABELS))
    _, quality = independent.aggregate(annotations)
    for q in quality:
        assert q.accuracy == pytest.approx(accuracy[q.name.split("/")[0]], abs=0.12)
        assert (q.low, q.high, q.n_reference) == (None, None, 0)


def test_none_of_these_is_an_outcome_of_its_own():
    consensus, _ = aggregate(llm("e", NONE_OF_THESE, "x"), llm("e", NONE_OF_THESE, "y"), llm("e", "a", "z"))
    assert (consensus[0].label, consensus[0].posterior) == (NONE_OF_THESE, (0.0, 0.0, 0.0))


def test_skips_abstentions_and_classes_without_votes_are_fine():
    consensus, quality = aggregate(person("e", SKIP), llm("e", None), llm("f", "a", "x"), llm("f", "a", "y"))
    assert [c.label for c in consensus] == [None, "a"]
    assert consensus[0].posterior == (0.0, 0.0, 0.0)
    assert 0 < consensus[1].posterior[2] < 0.05
    assert sum(consensus[1].posterior) == pytest.approx(1.0)
    assert len(quality) == 2
    assert aggregate() == ([], [])
    assert aggregate(person("e", SKIP))[0][0].label is None


def test_thousands_of_votes_do_not_underflow():
    consensus, _ = aggregate(*[llm("e", "a" if i % 3 else "b", f"m{i}") for i in range(3000)])
    assert consensus[0].label == "a"
    assert np.isfinite(consensus[0].posterior).all()


def test_the_order_of_annotations_does_not_matter():
    rng = np.random.default_rng(2)
    annotations = [llm(i, rng.choice(LABELS), m) for i in range(30) for m in "xyz"] + [person(i, "a") for i in range(5)]
    first, _ = OneCoin(LABELS).aggregate(annotations)
    second, _ = OneCoin(LABELS).aggregate(annotations[::-1])
    again = {c.example_id: c for c in second}
    for c in first:
        np.testing.assert_allclose(again[c.example_id].posterior, c.posterior, atol=1e-4)


def test_wrong_settings_and_labels_are_refused():
    with pytest.raises(ConfigError, match=r"human_accuracy is 1\.0"):
        OneCoin(LABELS, human_accuracy=1.0)
    with pytest.raises(ConfigError, match=r"machine_strength is 0"):
        OneCoin(LABELS, machine_strength=0)
    with pytest.raises(ConfigError, match=r"correlation is 1\.5; allowed is 0 to 1"):
        OneCoin(LABELS, correlation=1.5)
    with pytest.raises(LabelError, match="unknown label 'dog'"):
        aggregate(llm("e", "dog"))
