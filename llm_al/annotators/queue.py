"""People who answer in their own time."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.types import Annotation, AnnotatorKind, Example

__all__ = ["Queue"]


@dataclass(frozen=True)
class Queue:
    """Asks nobody: examples wait in the store, and answers arrive through it."""

    name: str = "human"

    @property
    def kind(self) -> AnnotatorKind:
        """Always HUMAN."""
        return AnnotatorKind.HUMAN

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:  # noqa: ARG002
        """Return nothing: no answer is ready yet."""
        return []
