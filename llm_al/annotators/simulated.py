"""A stand-in for a person who knows the gold labels, with a rate of mistakes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from llm_al.errors import ConfigError, LabelError
from llm_al.types import NONE_OF_THESE, SKIP, Annotation, AnnotatorKind, Example

__all__ = ["Simulated"]


def _uniform(seed: int, purpose: str, example_id: str) -> float:
    """Return a number in [0, 1) that depends on nothing but the arguments."""
    digest = hashlib.sha256(f"{seed}:{purpose}:{example_id}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7]) / 2.0**56


@dataclass(frozen=True)
class Simulated:
    """Answers with the gold label, or with a wrong one at a given rate.

    A mistake depends on the example and the seed only, not on when or in which order it is asked.
    An example without a gold label is skipped, with the reason.

    Parameters
    ----------
    gold : mapping of str to str
        Example id -> label (or `NONE_OF_THESE`).
    labels : tuple of str
        The label list; wrong answers are drawn uniformly from the others.
    noise : float
        Rate of wrong answers, in [0, 1].
    seed : int

    Raises
    ------
    ConfigError
        If `noise` is outside [0, 1].
    LabelError
        If a gold label is not in the list.

    Examples
    --------
    >>> Simulated({"1": "spam"}, ("spam", "ham")).annotate([Example("1", "win")])[0].label
    'spam'
    """

    gold: Mapping[str, str] = field(repr=False)
    labels: tuple[str, ...]
    noise: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise <= 1.0:
            raise ConfigError(f"human.noise is {self.noise}; it is a share between 0 and 1; correct it")
        unknown = sorted(set(self.gold.values()) - {*self.labels, NONE_OF_THESE})
        if unknown:
            raise LabelError(
                f"unknown gold label {unknown[0]!r}; choose from: {', '.join(self.labels)}; correct the gold file"
            )

    @property
    def name(self) -> str:
        """Always `simulated`."""
        return "simulated"

    @property
    def kind(self) -> AnnotatorKind:
        """Always SIMULATED."""
        return AnnotatorKind.SIMULATED

    def annotate(self, examples: Sequence[Example]) -> list[Annotation]:
        """Return one annotation an example."""
        return [self._answer(example.id) for example in examples]

    def _answer(self, example_id: str) -> Annotation:
        gold = self.gold.get(example_id)
        if gold is None:
            return Annotation(example_id, SKIP, self.name, kind=self.kind, reason="no gold label")
        label = gold
        if _uniform(self.seed, "errs", example_id) < self.noise:
            wrong = [name for name in self.labels if name != gold]
            label = wrong[int(_uniform(self.seed, "picks", example_id) * len(wrong))]
        return Annotation(example_id, label, self.name, kind=self.kind)
