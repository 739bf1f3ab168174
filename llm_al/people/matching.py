"""Which of the waiting questions suits a person best."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from llm_al.store.tickets import Offer
from llm_al.types import NONE_OF_THESE, SKIP

__all__ = ["Experience", "Expertise", "Spread", "label_skill"]

Likely = Callable[[Offer], Mapping[str, float]]
"""Returns the labels that a question may turn out to have, with probabilities; empty when nothing is known."""

PRIOR_ANSWERS = 8.0
"""A person's accuracy on a label is shrunk to their overall accuracy as if that were so many answers."""


def _sorted(offers: Sequence[Offer], fit: Callable[[Offer], float]) -> list[Offer]:
    """Sort by priority, then by fit, then as they came: what matters most is asked first, whoever is there."""
    return sorted(offers, key=lambda offer: (-offer.priority, -fit(offer)))


@dataclass(frozen=True)
class Expertise:
    """Prefer texts whose likely labels a person is said to know.

    Parameters
    ----------
    labels : frozenset of str
        What this person knows; empty means everything alike.
    others : frozenset of str
        What somebody else is said to know: such texts are left to them where this person does not.
    """

    labels: frozenset[str]
    likely: Likely = field(repr=False)
    others: frozenset[str] = frozenset()

    def __call__(self, offers: Sequence[Offer]) -> list[Offer]:
        """Return the offers, best suited first within each priority."""

        def fit(offer: Offer) -> float:
            known = self.likely(offer)
            mine = sum(p for label, p in known.items() if label in self.labels)
            return mine - sum(p for label, p in known.items() if label in self.others - self.labels)

        return _sorted(offers, fit)


@dataclass(frozen=True)
class Experience:
    """Prefer texts on whose likely labels a person does better than the others do.

    Comparative, not absolute: the one who is best at everything cannot answer everything.

    Parameters
    ----------
    skill : mapping of str to mapping of str to float
        Person -> label -> accuracy, see `label_skill`.
    person : str
    """

    skill: Mapping[str, Mapping[str, float]]
    person: str
    likely: Likely = field(repr=False)

    def __call__(self, offers: Sequence[Offer]) -> list[Offer]:
        """Return the offers, best suited first within each priority."""
        mine = self.skill.get(self.person)
        others = [skill for name, skill in self.skill.items() if name != self.person]
        if mine is None or not others:
            return list(offers)

        def fit(offer: Offer) -> float:
            return sum(
                p * (mine[label] - float(np.mean([skill[label] for skill in others])))
                for label, p in self.likely(offer).items()
                if label in mine
            )

        return _sorted(offers, fit)


@dataclass(frozen=True)
class Spread:
    """Let each text be answered by people who are unlike each other, for tasks on which people may rightly differ [1]_.

    A text that people have answered goes to the person whose habits differ most from theirs: the Jensen-Shannon
    divergence of how often each has given each label. Differs from the paper, which picks a person for a text; here
    a person comes and a text is picked.

    Parameters
    ----------
    habits : mapping of str to ndarray of shape (c,)
        Person -> shares of the labels they gave, smoothed.
    answered_by : callable
        Returns who has answered a question.

    References
    ----------
    .. [1] van der Meer, Falk, Murukannaiah & Liscio (2024). Annotator-centric active learning for subjective NLP
           tasks. EMNLP 2024.
    """

    habits: Mapping[str, NDArray[np.float64]]
    person: str
    answered_by: Callable[[Offer], Sequence[str]] = field(repr=False)

    def __call__(self, offers: Sequence[Offer]) -> list[Offer]:
        """Return the offers, those first whose people are least like this one."""
        mine = self.habits.get(self.person)
        if mine is None:
            return list(offers)

        def fit(offer: Offer) -> float:
            known = [self.habits[name] for name in self.answered_by(offer) if name in self.habits]
            # A text without answers stands in the middle: neither is it better for this person nor worse.
            return min((_divergence(mine, habit) for habit in known), default=0.05)

        return _sorted(offers, fit)


def _divergence(p: NDArray[np.float64], q: NDArray[np.float64]) -> float:
    middle = (p + q) / 2.0
    return float((p * np.log(p / middle) + q * np.log(q / middle)).sum() / 2.0)


def label_skill(
    answers: Mapping[tuple[str, str], str], settled: Mapping[str, str], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Return each person's accuracy on each label, shrunk to their accuracy over all, and that to .8.

    Parameters
    ----------
    answers : mapping of (person, example id) to label
        Skips are passed over.
    settled : mapping of example id to label
        What is known of the texts: rulings, or the majority of at least two other people.

    Returns
    -------
    dict of str to dict of str to float
        Only people with at least one answer to a settled text.
    """
    right: dict[str, Counter[str]] = {}
    seen: dict[str, Counter[str]] = {}
    for (person, example_id), label in answers.items():
        truth = settled.get(example_id)
        if truth is None or label == SKIP:
            continue
        seen.setdefault(person, Counter())[truth] += 1
        right.setdefault(person, Counter())[truth] += label == truth
    found = {}
    for person, counts in seen.items():
        overall = (right[person].total() + 0.8 * PRIOR_ANSWERS) / (counts.total() + PRIOR_ANSWERS)
        found[person] = {
            label: (right[person][label] + overall * PRIOR_ANSWERS) / (counts[label] + PRIOR_ANSWERS)
            for label in (*labels, NONE_OF_THESE)
        }
    return found
