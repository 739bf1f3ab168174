import numpy as np
import pytest

from llm_al.consensus._correlation import error_correlation, independence
from llm_al.consensus._votes import tabulate
from llm_al.consensus.dawid_skene import OneCoin
from llm_al.types import Annotation, AnnotatorKind

LABELS = ("a", "b", "c", "d")
INDEPENDENT = OneCoin(LABELS, correlation=0.0, correlation_strength=1e12)


def llm(example, label, model):
    return Annotation(str(example), label, f"{model}/p", AnnotatorKind.LLM, model=model)


def person(example, label):
    return Annotation(str(example), label, "ann", AnnotatorKind.HUMAN)


def planted(seed, *, copied, n=1500, n_models=5, accuracy=0.6, n_human=200):
    """Models that, at a rate of `copied`, all repeat the answer of one hidden voter."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(4, size=n)

    def vote(i):
        return truth[i] if rng.random() < accuracy else (truth[i] + rng.integers(1, 4)) % 4

    annotations = []
    for i in range(n):
        hidden = vote(i)
        said = [hidden if rng.random() < copied else vote(i) for _ in range(n_models)]
        annotations += [llm(i, LABELS[label], f"m{m}") for m, label in enumerate(said)]
        if i < n_human:
            annotations.append(person(i, LABELS[truth[i]]))
    return annotations, truth, n_human


def quality(aggregator, annotations, truth, n_human):
    """Return mean certainty, log loss and calibration error (10 bins) on examples without an answer of a person."""
    posterior = np.array([c.posterior for c in aggregator.aggregate(annotations)[0]])[n_human:]
    known = truth[n_human:]
    sure, right = posterior.max(axis=1), posterior.argmax(axis=1) == known
    bins = np.minimum((sure * 10).astype(int), 9)
    error = sum(abs(sure[bins == b].sum() - right[bins == b].sum()) for b in range(10)) / len(sure)
    return sure.mean(), -np.log(posterior[np.arange(len(known)), known] + 1e-12).mean(), error


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_correlated_models_are_less_sure_and_better_calibrated_than_as_if_independent(seed):
    data = planted(seed, copied=0.7)
    sure, loss, error = quality(OneCoin(LABELS), *data)
    naive_sure, naive_loss, naive_error = quality(INDEPENDENT, *data)
    assert sure < naive_sure - 0.05
    assert loss < naive_loss
    assert error < 0.7 * naive_error


def test_independent_models_keep_their_weight_once_people_have_answered():
    data = planted(0, copied=0.0, n_human=600)
    sure, loss, error = quality(OneCoin(LABELS), *data)
    assert error < 0.06
    assert loss < quality(INDEPENDENT, *data)[1] + 0.05
    assert sure > 0.75


def test_the_correlation_is_that_of_being_right_shrunk_to_the_prior():
    # Right: x 1 1 0 0, y 1 0 0 0; r = (1/4 - 1/2 * 1/4) / sqrt(1/4 * 3/16) = 1 / sqrt(3).
    given = [llm(i, "a" if i < 2 else "b", "x") for i in range(4)] + [
        llm(i, "a" if i < 1 else "b", "y") for i in range(4)
    ]
    votes = tabulate(given + [person(i, "a") for i in range(4)], LABELS)
    expected = (4 / np.sqrt(3) + 6 * 0.5) / 10
    rho = error_correlation(votes, prior=0.5, strength=6)
    np.testing.assert_allclose(rho, [[1, expected], [expected, 1]])


def test_without_people_or_without_errors_the_prior_stands():
    votes = tabulate([llm(i, "a", m) for i in range(9) for m in "xy"], LABELS)
    assert error_correlation(votes, prior=0.3, strength=6)[0, 1] == pytest.approx(0.3)
    checked = tabulate([llm(i, "a", m) for i in range(9) for m in "xy"] + [person(i, "a") for i in range(9)], LABELS)
    assert error_correlation(checked, prior=0.3, strength=6)[0, 1] == pytest.approx(0.3)


def test_n_models_count_as_kish_says_and_copies_count_once():
    votes = tabulate([llm("e", "a", m) for m in "xyz"], LABELS)
    rho = np.full((3, 3), 0.5) + 0.5 * np.eye(3)
    assert independence(votes, rho).sum() == pytest.approx(3 / (1 + 2 * 0.5))
    copies = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(independence(votes, copies), [0.5, 0.5, 1.0])


def test_a_voter_alone_on_an_example_counts_fully():
    votes = tabulate([llm("e", "a", "x"), llm("f", "a", "y")], LABELS)
    np.testing.assert_allclose(independence(votes, np.ones((2, 2))), [1.0, 1.0])


def test_people_are_not_discounted():
    votes = tabulate([person("e", "a"), llm("e", "a", "x"), llm("e", "a", "y")], LABELS)
    weights = independence(votes, error_correlation(votes, prior=0.5, strength=20))
    np.testing.assert_allclose(weights, [1.0, 1 / 1.5, 1 / 1.5])
