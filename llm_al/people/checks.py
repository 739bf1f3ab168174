"""Questions that check the person instead of the text: known labels, and texts that they have answered before."""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection

from llm_al.config import HumanSettings
from llm_al.store.assignments import TicketState
from llm_al.store.store import SqlStore
from llm_al.store.tickets import Handed, TicketKind

__all__ = ["Checks"]

_RE_ASK_AFTER = 20
"""Answers that must lie between a question and its repetition."""
_RE_ASK_AMONG = 200


@dataclass(frozen=True)
class Checks:
    """Now and then asks a question whose answer says something about the person.

    Which of a person's questions is a check follows from the seed, the person and how many they were given, so that a
    page that is loaded again does not roll the dice again. Nobody is checked with a text that they have seen.
    """

    store: SqlStore
    settings: HumanSettings
    seed: int

    def draw(self, connection: Connection, annotator: str, *, expires_s: float, now: float) -> Handed | None:
        """Hand a check to a person, if it is time for one and there is one."""
        gold_rate, re_ask_rate = self.settings.gold_rate, self.settings.re_ask_rate
        if not gold_rate + re_ask_rate:
            return None
        n_given = self.store.tickets.n_given(connection, annotator)
        dice = _uniform(self.seed, annotator, n_given)
        if dice < gold_rate:
            kind, ordinals = TicketKind.GOLD, self._gold(connection, annotator)
        elif dice < gold_rate + re_ask_rate:
            kind, ordinals = TicketKind.RE_ASK, self._answered_long_ago(connection, annotator)
        else:
            return None
        if not ordinals:
            return None
        ordinal = ordinals[int(_uniform(self.seed, annotator, -1 - n_given) * len(ordinals))]
        return self.store.tickets.check(connection, annotator, ordinal, kind, expires_s=expires_s, now=now)

    def _gold(self, connection: Connection, annotator: str) -> list[int]:
        ids = [id_ for id_, r in self.store.rulings.standing().items() if r.is_gold and r.person != annotator]
        if not ids:
            return []
        known = {
            annotation.example_id for annotation in self.store.annotations(ids=ids) if annotation.source == annotator
        }
        seen = self.store.tickets.seen(connection, annotator)
        ordinals = self.store.ordinals_of([id_ for id_ in ids if id_ not in known])
        return [int(ordinal) for ordinal in ordinals if int(ordinal) not in seen]

    def _answered_long_ago(self, connection: Connection, annotator: str) -> list[int]:
        past = self.store.tickets.history(connection, annotator, _RE_ASK_AMONG)
        again = {handed.ordinal for handed in past if handed.kind is not TicketKind.LABEL}
        old = [h for h in past[_RE_ASK_AFTER:] if h.kind is TicketKind.LABEL and h.state is TicketState.ANSWERED]
        return [handed.ordinal for handed in old if handed.ordinal not in again]


def _uniform(seed: int, name: str, n: int) -> float:
    """Return a number in [0, 1) that depends on nothing but the arguments."""
    digest = hashlib.blake2b(f"{seed}:{name}:{n}".encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return int.from_bytes(digest) / 2.0**56
