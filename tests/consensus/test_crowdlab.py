import numpy as np
import pytest

from llm_al.consensus.crowdlab import Crowdlab, _estimated
from llm_al.consensus.majority import Majority
from llm_al.errors import ConfigError, LabelError, ShapeError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")
PAPER = {"people_stand": False, "strength": 0.0, "is_calibrated": False}


def llm(example, label, model="m", prompt="p1"):
    return Annotation(str(example), label, f"{model}/{prompt}", AnnotatorKind.LLM, model=model)


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


def simulate(n=200, n_people=5, n_classes=4, rate=0.5, seed=0):
    """Return gold, a table of labels with -1 for unanswered, and a student's probabilities."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(n_classes, size=n)
    accuracy = np.linspace(0.55, 0.95, n_people)
    wrong = (gold[:, None] + rng.integers(1, n_classes, (n, n_people))) % n_classes
    table = np.where(rng.random((n, n_people)) < accuracy, gold[:, None], wrong)
    keep = rng.random((n, n_people)) < rate
    keep[np.arange(n), rng.integers(n_people, size=n)] = True
    logits = rng.normal(size=(n, n_classes)) + 2.0 * np.eye(n_classes)[gold]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return gold, np.where(keep, table, -1), proba


def annotations_of(table, labels):
    rows, columns = np.nonzero(table >= 0)
    return [person(f"{i:04d}", labels[table[i, j]], f"p{j}") for i, j in zip(rows, columns, strict=True)]


def as_nan(table):
    return np.where(table >= 0, table.astype(float), np.nan)


def proba_of(proba):
    return {f"{i:04d}": row for i, row in enumerate(proba)}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rate", [0.2, 0.8])
def test_posterior_and_weights_are_those_of_the_authors_code(seed, rate):
    multiannotator = pytest.importorskip("cleanlab.multiannotator")
    _, table, proba = simulate(rate=rate, seed=seed)
    theirs = multiannotator.get_label_quality_multiannotator(
        as_nan(table), proba, return_weights=True, verbose=False, return_detailed_quality=False
    )
    labels = tuple("abcd")
    fit = Crowdlab(labels, **PAPER).fit(annotations_of(table, labels), known=Known(proba=proba_of(proba)))
    by_name = np.argsort([int(name.removeprefix("source:p")) for name in fit.votes.voters])
    order = np.argsort(fit.votes.example_ids)
    np.testing.assert_allclose(fit.voter_weight[by_name], theirs["annotator_weight"])
    assert fit.student_weight == pytest.approx(theirs["model_weight"])
    # Their label is the likeliest of the pass before; its posterior comes from the last one, as ours does.
    quality, rows = theirs["label_quality"], np.arange(len(order))
    np.testing.assert_array_equal(fit.consensus[order], quality["consensus_label"])
    np.testing.assert_allclose(
        fit.posterior[order][rows, quality["consensus_label"]], quality["consensus_quality_score"]
    )


def test_annotator_quality_is_that_of_the_authors_code():
    multiannotator = pytest.importorskip("cleanlab.multiannotator")
    _, table, proba = simulate(n_people=4)
    theirs = multiannotator.get_label_quality_multiannotator(as_nan(table), proba, verbose=False)
    labels = tuple("abcd")
    fit = Crowdlab(labels, **PAPER).fit(annotations_of(table, labels), known=Known(proba=proba_of(proba)))
    ours = [_estimated(fit)[f"source:p{j}"] for j in range(4)]
    np.testing.assert_allclose(ours, theirs["annotator_stats"]["annotator_quality"].sort_index(), rtol=1e-9)


def test_a_single_answer_and_a_student_by_hand():
    # No shared example: agreement is the prior, .9 for people, chance 1 - 1/3; the student errs on the one example.
    ((vote,), _) = Crowdlab(LABELS, people_stand=False, is_calibrated=False).aggregate(
        [person("e", "a")], known=Known(proba={"e": (0.2, 0.7, 0.1)})
    )
    w, student = 1 - 0.1 / (2 / 3), 1e-6
    assert vote.posterior[0] == pytest.approx((w * 0.9 + student * 0.2) / (w + student))


def test_without_a_student_it_is_voting_weighted_by_agreement():
    gold, table, _ = simulate(n=400, n_people=6, rate=1.0)
    table[:, :3] = np.random.default_rng(1).integers(4, size=(400, 3))
    labels = tuple("abcd")
    votes, _ = Crowdlab(labels).aggregate(annotations_of(table, labels))
    fit = Crowdlab(labels).fit(annotations_of(table, labels))
    assert fit.student_weight == 0.0
    majority, _ = Majority(labels).aggregate(annotations_of(table, labels))
    truth = [labels[g] for g in gold]
    right, right_by_majority = (
        np.mean([v.label == t for v, t in zip(given, truth, strict=True)]) for given in (votes, majority)
    )
    assert right > right_by_majority + 0.05


def test_the_student_may_outweigh_one_unreliable_person():
    gold, table, proba = simulate(n=600, rate=0.3, seed=5)
    labels = tuple("abcd")
    annotations = annotations_of(table, labels)
    truth = {f"{i:04d}": labels[g] for i, g in enumerate(gold)}
    alone, _ = Majority(labels).aggregate(annotations)
    helped, _ = Crowdlab(labels, people_stand=False).aggregate(annotations, known=Known(proba=proba_of(proba)))
    right = [np.mean([vote.label == truth[vote.example_id] for vote in votes]) for votes in (alone, helped)]
    assert right[1] > right[0] + 0.05


def test_people_who_agree_stand_while_the_posterior_keeps_the_students_doubt():
    many = [person(i, "ab"[i % 2]) for i in range(40)] + [person(i, "ab"[i % 2], "bob") for i in range(0, 40, 3)]
    proba = {str(i): np.eye(3)[i % 2] * 0.97 + 0.01 for i in range(40)}
    proba["7"] = (0.98, 0.01, 0.01)
    votes, _ = Crowdlab(LABELS).aggregate(many, known=Known(proba=proba))
    by_id = {vote.example_id: vote for vote in votes}
    assert by_id["7"].label == "b"
    assert by_id["7"].posterior[0] > by_id["7"].posterior[1]
    overruled, _ = Crowdlab(LABELS, people_stand=False).aggregate(many, known=Known(proba=proba))
    assert {vote.example_id: vote.label for vote in overruled}["7"] == "a"


def test_machines_vote_where_people_disagree_only():
    votes = [person("e", "a"), llm("e", "b", "x"), llm("e", "b", "y")]
    ((stands,), _) = Crowdlab(LABELS).aggregate(votes)
    assert stands.label == "a"
    ((torn,), _) = Crowdlab(LABELS).aggregate([*votes, person("e", "b", "bob")])
    assert torn.label == "b"


def test_runs_of_one_model_are_as_sure_as_one_run():
    many, _ = Crowdlab(LABELS).aggregate(
        [llm("e", "a", prompt=f"p{i}") for i in range(20)] + [person("e", "b"), person("e", "c", "bob")]
    )
    one, _ = Crowdlab(LABELS).aggregate([llm("e", "a"), person("e", "b"), person("e", "c", "bob")])
    np.testing.assert_allclose(many[0].posterior, one[0].posterior)


def test_two_models_that_err_together_count_less_than_two_people():
    def weight(kind, **settings):
        given = [Annotation("e", "a", n, kind, model=n if kind is AnnotatorKind.LLM else None) for n in ("x", "y")]
        crowdlab = Crowdlab(LABELS, machine_agreement=0.9, **settings)
        return crowdlab.fit([*given, *(person(str(i), "abc"[i % 3]) for i in range(9))]).entry_weight[:2].sum()

    people = weight(AnnotatorKind.HUMAN)
    assert weight(AnnotatorKind.LLM, correlation=0.0) == pytest.approx(people)
    # 2 / (1 + rho) of two votes is one vote each of 1 / (1 + rho).
    assert weight(AnnotatorKind.LLM, correlation=0.5) == pytest.approx(people / 1.5)


def test_gold_stands_and_teaches_whom_to_trust():
    votes = [person(i, "abc"[i % 3]) for i in range(30)] + [person(i, "bca"[i % 3], "bob") for i in range(30)]
    gold = {str(i): "abc"[i % 3] for i in range(15)}
    fit = Crowdlab(LABELS).fit(votes, known=Known(gold))
    assert fit.voter_weight[0] > 100 * fit.voter_weight[1]
    consensus, _ = Crowdlab(LABELS).aggregate(votes, known=Known({**gold, "29": "a"}))
    assert [vote.label for vote in consensus[15:]] == [*"abcabcabcabcab", "a"]
    assert consensus[29].posterior == (1.0, 0.0, 0.0)


def test_none_of_these_is_a_class_of_its_own_and_the_student_never_says_it():
    votes = [person("e", NONE_OF_THESE), person("f", "a"), person("g", SKIP)]
    consensus, _ = Crowdlab(LABELS).aggregate(votes, known=Known(proba={"e": (0.4, 0.3, 0.3), "g": (1.0, 0.0, 0.0)}))
    assert [(vote.label, sum(vote.posterior)) for vote in consensus] == [
        (NONE_OF_THESE, 0.0),
        ("a", pytest.approx(1.0)),
        (None, 0.0),
    ]


def test_one_label_in_all_examples_divides_by_nothing():
    votes = [person(i, "a", name) for i in range(50) for name in ("ann", "bob")]
    consensus, quality = Crowdlab(LABELS, **PAPER).aggregate(votes, known=Known(proba={"0": (1.0, 0.0, 0.0)}))
    assert {vote.label for vote in consensus} == {"a"}
    assert consensus[0].posterior == pytest.approx((1.0, 0.0, 0.0), abs=1e-6)
    assert [q.accuracy for q in quality] == [1.0, 1.0]


def test_an_overconfident_student_is_scaled_down():
    gold, table, _ = simulate(n=300, rate=0.6)
    rng = np.random.default_rng(1)
    guess = np.where(rng.random(300) < 0.6, gold, rng.integers(4, size=300))
    proba = proba_of(np.eye(4)[guess] * 0.9996 + 0.0001)
    labels = tuple("abcd")
    assert Crowdlab(labels).fit(annotations_of(table, labels), known=Known(proba=proba)).temperature > 2.0


def test_the_order_of_annotations_does_not_matter():
    _, table, proba = simulate(n=60)
    labels = tuple("abcd")
    given = annotations_of(table, labels)
    known = Known(proba=proba_of(proba))
    forward, backward = (
        {vote.example_id: vote.posterior for vote in Crowdlab(labels).aggregate(order, known=known)[0]}
        for order in (given, given[::-1])
    )
    for id_, posterior in forward.items():
        np.testing.assert_allclose(posterior, backward[id_])


def test_nothing_in_nothing_out():
    assert Crowdlab(LABELS).aggregate([], known=Known({"e": "a"}, {"e": (1.0, 0.0, 0.0)})) == ([], [])


def test_bad_input_is_named():
    with pytest.raises(ShapeError, match="probabilities of 'e' have 2 values; give one for each of 3 labels"):
        Crowdlab(LABELS).aggregate([person("e", "a")], known=Known(proba={"e": (0.5, 0.5)}))
    with pytest.raises(LabelError, match="unknown label 'x'"):
        Crowdlab(LABELS).aggregate([person("e", "x")])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"human_agreement": 1.0}, "human_agreement is 1.0"),
        ({"machine_agreement": 0.0}, "machine_agreement is 0.0"),
        ({"correlation": 1.5}, "correlation is 1.5"),
        ({"strength": -1.0}, "strength is -1.0"),
        ({"correlation_strength": 0.0}, "correlation_strength is 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Crowdlab(LABELS, **settings)
