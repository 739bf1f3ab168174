"""A stand-in for an LLM: the label whose description is nearest to the text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ConfigError
from llm_al.types import NONE_OF_THESE, Annotation, AnnotatorKind, Example, Label, LabelScheme, Proba

__all__ = ["MODEL", "VIEWS", "ZeroShot"]

MODEL = "zero-shot-embedding"


def _spoken(name: str) -> str:
    return " ".join(name.replace("_", " ").split())


VIEWS: dict[str, Callable[[Label], str]] = {
    "name_description": lambda label: f"{_spoken(label.name)}: {label.description or _spoken(label.name)}",
    "description": lambda label: label.description or f"This text is about {_spoken(label.name)}.",
    "name": lambda label: _spoken(label.name),
}
"""How a label is put into words; each view stands where an LLM annotator has a prompt."""


@dataclass(frozen=True)
class ZeroShot:
    """Nearest label by embedding similarity. **Not an LLM**: a free stand-in for one, for demos and tests.

    Several views of each label take the place of several prompts, so that agreement exists. Expect far
    lower quality than a language model gives, above all with labels that are not topics.

    Parameters
    ----------
    scheme : LabelScheme
        Descriptions matter: they are what texts are compared with.
    encode : callable
        Texts -> array of shape (n, d), rows of unit length.
    temperature : float
        Cosine similarity is divided by it before the softmax; above 0.
    views : int
        How many of `VIEWS` answer, 1 to 3.
    min_similarity : float, optional
        Below this cosine to every label a view answers "none of these"; None never does.

    Raises
    ------
    ConfigError
        If `temperature` or `views` is out of range.
    """

    scheme: LabelScheme
    encode: Callable[[Sequence[str]], NDArray[np.floating]] = field(repr=False)
    temperature: float = 0.05
    views: int = 3
    min_similarity: float | None = None
    round: int = 0

    def __post_init__(self) -> None:
        if not self.temperature > 0.0:
            raise ConfigError(f"zero_shot temperature is {self.temperature}; it must be above 0")
        if not 1 <= self.views <= len(VIEWS):
            raise ConfigError(f"zero_shot views is {self.views}; choose 1 to {len(VIEWS)}: {', '.join(VIEWS)}")

    @property
    def name(self) -> str:
        """Says that this is no LLM."""
        return MODEL

    @property
    def kind(self) -> AnnotatorKind:
        """LLM: it takes the place of one in routing and consensus."""
        return AnnotatorKind.LLM

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return one annotation an example and view, in that order."""
        if not examples:
            return []
        texts = np.asarray(self.encode([example.text for example in examples]), dtype=np.float64)
        views = list(VIEWS)[: self.views]
        similarity = {view: texts @ self._label_embeddings(view).T for view in views}
        proba = {view: self._softmax(similarity[view]) for view in views}
        return [
            self._annotation(example, view, similarity[view][row], proba[view][row])
            for row, example in enumerate(examples)
            for view in views
        ]

    def _label_embeddings(self, view: str) -> NDArray[np.float64]:
        return np.asarray(self.encode([VIEWS[view](label) for label in self.scheme.labels]), dtype=np.float64)

    def _softmax(self, similarity: NDArray[np.float64]) -> Proba:
        logits = similarity / self.temperature
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        proba: Proba = exponentials / exponentials.sum(axis=1, keepdims=True)
        return proba

    def _annotation(
        self, example: Example, view: str, similarity: NDArray[np.float64], proba: NDArray[np.float64]
    ) -> Annotation:
        best = int(np.argmax(proba))
        is_far = self.min_similarity is not None and bool(similarity.max() < self.min_similarity)
        return Annotation(
            example.id,
            NONE_OF_THESE if is_far else self.scheme.names[best],
            f"{MODEL}/{view}",
            kind=self.kind,
            model=MODEL,
            prompt=view,
            confidence=None if is_far else float(proba[best]),
            proba=None if is_far else tuple(float(p) for p in proba),
            round=self.round,
            reason=f"no label nearer than {self.min_similarity}" if is_far else "",
        )
