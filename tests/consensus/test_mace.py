import numpy as np
import pytest
from scipy.special import digamma

from llm_al.consensus._evidence import Trust, gather
from llm_al.consensus._votes import tabulate
from llm_al.consensus.mace import Mace, _expect
from llm_al.types import Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


def test_one_expectation_step_by_hand():
    votes = tabulate([person("e", "a", "ann"), person("e", "b", "bob")], LABELS)
    evidence = gather(votes, None, Trust(True, 0.5, 20.0))
    spam, habit = np.array([[3.0, 1.0], [1.0, 1.0]]), np.ones((2, 4))
    posterior, knew, _ = _expect(evidence, spam, habit)
    t = np.exp([digamma(3) - digamma(4), digamma(1) - digamma(2)])
    s = np.exp([digamma(1) - digamma(4), digamma(1) - digamma(2)]) * np.exp(digamma(1) - digamma(4))
    odds = np.array([(t[0] + s[0]) * s[1], s[0] * (t[1] + s[1]), s[0] * s[1], s[0] * s[1]])
    np.testing.assert_allclose(posterior[0], odds / odds.sum())
    np.testing.assert_allclose(knew, posterior[0, :2] * t / (t + s))


def _crowd(seed=0, n=300):
    """Return truths and votes of three readers and two spammers: one always says "c", one anything."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(LABELS, n)
    readers = [
        person(i, truth[i] if rng.random() < 0.9 else rng.choice(LABELS), w)
        for i in range(n)
        for w in ("r1", "r2", "r3")
    ]
    spammers = [person(i, label, w) for i in range(n) for w, label in (("always", "c"), ("any", rng.choice(LABELS)))]
    return truth, [*readers, *spammers]


def test_spammers_are_found_and_not_listened_to():
    truth, votes = _crowd()
    consensus, quality = Mace(LABELS).aggregate(votes)
    assert np.mean([c.label == t for c, t in zip(consensus, truth, strict=True)]) > 0.95
    accuracy = {q.name: q.accuracy for q in quality}
    assert min(accuracy[r] for r in ("r1", "r2", "r3")) > max(accuracy["always"], accuracy["any"]) + 0.3
    loud, quiet = ([v for v in votes if v.source != w or int(v.example_id) % 2] for w in ("", "always"))
    assert [c.label for c in Mace(LABELS).aggregate(quiet)[0]] == [c.label for c in Mace(LABELS).aggregate(loud)[0]]


def test_the_share_of_spam_is_estimated():
    _, votes = _crowd(1)
    machines = [Annotation(v.example_id, v.label, v.source, AnnotatorKind.LLM, model=v.source) for v in votes]
    _, quality = Mace(LABELS, correlation=0.0).aggregate(machines)
    accuracy = {q.name: q.accuracy for q in quality}
    # A reader is right in 90 % and in a third of the rest.
    assert [accuracy[r] for r in ("r1", "r2", "r3")] == pytest.approx([0.93] * 3, abs=0.06)
    assert accuracy["any"] < 0.55


def test_the_seed_fixes_the_starts():
    _, votes = _crowd(2, 40)
    assert Mace(LABELS, seed=3).aggregate(votes) == Mace(LABELS, seed=3).aggregate(votes)


def test_gold_tells_a_lone_spammer_from_a_lone_reader():
    truth = [LABELS[i % 3] for i in range(60)]
    gold = Known({str(i): t for i, t in enumerate(truth)})
    reader = [person(i, t) for i, t in enumerate(truth)] + [person("new", "a")]
    spammer = [person(i, "a") for i in range(60)] + [person("new", "a")]
    (sure, unsure) = (Mace(LABELS).aggregate(v, known=gold)[0][-1].posterior[0] for v in (reader, spammer))
    assert sure > 0.9
    assert unsure < 0.6
