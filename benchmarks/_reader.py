"""A simulated person with a reading time: how long an answer takes in each form, and when it is wrong or swayed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.phrasing import Form
from llm_al.questions.choice import Choice
from llm_al.questions.times import Timed

NEAR = 5
"""A mistake falls on one of so many labels whose texts are most alike."""


@dataclass(frozen=True)
class Reader:
    """Seconds and habits of a person.

    Parameters
    ----------
    word_s : float
        60 / 238: the mean rate of silent reading (Brysbaert 2019).
    option_s : float
        Looking at a label and judging it. A quarter of a second is the lower end for choosing by meaning (Lee &
        MacGregor 1985); reading a label of three words at the rate above would take three quarters.
    decide_s : float
        A mental preparation and a key: 1.35 + .28 s (Card, Moran & Newell 1980). A text of a bulk question takes half.
    key_s : float
        The key that leads on to the whole list.
    search_s : float or None
        None: the list is scanned from its top to the label. A number: who knows the labels types part of one instead:
        1.35 + 3 * .28 s, and looks at two that are left.
    error : float
        Rate of mistakes; the same ones in every form.
    anchoring : float
        How often somebody whose label is not offered takes the first one that is.
    spread : float
        Standard deviation of the logarithm of an answer's seconds.
    """

    name: str = "base"
    word_s: float = 60 / 238
    option_s: float = 0.25
    decide_s: float = 1.63
    key_s: float = 0.28
    search_s: float | None = None
    error: float = 0.05
    anchoring: float = 0.0
    spread: float = 0.3

    def find_s(self, label: int) -> float:
        """Return the seconds of finding a label in the whole list, which is in the order of class indices."""
        scan_s = self.option_s * (label + 1)
        return scan_s if self.search_s is None else min(scan_s, self.search_s + 2 * self.option_s)

    def says(self, choice: Choice, meant: int, coin: float) -> int:
        """Return what is answered by somebody who would say `meant` on the whole list; `coin` is uniform in 0 ... 1."""
        is_swayed = choice.form is not Form.LIST and meant not in choice.options and coin < self.anchoring
        return choice.options[0] if is_swayed else meant

    def seconds(self, choice: Choice, label: int, n_words: int) -> float:
        """Return the expected seconds of an answer."""
        decide_s = self.decide_s / 2 if choice.form is Form.BULK else self.decide_s
        seconds = self.word_s * n_words + decide_s
        if choice.form is Form.LIST:
            return seconds + self.find_s(label)
        if label in choice.options:
            return seconds + self.option_s * (choice.options.index(label) + 1)
        return seconds + self.option_s * len(choice.options) + self.key_s + self.find_s(label)

    def timed(self, choice: Choice, label: int, n_words: int, noise: float) -> Timed:
        """Return what a page would measure of an answer."""
        is_offered = choice.form is not Form.LIST and label in choice.options
        looked = choice.options.index(label) + 1 if is_offered else len(choice.options)
        seconds = self.seconds(choice, label, n_words) * float(np.exp(self.spread * noise))
        return Timed(seconds, choice.form, n_words, looked, not is_offered)


BASE = Reader()
READERS = (
    BASE,
    Reader("options in half the time", option_s=0.125),
    Reader("options in double the time", option_s=0.5),
    Reader("options in .08 s, as for a known word", option_s=0.08),
    Reader("types to find a label", search_s=1.35 + 3 * 0.28),
    Reader("types, options in half the time", option_s=0.125, search_s=1.35 + 3 * 0.28),
    Reader("reads half as fast", word_s=120 / 238),
)


def meant(
    gold: NDArray[np.int64], vectors: NDArray[np.float32], error: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return what a person would say about each text on the whole list."""
    classes = np.unique(gold)
    centres = np.stack([vectors[gold == label].mean(axis=0) for label in classes])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    near = np.argsort(-(centres @ centres.T) + 9.0 * np.eye(len(classes)), axis=1)[:, : min(NEAR, len(classes) - 1)]
    said, wrong = gold.copy(), np.flatnonzero(rng.random(len(gold)) < error)
    picks = rng.integers(near.shape[1], size=len(wrong))
    said[wrong] = classes[near[np.searchsorted(classes, gold[wrong]), picks]]
    return said
