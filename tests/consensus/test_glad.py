import numpy as np
import pytest
from scipy.optimize import check_grad

from llm_al.consensus._evidence import Trust, gather
from llm_al.consensus._votes import tabulate
from llm_al.consensus.glad import Glad, _expect
from llm_al.types import Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


def _evidence(votes, known=None):
    return gather(tabulate(votes, LABELS, known=known), known, Trust(True, 0.5, 20.0))


def test_posterior_of_two_votes_by_hand():
    evidence = _evidence([person("e", "a", "ann"), person("e", "b", "bob")])
    # Abilities 2 and 1 on a text with b = 2: right with probability 1 / (1 + exp(-4)) and 1 / (1 + exp(-2)).
    posterior, _ = _expect(evidence, np.array([2.0, 1.0, np.log(2.0)]), np.zeros((0, 4)))
    ann, bob = 1 / (1 + np.exp(-4)), 1 / (1 + np.exp(-2))
    wrong = [(1 - ann) / 3, (1 - bob) / 3]
    odds = np.array([ann * wrong[1], wrong[0] * bob, wrong[0] * wrong[1], wrong[0] * wrong[1]])
    np.testing.assert_allclose(posterior[0], odds / odds.sum())


def test_the_slope_is_that_of_the_expected_log_posterior():
    rng = np.random.default_rng(0)
    evidence = _evidence([person(i, rng.choice(LABELS), name) for i in range(8) for name in ("ann", "bob", "cid")])
    posterior = rng.dirichlet(np.ones(4), 8)
    loss = Glad(LABELS).loss(evidence, posterior)
    x = rng.normal(0, 1, 3 + 8)
    assert check_grad(lambda z: loss(z)[0], lambda z: loss(z)[1], x) < 1e-5


def _crowd(seed=0, n=400):
    """Return truths, which texts are hard, and votes of able and less able people drawn from the model itself."""
    rng = np.random.default_rng(seed)
    ability = {"ann": 3.0, "bob": 2.0, "cid": 1.0, "dan": 0.3, "eve": 0.3}
    truth, b = rng.choice(LABELS, n), np.exp(rng.normal(0, 0.7, n))
    votes = [
        person(
            i,
            truth[i] if rng.random() < 1 / (1 + np.exp(-a * b[i])) else rng.choice(sorted(set(LABELS) - {truth[i]})),
            w,
        )
        for i in range(n)
        for w, a in ability.items()
    ]
    return truth, b, votes


def test_abilities_and_difficulties_are_recovered():
    _, b, votes = _crowd()
    evidence = _evidence(votes)
    posterior, ability, log_b = Glad(LABELS).fit(evidence)
    assert list(np.argsort(-ability)[:3]) == [0, 1, 2]
    assert np.corrcoef(log_b, np.log(b))[0, 1] > 0.3
    assert posterior.shape == (400, 4)


def test_glad_beats_counting_heads_when_skill_differs():
    truth, _, votes = _crowd(1)
    consensus, _ = Glad(LABELS).aggregate(votes)
    heads = [max(LABELS, key=[v.label for v in votes[5 * i : 5 * i + 5]].count) for i in range(len(truth))]
    right = np.mean([c.label == t for c, t in zip(consensus, truth, strict=True)])
    assert right > np.mean(np.array(heads) == truth) + 0.03


def test_gold_teaches_abilities_of_a_single_voter():
    votes = [person(i, "a") for i in range(30)] + [person("new", "a")]
    _, (quality,) = Glad(LABELS).aggregate(votes, known=Known({str(i): "a" for i in range(30)}))
    assert (quality.accuracy, quality.n_reference) == (1.0, 30)
    ability = Glad(LABELS).fit(_evidence(votes, Known({str(i): "b" for i in range(30)})))[1]
    assert ability[0] < 0


def test_nothing_to_vote_on_is_fine():
    assert Glad(LABELS).aggregate([]) == ([], [])
    consensus, _ = Glad(LABELS).aggregate([person("e", "skip")])
    assert consensus[0].label is None
    assert consensus[0].posterior == pytest.approx((0.0, 0.0, 0.0))
