"""What is known of the people at work: who knows what, who was right on what, who labels how."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from llm_al.config import HumanSettings
from llm_al.people.matching import Experience, Expertise, Likely, Spread, label_skill
from llm_al.store.assignments import TicketState
from llm_al.store.schema import tickets
from llm_al.store.store import SqlStore
from llm_al.store.tickets import Offer, Rank
from llm_al.types import SKIP, LabelScheme

__all__ = ["Crowd", "likely_labels"]

_FRESH_S = 60.0
"""Habits and skills change slowly; they are looked at anew after so long."""
_RECENT_S = 7 * 86_400.0
_TOP_LABELS = 3


@dataclass
class Crowd:
    """Chooses which question suits a person, as `human.matching` says.

    Parameters
    ----------
    expertise : callable
        Returns person -> labels that they are said to know.
    """

    store: SqlStore
    settings: HumanSettings
    scheme: LabelScheme
    expertise: Callable[[], Mapping[str, frozenset[str]]]
    clock: Callable[[], float] = time.time
    _skill: Mapping[str, Mapping[str, float]] = field(default_factory=dict, init=False, repr=False)
    _habits: Mapping[str, NDArray[np.float64]] = field(default_factory=dict, init=False, repr=False)
    _looked_s: float = field(default=-np.inf, init=False, repr=False)

    def rank(self, person: str, likely: Likely) -> Rank | None:
        """Return how questions are put in order for a person; None leaves the order of the queue."""
        way = self.settings.matching
        if way == "none":
            return None
        if way == "expertise":
            known = self.expertise()
            others = frozenset().union(*(labels for name, labels in known.items() if name != person))
            return Expertise(known.get(person, frozenset()), likely, others)
        self._look()
        if way == "accuracy":
            return Experience(self._skill, person, likely) if len(self._skill) > 1 else None
        return Spread(self._habits, person, self._answered_by) if len(self._habits) > 1 else None

    def n_recent(self) -> int:
        """Return how many people were given a question within the last seven days, at least 1."""
        query = select(tickets.c.annotator).where(tickets.c.given_s > self.clock() - _RECENT_S).distinct()
        with self.store.database.reading() as connection:
            return max(len(connection.execute(query).all()), 1)

    def _look(self) -> None:
        if self.clock() - self._looked_s < _FRESH_S:
            return
        self._looked_s = self.clock()
        answers = {(a.source, a.example_id): a.label for a in self.store.answer_times()}
        people = {person for person, _ in answers}
        self._skill = label_skill(answers, self._settled(answers), self.scheme.names) if len(people) > 1 else {}
        self._habits = {person: self._habit(answers, person) for person in people} if len(people) > 1 else {}

    def _settled(self, answers: Mapping[tuple[str, str], str]) -> dict[str, str]:
        votes: dict[str, list[str]] = {}
        for (_, example_id), label in answers.items():
            if label != SKIP:
                votes.setdefault(example_id, []).append(label)
        agreed = {id_: given[0] for id_, given in votes.items() if len(given) > 1 and len(set(given)) == 1}
        return agreed | {id_: ruling.label for id_, ruling in self.store.rulings.standing().items()}

    def _habit(self, answers: Mapping[tuple[str, str], str], person: str) -> NDArray[np.float64]:
        counts = np.ones(len(self.scheme))
        for (name, _), label in answers.items():
            if name == person and label in self.scheme.names:
                counts[self.scheme.index(label)] += 1.0
        return np.asarray(counts / counts.sum())

    def _answered_by(self, offer: Offer) -> Sequence[str]:
        query = select(tickets.c.annotator).where(
            tickets.c.assignment == offer.assignment, tickets.c.state == TicketState.ANSWERED.value
        )
        with self.store.database.reading() as connection:
            return list(connection.execute(query).scalars())


def likely_labels(proba: NDArray[np.float64] | None, scheme: LabelScheme) -> dict[str, float]:
    """Return the three likeliest labels of a text with their probabilities."""
    if proba is None:
        return {}
    return {scheme.names[int(c)]: float(proba[c]) for c in np.argsort(proba)[::-1][:_TOP_LABELS]}
