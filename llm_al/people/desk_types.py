"""What a person sees at the desk, and what they say."""

from dataclasses import dataclass

from llm_al.people.suggestions import Suggested
from llm_al.phrasing import Form

__all__ = ["Member", "Past", "Reply", "Standing", "Ticket"]


@dataclass(frozen=True, slots=True)
class Member:
    """One text of several that are asked about together."""

    ticket: int
    text: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """A question as a person sees it; nothing in it tells whether it checks the person.

    Parameters
    ----------
    form : str
        See `llm_al.phrasing.Form`.
    options : tuple of str
        Labels to offer first.
    suggestions : tuple of Suggested
        What machines propose, surest first; empty when `is_blind`.
    reason : str
        Why it is asked; empty when `is_blind`.
    members : tuple of Member
        The texts of a bulk question, this one among them; empty otherwise.
    expires_s : float
        Until when it is theirs, in seconds since the epoch.
    """

    id: int
    example_id: str
    text: str
    form: str
    options: tuple[str, ...]
    suggestions: tuple[Suggested, ...]
    is_blind: bool
    reason: str
    members: tuple[Member, ...]
    expires_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What a person said.

    Parameters
    ----------
    label : str
        A label of the scheme, `NONE_OF_THESE` where it is open, or `SKIP`.
    seconds : float or None
        Time that it took.
    form : str
        How the question was put in the end: a person may have asked for the whole list.
    """

    ticket: int
    label: str
    seconds: float | None = None
    note: str = ""
    is_suggestion_shown: bool = False
    form: str = Form.LIST.value


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier answer of the person."""

    ticket: int
    text: str
    label: str
    note: str
    answered_s: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How far things are, for one person.

    Parameters
    ----------
    waiting : int
        Questions that they could be given now, those in their hands included.
    mine, mine_today : int
        Answers of theirs, in all and since midnight.
    state : str
        ``ok``; ``learning`` (a round is being run), ``empty`` (nothing for this person now) or ``finished``.
    """

    waiting: int
    mine: int
    mine_today: int
    state: str
