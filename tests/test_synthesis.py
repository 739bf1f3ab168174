from typing import Any

import numpy as np
import pytest

from llm_al.answers import Answers
from llm_al.corpus import Corpus, TestSplit
from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels.guard import Guard
from llm_al.pseudo_labels.none import NoPseudo
from llm_al.supervision import Summary, Supervision
from llm_al.synthesis import Synthesis, read_synthetic, synthetic_to_json
from llm_al.types import Label, LabelScheme, Source, SyntheticText

NAMES = ("a", "b", "c")
AXES = {"a": 0, "b": 1, "c": 2, "x": 3}


def encode(texts):
    """A text lies on the axis of its first letter, turned a little by its length."""
    points = np.zeros((len(texts), 8), dtype=np.float32)
    for row, text in enumerate(texts):
        points[row, AXES[text[0]]] = 1.0
        points[row, 4 + len(text) % 4] = 0.4
    return points / np.linalg.norm(points, axis=1, keepdims=True)


POOL = [f"{name} {'.' * n}" for n in range(12) for name in "ab"]
TEST = ["c in the test"]


def corpus() -> Corpus:
    scheme = LabelScheme(tuple(Label(name) for name in NAMES))
    test = TestSplit.of(ids=["t"], texts=TEST, vectors=encode(TEST), labels=[2], n_outside=0)
    return Corpus(scheme, [str(n) for n in range(24)], POOL, encode(POOL), np.arange(24), test)


def answers(labelled=24) -> Answers:
    human = np.full(24, -1)
    human[:labelled] = [n % 2 for n in range(labelled)]
    none = np.zeros(24, dtype=np.bool_)
    return Answers(human, human >= 0, none, none, {}, {}, (), {})


def made(write: Any, known=(), labelled=24, **settings: Any) -> list[SyntheticText]:
    synthesis = Synthesis(write, encode, **settings)
    return synthesis.make(answers(labelled), corpus(), known, number=3, rng=np.random.default_rng(0))


def test_only_labels_without_an_example_are_asked_for_with_real_texts_for_style():
    seen = []

    def write(wanted, style, number):
        seen.append((dict(wanted), len(style), set(style) <= set(POOL), number))
        return {"c": ["cc", "ccc"]}

    assert made(write, n_per_label=2) == [SyntheticText("cc", "c", 3), SyntheticText("ccc", "c", 3)]
    assert seen == [({"c": 2}, 6, True, 3)]


def test_nothing_is_written_before_people_have_answered_or_when_no_label_is_empty():
    assert made(None, labelled=0) == []
    known = [SyntheticText(f"c{n}", "c", 1) for n in range(5)]
    assert made(None, known=known) == []


def test_texts_that_were_written_before_count():
    wanted = Synthesis(None, encode, n_per_label=5).wanted(answers(), corpus(), [SyntheticText("c", "c", 1)] * 2)
    assert wanted == {"c": 3}


def test_near_copies_of_pool_test_earlier_and_each_other_are_dropped():
    copies = [POOL[3], TEST[0], "cccc", "cccccccc", "c"]
    known = [SyntheticText("ccccc", "c", 1)]
    kept = made(lambda *_: {"c": copies}, known=known, n_per_label=9)
    # The length modulo 4 turns a text: "c" lies on the earlier "ccccc", and "cccccccc" on "cccc".
    assert [text.text for text in kept] == ["cccc"]


def test_labels_that_nobody_asked_about_are_passed_over():
    assert made(lambda *_: {"a": ["x"], "zzz": ["x"]}) == []


def test_texts_survive_the_store():
    texts = [SyntheticText("c", "c", 3)]
    assert read_synthetic([None, synthetic_to_json(texts)]) == texts


def test_texts_of_a_label_that_was_removed_are_not_learned_from():
    synthesis = Synthesis(None, encode)
    rows = synthesis.training_set([SyntheticText("c", "c", 1), SyntheticText("x", "gone", 1)], corpus())
    assert rows.texts == ["c"]
    assert rows.weights.tolist() == [0.3]
    assert rows.targets.tolist() == [[0.0, 0.0, 1.0]]
    assert synthesis.training_set([], corpus()) is None


@pytest.mark.parametrize(
    ("settings", "message"), [({"weight": 1.0}, "allowed is above 0 and below 1"), ({"n_per_label": 0}, "1 or more")]
)
def test_a_weight_of_one_and_no_texts_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Synthesis(None, encode, **settings)


def mixed(texts, guard=None, labelled=24):
    told = answers(labelled)
    view = PoolView(POOL, encode(POOL), 3, told.human, told.human < 0, groups=np.arange(24))
    written = Synthesis(None, encode).training_set([SyntheticText(text, label, 1) for text, label in texts], corpus())
    return Supervision(NoPseudo(), guard).mix(view, told, {}, np.random.default_rng(0), written=written)


def test_written_texts_join_the_training_set_with_their_weight():
    mixture = mixed([("c", "c"), ("cc", "c")])
    training = mixture.training_set(corpus())
    assert list(training.texts) == [*POOL, "c", "cc"]
    assert training.weights.tolist() == [1.0] * 24 + [0.3, 0.3]
    assert training.embeddings.shape == (26, 8)
    assert mixture.summary.sources == (Source.HUMAN, Source.SYNTHETIC)
    assert mixture.summary.n_synthetic == 2


def test_a_label_that_people_have_found_in_the_meantime_needs_its_written_texts_no_more():
    mixture = mixed([("a", "a"), ("c", "c")])
    assert list(mixture.training_set(corpus()).texts) == [*POOL, "c"]


def test_the_guard_lets_texts_of_their_own_kind_in_and_keeps_out_those_that_draw_others_away():
    good = mixed([("c", "c"), ("cc", "c")], Guard())
    assert good.summary.n_synthetic == 2
    bad = mixed([(f"a{'!' * n}", "c") for n in range(400)], Guard())
    assert bad.summary.n_synthetic == 0
    assert len(bad.training_set(corpus())) == 24
    assert "synthetic texts stay out" in bad.summary.reason


def test_a_summary_from_before_there_were_written_texts_is_read():
    old = {k: v for k, v in Summary(3, 2, 1, (Source.HUMAN,), "why").to_json().items() if k != "n_synthetic"}
    assert Summary.from_json(old).n_synthetic == 0
