"""How many answers people are asked for, and which come first."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_al.types import Decision

__all__ = ["Places", "Question"]

AUDIT = "blind check of an LLM label, drawn at random"
FIRST = "one of the first texts, from which the student begins"
UNSURE = "the student is unsure about it"
DOUBTFUL = "the LLM's label is in doubt"
SECOND = "a second opinion on what somebody has answered"


@dataclass(frozen=True)
class Question:
    """A group of examples for the human queue."""

    example_ids: tuple[str, ...]
    reason: str
    priority: float
    is_blind: bool = False
    n_wanted: int = 1
    """So many people are to answer."""


@dataclass(frozen=True)
class Places:
    """The human budget of a round. A place is one answer of one person.

    Parameters
    ----------
    initial : int
        Places of the first round.
    per_round : int
        Places of later rounds, audits and escalations included.
    max_human_labels : int or None
        Over all rounds.
    overlap : int
        So many people answer each text that is no audit and no second opinion.
    second_share : float
        Largest share of a round's places for second opinions, in [0, 1].
    """

    initial: int = 30
    per_round: int = 20
    max_human_labels: int | None = None
    overlap: int = 1
    second_share: float = 0.0

    def left(self, n_human: int) -> int | None:
        """Return how many more answers the budget allows; None is no limit."""
        return None if self.max_human_labels is None else max(self.max_human_labels - n_human, 0)

    def open(self, n_human: int) -> int:
        """Return the places of the next round, after `n_human` answers so far."""
        wanted = self.per_round if n_human else self.initial
        left = self.left(n_human)
        return wanted if left is None else min(wanted, left)

    def n_second(self, n_places: int) -> int:
        """Return how many of so many places may go to second opinions."""
        return int(self.second_share * n_places)

    def n_texts(self, n_places: int) -> int:
        """Return how many new texts fit into so many places; a rest that is too small for the overlap holds one."""
        return max(n_places // self.overlap, int(n_places > 0))

    def share_out(
        self,
        n_human: int,
        *,
        audits: Sequence[Decision],
        direct: Sequence[Decision],
        doubtful: Sequence[Decision],
        second: Sequence[Decision] = (),
    ) -> list[Question]:
        """Return whom to ask about: audits first, because leaving some out would bias the estimate of the error.

        A third of the places that audits leave goes to labels of the LLM that turned out doubtful, the rest to
        examples that people see before any LLM, most wanted first. An audit may take more places than the
        round has, but never more than the budget. It was drawn at random, so cutting the draw at its end
        keeps it random. Second opinions come before new texts, and are blind as audits are: whoever sees what the first
        person said, or a student that has learned it, gives no opinion of their own.
        """
        left = self.left(n_human)
        audited = audits if left is None else audits[:left]
        free = max(self.open(n_human) - len(audited), 0)
        again = second[: self.n_second(free)]
        n_texts = self.n_texts(free - len(again))
        n_wanted = max(min(self.overlap, free - len(again)), 1)
        n_doubtful = min(len(doubtful), n_texts // 3)
        questions = [
            Question(_ids(audited), AUDIT, 3.0, is_blind=True),
            Question(_ids(direct[: n_texts - n_doubtful]), UNSURE if n_human else FIRST, 2.0, n_wanted=n_wanted),
            Question(_ids(doubtful[:n_doubtful]), DOUBTFUL, 1.0, n_wanted=n_wanted),
        ]
        return [*questions, Question(_ids(again), SECOND, 2.5, is_blind=True)] if again else questions


def _ids(decisions: Sequence[Decision]) -> tuple[str, ...]:
    return tuple(decision.example_id for decision in decisions)
