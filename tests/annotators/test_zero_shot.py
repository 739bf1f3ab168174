import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from llm_al.annotators.zero_shot import ZeroShot
from llm_al.errors import ConfigError
from llm_al.protocols import Annotator
from llm_al.types import NONE_OF_THESE, AnnotatorKind, Example, Label, LabelScheme

SCHEME = LabelScheme((Label("cat_food", "meals of a cat"), Label("dog")))
VECTORS = {
    "cat food: meals of a cat": (1.0, 0.0),
    "dog: dog": (0.0, 1.0),
    "meals of a cat": (1.0, 0.0),
    "This text is about dog.": (0.0, 1.0),
    "cat food": (0.0, 1.0),
    "dog": (1.0, 0.0),
    "meow": (0.8, 0.6),
    "woof": (0.0, 1.0),
    "moo": (-1.0, 0.0),
}


def encode(texts: Sequence[str]) -> NDArray[np.float32]:
    return np.array([VECTORS[text] for text in texts], dtype=np.float32).reshape(len(texts), 2)


def test_each_view_gives_one_annotation_with_softmax_probabilities() -> None:
    annotations = ZeroShot(SCHEME, encode, temperature=0.1).annotate([Example("1", "meow"), Example("2", "woof")])
    assert [(a.example_id, a.prompt, a.label) for a in annotations] == [
        ("1", "name_description", "cat_food"),
        ("1", "description", "cat_food"),
        ("1", "name", "dog"),
        ("2", "name_description", "dog"),
        ("2", "description", "dog"),
        ("2", "name", "cat_food"),
    ]
    # Similarities 0.8 and 0.6, divided by 0.1: the odds are e^2.
    expected = math.e**2 / (1 + math.e**2)
    assert annotations[0].confidence == pytest.approx(expected, abs=1e-6)
    assert annotations[0].proba == pytest.approx((expected, 1 - expected), abs=1e-6)


def test_it_says_that_it_is_a_stand_in() -> None:
    zero_shot = ZeroShot(SCHEME, encode, views=1)
    annotation = zero_shot.annotate([Example("1", "meow")])[0]
    assert zero_shot.name == annotation.model == "zero-shot-embedding"
    assert annotation.source == "zero-shot-embedding/name_description"
    assert annotation.kind is zero_shot.kind is AnnotatorKind.LLM
    assert annotation.cost_nanousd == 0
    assert isinstance(zero_shot, Annotator)


def test_a_text_far_from_every_label_is_none_of_these_when_asked_for() -> None:
    far = ZeroShot(SCHEME, encode, views=1, min_similarity=0.5).annotate([Example("1", "moo"), Example("2", "woof")])
    assert [a.label for a in far] == [NONE_OF_THESE, "dog"]
    assert far[0].reason == "no label nearer than 0.5"
    assert far[0].proba is None


def test_empty_input_and_wrong_settings() -> None:
    assert ZeroShot(SCHEME, encode).annotate([]) == []
    with pytest.raises(ConfigError, match="temperature is 0"):
        ZeroShot(SCHEME, encode, temperature=0.0)
    with pytest.raises(ConfigError, match="views is 4; choose 1 to 3"):
        ZeroShot(SCHEME, encode, views=4)
