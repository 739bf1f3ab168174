"""What is known of a table of votes before anybody's reliability is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.consensus._correlation import error_correlation, independence
from llm_al.consensus._opinion import Opinion, read_opinion
from llm_al.consensus._votes import Votes, mask_overruled
from llm_al.types import Known

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Trust:
    """Settings of who is listened to.

    Parameters
    ----------
    people_stand : bool
        Whether machines and the student are silent where people answered and none of them disagrees.
    correlation, correlation_strength : float
        Of machines' errors; see `error_correlation`. Unless people stand, gold alone tells what an error is.
    """

    people_stand: bool
    correlation: float
    correlation_strength: float


@dataclass(frozen=True)
class Evidence:
    """Votes with what each counts.

    Parameters
    ----------
    votes : Votes
    weight : ndarray, one an entry
        What a vote counts for its example, in [0, 1].
    is_lesson : ndarray of bool, one an entry
        Whether something can be learned from the vote about its voter: another voter, the student or gold speaks of
        the same example. A voter alone would confirm itself.
    student : Opinion
    """

    votes: Votes
    weight: Floats
    is_lesson: NDArray[np.bool_]
    student: Opinion

    def estimated(self, accuracy: Floats) -> dict[str, float]:
        """Return the accuracy, one a voter, of each voter of whom anything was learned, by name."""
        is_learned = np.bincount(self.votes.voter[self.is_lesson], minlength=len(self.votes.voters)) > 0
        rows = zip(self.votes.voters, accuracy, is_learned, strict=True)
        return {name: float(a) for name, a, known in rows if known}


def gather(votes: Votes, known: Known | None, trust: Trust) -> Evidence:
    """Weigh votes by who stands against whom and by how far machines err together.

    Raises
    ------
    ShapeError
        If a student's probabilities are not one a label.
    """
    settings = {"prior": trust.correlation, "strength": trust.correlation_strength}
    together = error_correlation(votes, **settings, trusts_people=trust.people_stand)
    weight, may_speak = independence(votes, together), np.ones(len(votes.example_ids), dtype=np.bool_)
    if trust.people_stand:
        weight = weight * mask_overruled(votes)
        may_speak = ~votes.is_settled_by_people
    student = read_opinion(votes, known, may_speak=may_speak)
    return Evidence(votes, weight, _is_shared(votes) | student.is_heard[votes.example], student)


def _is_shared(votes: Votes) -> NDArray[np.bool_]:
    """Entries on examples that more than one voter answered, or whose label is gold."""
    pairs = np.unique(np.stack([votes.example, votes.voter]), axis=1)
    n_voters = np.bincount(pairs[0], minlength=len(votes.example_ids))
    is_shared = (n_voters > 1) | (votes.gold >= 0)
    return np.asarray(is_shared[votes.example], dtype=np.bool_)
