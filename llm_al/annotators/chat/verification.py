"""One more question about each text: whether the label that most of a model's own answers give is right."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from llm_al.annotators.chat.questions import Verify
from llm_al.annotators.engine.answers import Answer
from llm_al.annotators.engine.cashier import CapReachedError
from llm_al.annotators.engine.engine import Ask, NotAnsweredError
from llm_al.types import Annotation, Example, Signal

__all__ = ["Ballot", "Indexed", "Verification", "modal_label"]

Indexed = tuple[int, Annotation]
"""An annotation and its place among all results."""


@dataclass
class Ballot:
    """The answers about one example, kept until the last one is in.

    Attributes
    ----------
    n_open : int
        Questions that are not answered yet.
    found : list of Indexed
    """

    n_open: int
    found: list[Indexed] = field(default_factory=list)

    def take(self, found: Indexed | None) -> bool:
        """Keep an answer, or that there is none; return whether it was the last one."""
        self.n_open -= 1
        if found is not None:
            self.found.append(found)
        return self.n_open == 0


def modal_label(found: Sequence[Indexed]) -> str | None:
    """Return the label that most answers give; among equals the one of the earliest prompt; None without any."""
    votes = Counter(annotation.label for _, annotation in sorted(found, key=lambda pair: pair[0]) if annotation.label)
    return max(votes, key=votes.__getitem__) if votes else None


@dataclass(frozen=True)
class Verification:
    """Puts p(true) into the signals of the annotations that give the modal label.

    Annotations with another label keep it unknown: nobody asked about theirs. The call's money and tokens
    are added to the first annotation that gives the modal label.
    """

    question: Verify

    async def add(self, ask: Ask, example: Example, found: Sequence[Indexed]) -> list[Indexed]:
        """Return the annotations of one example with p(true) where it is known."""
        label = modal_label(found)
        if label is None:
            return list(found)
        try:
            answer = await ask(self.question.request(example.text, label))
        except (CapReachedError, NotAnsweredError):
            return list(found)
        p_true = self.question.read(answer)
        signed = [(index, _signed(annotation, label, p_true)) for index, annotation in found]
        first = min(index for index, annotation in signed if annotation.label == label)
        return [(index, _charged(a, answer) if index == first else a) for index, a in signed]


def _signed(annotation: Annotation, label: str, p_true: float | None) -> Annotation:
    if p_true is None or annotation.label != label:
        return annotation
    return replace(annotation, signals={**annotation.signals, Signal.P_TRUE.value: p_true})


def _charged(annotation: Annotation, answer: Answer) -> Annotation:
    n_in, n_out = answer.n_tokens
    durations = [seconds for seconds in (annotation.duration_s, answer.duration_s) if seconds is not None]
    return replace(
        annotation,
        n_tokens_in=annotation.n_tokens_in + n_in,
        n_tokens_out=annotation.n_tokens_out + n_out,
        cost_nanousd=annotation.cost_nanousd + answer.cost_nanousd,
        duration_s=sum(durations) if durations else None,
    )
