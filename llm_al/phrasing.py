"""How a question is put to a person."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Form", "Phrasing"]


class Form(StrEnum):
    """How a question is put to a person."""

    LIST = "list"
    """All labels."""
    CANDIDATES = "candidates"
    """The labels that are plausible first, the others one key away."""
    VERIFY = "verify"
    """Yes or no to one label; no leads on to the list."""
    PAIR = "pair"
    """One of two labels, or neither."""
    BULK = "bulk"
    """One label for several similar texts, each of which can be taken out."""


@dataclass(frozen=True, slots=True)
class Phrasing:
    """How one question is put.

    Parameters
    ----------
    form : Form
    options : tuple of str
        Labels that are offered first, likeliest first: one for `VERIFY` and `BULK`, two for `PAIR`. With `LIST` they
        are not shown, nor is any other proposal: they are kept to see how often the answer would have been among them.
    coverage : float or None
        Probability with which `options` is meant to hold the answer.
    cluster : str
        Questions of one round with the same cluster are shown together (`BULK`).
    """

    form: Form = Form.LIST
    options: tuple[str, ...] = ()
    coverage: float | None = None
    cluster: str = ""
