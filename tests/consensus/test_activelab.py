import numpy as np
import pytest

from llm_al.consensus.activelab import ActiveLab, activelab_scores, gain_per_second
from llm_al.consensus.crowdlab import Crowdlab
from llm_al.errors import ConfigError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Known

LABELS = ("a", "b", "c")
PAPER = {"people_stand": False, "strength": 0.0, "is_calibrated": False}
NOTHING = np.zeros((0, 3))


def person(example, label, name="ann"):
    return Annotation(str(example), label, name, AnnotatorKind.HUMAN)


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_those_of_the_authors_code(seed):
    multiannotator = pytest.importorskip("cleanlab.multiannotator")
    from cleanlab.internal.multiannotator_utils import find_best_temp_scaler, temp_scale_pred_probs

    rng = np.random.default_rng(seed)
    gold = rng.integers(3, size=150)
    said = np.where(rng.random((150, 4)) < 0.7, gold[:, None], rng.integers(3, size=(150, 4))).astype(float)
    # Three to four answers: both codes find the same labels at the first pass.
    said[rng.random(150) < 0.3, 3] = np.nan
    logits = rng.normal(size=(250, 3)) + 2.0 * np.eye(3)[np.concatenate([gold, rng.integers(3, size=100)])]
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labelled, unlabelled = multiannotator.get_active_learning_scores(said, proba[:150], proba[150:])
    scale = temp_scale_pred_probs(proba, find_best_temp_scaler(said, proba[:150]))
    annotations = [person(f"{i:03d}", LABELS[int(said[i, j])], f"p{j}") for i, j in np.argwhere(~np.isnan(said))]
    known = Known(proba={f"{i:03d}": row for i, row in enumerate(scale[:150])})
    ours, new = activelab_scores(Crowdlab(LABELS, **PAPER).fit(annotations, known=known), scale[150:])
    agrees = np.isclose(ours, labelled)
    assert agrees.mean() > 0.98
    # Where the two passes differ, the authors score the label of the first.
    assert (ours[~agrees] > np.asarray(labelled)[~agrees]).all()
    np.testing.assert_allclose(new, unlabelled)


def test_a_score_by_hand():
    # One voter of weight w and posterior q: (W q + w / 3) / (W + w) with W = w and no student.
    fit = Crowdlab(LABELS, people_stand=False).fit([person("e", "a")])
    w, q = fit.voter_weight[0], fit.posterior[0].max()
    ((score,), _) = activelab_scores(fit, NOTHING)
    assert score == pytest.approx((w * q + w / 3) / (2 * w))


def test_gain_is_doubt_by_second():
    np.testing.assert_allclose(gain_per_second(np.array([0.8, 0.5]), 2.0), [0.1, 0.25])
    with pytest.raises(ConfigError, match="an answer takes 0 seconds"):
        gain_per_second(np.array([0.5]), 0)


def weigh(annotations, proba=None, unlabelled=NOTHING):
    return ActiveLab(LABELS).weigh(annotations, known=Known(proba=proba or {}), unlabelled=unlabelled)


def crowd(n=60, wrong=()):
    """Return answers of two people, the second to every other text, and a sure student."""
    annotations = [person(i, LABELS[(i + (i in wrong)) % 3]) for i in range(n)]
    annotations += [person(i, LABELS[i % 3], "bob") for i in range(0, n, 2)]
    proba = {str(i): 0.02 + 0.94 * np.eye(3)[i % 3] for i in range(n)}
    return annotations, proba


def test_a_label_that_the_student_doubts_needs_a_second_opinion_more_than_one_it_shares():
    doubts = weigh(*crowd(wrong={7}))
    assert min(doubts.scores, key=doubts.scores.__getitem__) == "7"


def test_a_second_answer_that_agrees_takes_the_doubt_away():
    doubts = weigh(*crowd())
    assert doubts.scores["2"] > doubts.scores["3"]


def test_new_and_old_are_on_one_scale():
    sure, unsure = np.array([[0.98, 0.01, 0.01]]), np.array([[0.4, 0.3, 0.3]])
    doubts = weigh(*crowd(wrong={7}), unlabelled=np.concatenate([sure, unsure]))
    assert doubts.new_scores[1] < doubts.scores["9"] < 1.0
    assert doubts.new_scores[1] < doubts.new_scores[0]
    assert doubts.scores["7"] < doubts.new_scores[0]


def test_none_of_these_is_as_sure_as_those_who_say_so_and_skips_are_no_answer():
    annotations, proba = crowd()
    doubts = weigh([*annotations, person("n", NONE_OF_THESE), person("s", SKIP)], proba)
    assert 0.0 < doubts.scores["n"] < 1.0
    assert doubts.scores["s"] < doubts.scores["n"]


def test_nothing_is_known_at_the_start():
    doubts = weigh([], unlabelled=np.full((2, 3), 1 / 3))
    assert doubts.scores == {}
    np.testing.assert_allclose(doubts.new_scores, 1 / 3)


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match=r"human_accuracy is 1\.0"):
        ActiveLab(LABELS, human_accuracy=1.0)
