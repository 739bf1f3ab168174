"""Which texts teach: those of people, those with soft labels, and those that are held out."""

import zlib
from dataclasses import dataclass

import numpy as np

from llm_al.answers import Answers
from llm_al.loop import Loop
from llm_al.supervision import Mixture
from llm_al.types import Positions, Proba

__all__ = ["Draw", "draw_rows", "last_mixture", "seed_for"]

_MOST_HELD_OUT = 500
_HELD_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Draw:
    """Pool rows by what they are for.

    Parameters
    ----------
    human : ndarray of shape (h,)
        Labelled by people.
    targets : ndarray of shape (h, c)
        Their labels.
    soft : ndarray of shape (m,)
        The small student learns what the teachers say of them.
    held_out : ndarray of shape (r,)
        Nothing learns from them; there the small student is compared with its teachers.
    """

    human: Positions
    targets: Proba
    soft: Positions
    held_out: Positions


def seed_for(plan_seed: int, number: int, step: str) -> int:
    """Return the seed of something that happens after a round."""
    return int(np.random.SeedSequence([plan_seed, number, zlib.crc32(step.encode())]).generate_state(1)[0])


def last_mixture(loop: Loop, number: int) -> Mixture:
    """Return what the student of a finished round learned from, mixed again from the store; nothing is written.

    Answers that came after the round count too: they are paid for.
    """
    situation = loop.situation
    accepted = situation.candidates().accepted(situation.certificate(number), loop.corpus)
    return loop.mixture(number, situation.answers(), accepted)


def draw_rows(mixture: Mixture, answers: Answers, max_rows: int, rng: np.random.Generator) -> Draw:
    """Deal the pool out.

    Parameters
    ----------
    mixture : Mixture
        Its first rows are those of people.
    answers : Answers
        Texts that people hold to be outside of all labels, or have left undecided, are used for nothing.
    max_rows : int
        Of soft labels, at most.
    rng : Generator
    """
    n_human = mixture.summary.n_human
    human = mixture.positions[:n_human]
    is_free = ~answers.is_asked
    is_free[human] = False
    # What the teachers learned from says nothing about texts that they have not seen.
    is_unseen = is_free.copy()
    is_unseen[mixture.positions] = False
    unseen = rng.permutation(np.flatnonzero(is_unseen))
    held_out = np.sort(unseen[: min(_MOST_HELD_OUT, int(_HELD_OUT_SHARE * len(unseen)))])
    is_free[held_out] = False
    soft = np.flatnonzero(is_free)
    if len(soft) > max_rows:
        soft = np.sort(rng.choice(soft, max_rows, replace=False))
    return Draw(human, mixture.targets[:n_human], soft, held_out)
