import pytest

from llm_al.annotators.simulated import Simulated
from llm_al.errors import ConfigError, LabelError
from llm_al.protocols import Annotator
from llm_al.types import NONE_OF_THESE, SKIP, AnnotatorKind, Example

LABELS = ("a", "b", "c")
GOLD = {str(n): LABELS[n % 3] for n in range(3000)}
EXAMPLES = [Example(str(n), "text") for n in range(3000)]


def test_without_noise_every_answer_is_gold() -> None:
    annotations = Simulated(GOLD, LABELS).annotate(EXAMPLES)
    assert {a.example_id: a.label for a in annotations} == GOLD
    assert {(a.kind, a.source) for a in annotations} == {(AnnotatorKind.SIMULATED, "simulated")}


def test_noise_is_the_rate_of_wrong_answers_spread_over_the_other_labels() -> None:
    answers = [a.label for a in Simulated(GOLD, LABELS, noise=0.2).annotate(EXAMPLES)]
    wrong = [(GOLD[e.id], label) for e, label in zip(EXAMPLES, answers, strict=True) if label != GOLD[e.id]]
    # 3,000 draws at 0.2: four standard deviations are 0.029.
    assert len(wrong) / 3000 == pytest.approx(0.2, abs=0.029)
    assert set(wrong) == {(x, y) for x in LABELS for y in LABELS if x != y}
    assert all(a.label != GOLD[a.example_id] for a in Simulated(GOLD, LABELS, noise=1.0).annotate(EXAMPLES))


def test_a_mistake_depends_on_the_example_and_seed_only() -> None:
    noisy = Simulated(GOLD, LABELS, noise=0.5, seed=7)
    forwards = {a.example_id: a.label for a in noisy.annotate(EXAMPLES)}
    backwards = {a.example_id: a.label for a in noisy.annotate(EXAMPLES[::-2])}
    assert backwards.items() <= forwards.items()
    other = {a.example_id: a.label for a in Simulated(GOLD, LABELS, noise=0.5, seed=8).annotate(EXAMPLES)}
    assert other != forwards


def test_examples_without_gold_are_skipped_and_none_of_these_is_allowed() -> None:
    annotations = Simulated({"1": NONE_OF_THESE}, LABELS).annotate([Example("1", "x"), Example("2", "y")])
    assert [(a.label, a.reason) for a in annotations] == [(NONE_OF_THESE, ""), (SKIP, "no gold label")]


def test_wrong_settings_are_refused_and_gold_stays_out_of_the_recipe() -> None:
    with pytest.raises(ConfigError, match=r"human\.noise is 1\.5"):
        Simulated(GOLD, LABELS, noise=1.5)
    with pytest.raises(LabelError, match="unknown gold label 'd'; choose from: a, b, c"):
        Simulated({"1": "d"}, LABELS)
    assert repr(Simulated(GOLD, LABELS)) == "Simulated(labels=('a', 'b', 'c'), noise=0.0, seed=0)"
    assert isinstance(Simulated(GOLD, LABELS), Annotator)
