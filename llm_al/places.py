"""How many answers people are asked for, and which come first."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.types import Decision

__all__ = ["Places", "Question"]

AUDIT = "blind check of an LLM label, drawn at random"
UNSURE = "the student is unsure about it"
DOUBTFUL = "the LLM's label is in doubt"


@dataclass(frozen=True)
class Question:
    """A group of examples for the human queue."""

    example_ids: tuple[str, ...]
    reason: str
    priority: float
    is_blind: bool = False


@dataclass(frozen=True)
class Places:
    """The human budget of a round.

    Parameters
    ----------
    initial : int
        Places of the first round.
    per_round : int
        Places of later rounds, audits and escalations included.
    max_human_labels : int or None
        Over all rounds.
    """

    initial: int = 30
    per_round: int = 20
    max_human_labels: int | None = None

    def left(self, n_human: int) -> int | None:
        """Return how many more answers the budget allows; None is no limit."""
        return None if self.max_human_labels is None else max(self.max_human_labels - n_human, 0)

    def open(self, n_human: int) -> int:
        """Return the places of the next round, after `n_human` answers so far."""
        wanted = self.per_round if n_human else self.initial
        left = self.left(n_human)
        return wanted if left is None else min(wanted, left)

    def share_out(
        self, n_human: int, *, audits: Sequence[Decision], direct: Sequence[Decision], doubtful: Sequence[Decision]
    ) -> list[Question]:
        """Return whom to ask about: audits first, because leaving some out would bias the estimate of the error.

        A third of the places that audits leave goes to labels of the LLM that turned out doubtful, the rest to
        examples that people see before any LLM, most wanted first. An audit may take more places than the
        round has, but never more than the budget. It was drawn at random, so cutting the draw at its end
        keeps it random.
        """
        left = self.left(n_human)
        audited = audits if left is None else audits[:left]
        free = max(self.open(n_human) - len(audited), 0)
        n_doubtful = min(len(doubtful), free // 3)
        return [
            Question(_ids(audited), AUDIT, 3.0, is_blind=True),
            Question(_ids(direct[: free - n_doubtful]), UNSURE, 2.0),
            Question(_ids(doubtful[:n_doubtful]), DOUBTFUL, 1.0),
        ]


def _ids(decisions: Sequence[Decision]) -> tuple[str, ...]:
    return tuple(decision.example_id for decision in decisions)
