"""Dawid-Skene with full matrices, against loops that follow the paper line by line."""

import numpy as np
import pytest

from llm_al.consensus.dawid_skene import DawidSkene, OneCoin
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Known

LABELS = ("a", "b")
OUTCOMES = 3


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


def by_loops(votes, *, steps, accuracy=0.9, kind_strength=1000.0, strength=10.0, gold=None, prior=None):
    """Return posteriors {example: (P(a), P(b))}; votes are (example, label index, person)."""
    gold, prior = gold or {}, prior or {}
    start = [
        [accuracy if k == m else (1 - accuracy) / (OUTCOMES - 1) for m in range(OUTCOMES)] for k in range(OUTCOMES)
    ]
    people, examples = sorted({w for _, _, w in votes}), sorted({e for e, _, _ in votes})
    shared = {e for e in examples if e in gold or e in prior or sum(x == e for x, _, _ in votes) > 1}

    def expect(matrix, classes):
        result = {}
        for e in examples:
            p = [np.prod([matrix[w][k][y] for x, y, w in votes if x == e]) for k in range(2)]
            p = [v * (prior[e][k] if e in prior else classes[k]) for k, v in enumerate(p)]
            result[e] = [v / sum(p) for v in p] if e not in gold else [float(k == gold[e]) for k in range(2)]
        return result

    t = expect(dict.fromkeys(people, start), [0.5, 0.5])
    for _ in range(steps):
        classes = [1 + sum(t[e][k] for e in examples) for k in range(2)]
        count = {
            w: [
                [sum(t[e][k] for e, y, v in votes if (v, y) == (w, m) and e in shared) for m in range(3)]
                for k in range(2)
            ]
            for w in people
        }
        pooled = []
        for k in range(2):
            row = [kind_strength * start[k][m] + sum(count[w][k][m] for w in people) for m in range(3)]
            pooled.append([v / sum(row) for v in row])
        matrix = {
            w: [
                [(strength * pooled[k][m] + count[w][k][m]) / (strength + sum(count[w][k])) for m in range(3)]
                for k in range(2)
            ]
            for w in people
        }
        t = expect(matrix, [c / sum(classes) for c in classes])
    return t


VOTES = [
    *[(0, 0, "ann"), (0, 0, "bob"), (0, 1, "cid"), (1, 1, "ann"), (1, 0, "bob"), (2, 1, "bob"), (2, 1, "cid")],
    *[(3, 0, "ann"), (4, 0, "ann"), (4, 1, "cid"), (5, 1, "ann"), (5, 1, "bob"), (5, 1, "cid")],
]
ANNOTATIONS = [person(e, LABELS[y], w) for e, y, w in VOTES]


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("strengths", [{}, {"kind_strength": 0.5, "strength": 0.5}, {"kind_strength": 3.0}])
def test_posteriors_are_those_of_the_paper_with_pseudo_counts(steps, strengths):
    consensus, _ = DawidSkene(LABELS, target="truth", max_steps=steps, **strengths).aggregate(ANNOTATIONS)
    loops = by_loops(VOTES, steps=steps, **strengths)
    for c in consensus:
        np.testing.assert_allclose(c.posterior, loops[int(c.example_id)], atol=1e-9)


def test_gold_and_a_student_enter_as_in_the_loops():
    gold, proba = {"0": "b", "3": "b"}, {"1": (0.7, 0.3), "4": (0.2, 0.8)}
    method = DawidSkene(LABELS, people_stand=False, target="truth", vote_weight=1.0, max_steps=3)
    consensus, _ = method.aggregate(ANNOTATIONS, known=Known(gold, proba))
    # The temperature that the votes ask for: one of a : b and one of a : b, so the loops take what it made of them.
    scaled = {int(e): np.array(p) ** (1 / _temperature(gold, proba)) for e, p in proba.items()}
    prior = {e: p / p.sum() for e, p in scaled.items()}
    loops = by_loops(VOTES, steps=3, gold={0: 1, 3: 1}, prior=prior)
    for c in consensus:
        np.testing.assert_allclose(c.posterior, loops[int(c.example_id)], atol=1e-9)


def _temperature(gold, proba):
    from llm_al.consensus._student import read_student, temperature_of
    from llm_al.consensus._votes import tabulate

    known = Known(gold, proba)
    votes = tabulate(ANNOTATIONS, LABELS, known=known)
    return temperature_of(votes, *read_student(votes, known))


def _biased_crowd(n=600, seed=0):
    """Return truths and votes of people who call half of the rare "b" texts "a"."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < 0.3
    votes = []
    for i, is_b in enumerate(truth):
        for name in ("ann", "bob", "cid", "dan", "eve"):
            says_b = rng.random() < (0.55 if is_b else 0.03)
            votes.append(person(i, LABELS[int(says_b)], name))
    return truth, votes


def _right(consensus, truth):
    return np.mean([(c.label == "b") == truth[int(c.example_id)] for c in consensus])


def test_matrices_find_a_habit_that_one_accuracy_cannot_tell():
    truth, votes = _biased_crowd()
    full, _ = DawidSkene(LABELS, target="truth", kind_strength=20.0).aggregate(votes)
    coin, _ = OneCoin(LABELS, human_accuracy=0.8, human_strength=10.0).aggregate(votes)
    assert _right(full, truth) > _right(coin, truth) + 0.05


def test_what_one_more_person_would_say_is_foretold_better_than_by_the_truth():
    _, votes = _biased_crowd(seed=1)
    shown, hidden = [v for i, v in enumerate(votes) if i % 3], [v for i, v in enumerate(votes) if not i % 3]

    def loss(target):
        consensus, _ = DawidSkene(LABELS, target=target, kind_strength=20.0).aggregate(shown)
        proba = {c.example_id: dict(zip(LABELS, c.posterior, strict=True)) for c in consensus}
        return -np.mean([np.log(proba[v.example_id][v.label]) for v in hidden])

    assert loss("answers") < loss("truth") - 0.05


def test_answers_keep_the_truths_label_where_errors_are_even():
    truth, answers = (DawidSkene(LABELS, target=t).aggregate(ANNOTATIONS)[0] for t in ("truth", "answers"))
    assert [c.label for c in truth] == [c.label for c in answers]
    assert max(answers[0].posterior) < max(truth[0].posterior)


def test_where_only_machines_answered_the_posterior_is_about_the_truth():
    machines = [Annotation(str(e), LABELS[y], w, AnnotatorKind.LLM, model=w) for e, y, w in VOTES]
    mixed = [*machines, person("0", "a", "dan")]
    truth, answers = (DawidSkene(LABELS, target=t).aggregate(mixed)[0] for t in ("truth", "answers"))
    assert truth[1:] == answers[1:]
    assert truth[0].posterior != answers[0].posterior


def test_a_vote_counts_less_beside_a_student():
    votes = [person(i, "a") for i in range(20)]
    proba = {str(i): (0.15, 0.85) for i in range(20)}

    def of(weight):
        method = DawidSkene(LABELS, people_stand=False, target="truth", vote_weight=weight, max_steps=0)
        return method.aggregate(votes, known=Known(proba=proba))[0][0].posterior[0]

    assert of(0.2) < of(0.6) < of(1.0)


def test_a_vote_counts_less_beside_a_student_who_foretells_votes_well():
    labels = [LABELS[i % 2] for i in range(100)]
    votes = [person(i, label) for i, label in enumerate(labels)] + [person("new", "a")]
    skilled = {str(i): (0.9, 0.1) if label == "a" else (0.1, 0.9) for i, label in enumerate(labels)}
    clueless = {str(i): (0.55, 0.45) if i % 4 < 2 else (0.45, 0.55) for i in range(100)}

    def of(proba):
        method = DawidSkene(LABELS, people_stand=False, target="truth", max_steps=0)
        consensus, _ = method.aggregate(votes, known=Known(proba={**proba, "new": (0.4, 0.6)}))
        return consensus[-1].posterior[0]

    assert of(skilled) < 0.5 < of(clueless)


def test_a_rare_label_does_not_vanish():
    votes = [person(i, "a", name) for i in range(400) for name in ("ann", "bob")]
    votes += [person("rare", "b", name) for name in ("ann", "bob")]
    consensus, _ = DawidSkene(LABELS).aggregate(votes)
    assert consensus[-1].label == "b"


def test_none_of_these_is_out_of_the_question_until_somebody_says_it():
    votes = [person(i, LABELS[i % 2], name) for i in range(20) for name in ("ann", "bob")]
    votes += [person("x", label, name) for label, name in (("a", "ann"), ("b", "bob"))]
    closed, _ = DawidSkene(LABELS, target="truth").aggregate(votes)
    assert closed[-1].label in LABELS
    some = [person(f"n{i}", NONE_OF_THESE, name) for i in range(20) for name in ("ann", "bob")]
    opened, _ = DawidSkene(LABELS).aggregate([*votes, *some])
    assert [c.label for c in opened[-20:]] == [NONE_OF_THESE] * 20


def test_thousands_of_votes_on_one_text_do_not_underflow():
    votes = [person(e, "a" if i % 3 else "b", f"p{i}") for e in "ef" for i in range(1500)]
    consensus, _ = DawidSkene(LABELS).aggregate(votes)
    assert {c.label for c in consensus} == {"a"}
    assert np.isfinite([c.posterior for c in consensus]).all()
