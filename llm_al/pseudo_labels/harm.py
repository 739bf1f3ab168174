"""Keep texts that nobody vouches for out of the training set when they hurt what people have labelled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError
from llm_al.pseudo_labels._folds import deal
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.pseudo_labels.guard import Rows

__all__ = ["HarmCheck"]


@dataclass(frozen=True)
class HarmCheck:
    """Compare training sets with and without some rows by cross-validation on people's labels only.

    The guard asks for a gain. Rows of classes that people have never labelled cannot show one: no tested row
    is of their class. What they can do is draw rows of other classes away, so they stay, with the largest
    factor of `factors`, while the accuracy on people's rows does not fall by more than one standard error.
    Where people have labelled such a class in the meantime, the same figure shows the gain too.

    With fewer than `min_human` labels of people the rows stay out: nothing could show the harm.

    Parameters
    ----------
    n_folds : int
        At least 2.
    factors : tuple of float
        On the rows' weights, tried from the largest down.
    min_human : int

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    n_folds: int = 5
    factors: tuple[float, ...] = (1.0, 0.3, 0.1)
    min_human: int = 20

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise ConfigError(f"n_folds is {self.n_folds}; allowed is 2 or more; correct it")
        if not self.factors or min(self.factors) <= 0:
            raise ConfigError(f"factors is {self.factors}; give at least one, all of them positive")

    def choose(
        self, human: Rows, kept: Rows, added: Rows, rng: np.random.Generator, *, name: str = "added rows"
    ) -> tuple[float, str]:
        """Return the factor of the added rows, 0 to leave them out, and the reason.

        Parameters
        ----------
        human : Rows
            People's labels; tested in folds.
        kept : Rows
            Rows of other sources that are in the training set anyway; may be empty.
        added : Rows
        name : str
            Of the added rows, for the reason.
        """
        if not len(added):
            return 0.0, ""
        if len(human) < self.min_human:
            return 0.0, f"{name} stay out: {len(human)} labels of people are too few (at least {self.min_human})"
        # Dozens of small fits: several threads gain nothing on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._choose(human, kept, added, rng, name)

    def _choose(self, human: Rows, kept: Rows, added: Rows, rng: np.random.Generator, name: str) -> tuple[float, str]:
        tests = deal(human.targets.argmax(axis=1), self.n_folds, rng)
        base, figures = _hits(human, [kept], tests), ""
        for factor in sorted(self.factors, reverse=True):
            scaled = Rows(added.embeddings, added.targets, added.weights * factor)
            change = _hits(human, [kept, scaled], tests) - base
            mean, error = float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change)))
            figures = f"accuracy on people's labels changes by {mean:+.3f} (standard error {error:.3f})"
            # Rounding must not decide about a single row.
            if mean >= -error - 1e-9:
                return factor, f"{name} stay with a factor of {factor:g}: {figures}"
        return 0.0, f"{name} stay out: {figures} even at the smallest factor"


def _hits(human: Rows, others: list[Rows], tests: list[NDArray[np.intp]]) -> NDArray[np.float64]:
    truth = human.targets.argmax(axis=1)
    is_right = np.zeros(len(human))
    for test in tests:
        train = np.setdiff1d(np.arange(len(human)), test)
        own = Rows(human.embeddings[train], human.targets[train], human.weights[train])
        parts = [own, *(rows for rows in others if len(rows))]
        head = fit_head(
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.weights for part in parts]),
        )
        is_right[test] = predict_head(head, human.embeddings[test]).argmax(axis=1) == truth[test]
    return is_right
