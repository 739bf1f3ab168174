"""Compare training sets on people's labels by cross-validation, with a quick head in the student's place."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_al.errors import ShapeError
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.pseudo_labels._names import named_rows
from llm_al.types import Embeddings, Proba

Floats = NDArray[np.float64]
Without = Callable[[NDArray[np.intp]], "Rows"]

_CLIP = 1e-3
_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.1, 4.0, 25))


@dataclass(frozen=True)
class Rows:
    """Labelled rows of one source.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        Unit-length rows; no text that people labelled occurs in another source.
    targets : ndarray of shape (n, c)
        Soft labels; rows sum to 1.
    weights : ndarray of shape (n,)
        Positive weights, before a multiplier.
    without : callable, optional
        Gives the rows as they would be if some of people's labels, named by their indices, were not known. Rows whose
        targets know nothing of people's labels need none.

    Raises
    ------
    ShapeError
        If lengths differ.
    """

    embeddings: Embeddings
    targets: Proba
    weights: Floats
    without: Without | None = None

    def __post_init__(self) -> None:
        if not len(self.embeddings) == len(self.targets) == len(self.weights):
            raise ShapeError(
                f"got {len(self.embeddings)} embeddings, {len(self.targets)} targets and {len(self.weights)} weights; "
                "give one of each a row"
            )

    def __len__(self) -> int:
        return len(self.weights)

    def at(self, rows: NDArray[np.intp]) -> "Rows":
        """Return some of the rows."""
        return Rows(self.embeddings[rows], self.targets[rows], self.weights[rows])

    def times(self, factor: float) -> "Rows":
        """Return the rows with other weights."""
        return Rows(self.embeddings, self.targets, self.weights * factor)

    def drawn(self, n: int, rng: np.random.Generator) -> "Rows":
        """Return at most n random rows, which weigh as much as all of them."""
        if len(self) <= n:
            return self
        rows = self.at(np.sort(rng.choice(len(self), n, replace=False)))
        return rows.times(float(self.weights.sum() / rows.weights.sum()))


@dataclass(frozen=True)
class Fold:
    """People's rows of one fold, the rows added so far, and the head trained on all of these."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    rows: tuple[Rows, ...]
    head: Floats


@dataclass(frozen=True)
class Score:
    """Log loss and hits of each person-labelled row, when it was left out."""

    loss: Floats
    is_right: NDArray[np.bool_]
    folds: tuple[Fold, ...]


def is_taught(human: Rows, tests: Sequence[NDArray[np.intp]]) -> NDArray[np.bool_]:
    """Mark the rows whose class the other folds have an example of, shape (n,).

    A class of one example cannot be known without it, so that such a row speaks for any other source, whose labels
    are in truth added to that example.
    """
    truth, taught = human.targets.argmax(axis=1), np.zeros(len(human), dtype=np.bool_)
    for test in tests:
        taught[test] = np.isin(truth[test], np.delete(truth, test))
    return taught


def alone(human: Rows, tests: Sequence[NDArray[np.intp]], names: Embeddings | None) -> Score:
    """Score people's labels without another source."""
    folds = []
    for test in tests:
        train = np.setdiff1d(np.arange(len(human)), test)
        own = human.at(train)
        named, classes = named_rows(own.embeddings, names, human.targets.shape[1])
        rows = (own, Rows(named, classes, np.ones(len(named)))) if len(named) else (own,)
        folds.append(Fold(train, test, rows, fit_rows(rows)))
    return score(human, tuple(folds))


def fit_rows(rows: Sequence[Rows], start: Floats | None = None) -> Floats:
    """Fit the quick head to the rows of several sources."""
    return fit_head(
        np.concatenate([part.embeddings for part in rows]),
        np.concatenate([part.targets for part in rows]),
        np.concatenate([part.weights for part in rows]),
        start=start,
    )


def with_added(human: Rows, added: Sequence[Rows], base: Score, starts: Sequence[Floats]) -> Score:
    """Score the folds of `base` with rows more, those of the fold's number."""
    folds = []
    for fold, extra, start in zip(base.folds, added, starts, strict=True):
        rows = (*fold.rows, extra)
        folds.append(Fold(fold.train, fold.test, rows, fit_rows(rows, start)))
    return score(human, tuple(folds))


def score(human: Rows, folds: tuple[Fold, ...]) -> Score:
    """Return how well the heads of the folds foretell the rows that they have not seen."""
    truth = human.targets.argmax(axis=1)
    proba = np.zeros(human.targets.shape)
    for fold in folds:
        proba[fold.test] = predict_head(fold.head, human.embeddings[fold.test])
    # More rows sharpen a regularised head whatever they say; each arm gets its own temperature, so that only
    # what it knows is compared.
    losses = [_log_loss(proba, truth, temperature) for temperature in _TEMPERATURES]
    return Score(min(losses, key=lambda loss: float(loss.mean())), proba.argmax(axis=1) == truth, folds)


def mean_and_error(values: Floats) -> tuple[float, float]:
    """Return the mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _log_loss(proba: Proba, truth: NDArray[np.intp], temperature: float) -> Floats:
    logits = np.log(np.maximum(proba, 1e-12)) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    given = odds[np.arange(len(truth)), truth] / odds.sum(axis=1)
    return np.asarray(-np.log(np.maximum(given, _CLIP)), dtype=np.float64)
