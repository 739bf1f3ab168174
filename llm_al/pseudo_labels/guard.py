"""Keep a source of labels out of the training set when people's labels say that it hurts."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError, ShapeError
from llm_al.pseudo_labels._head import fit_head, predict_head
from llm_al.types import Embeddings, Proba, Source

__all__ = ["Guard", "Rows", "Verdict"]

Floats = NDArray[np.float64]

_CLIP = 1e-3
_TEMPERATURES = tuple(float(t) for t in np.geomspace(0.1, 4.0, 25))


@dataclass(frozen=True)
class Rows:
    """Labelled rows of one source.

    Parameters
    ----------
    embeddings : ndarray of shape (n, d)
        Unit-length rows; no text of one source occurs in another.
    targets : ndarray of shape (n, c)
        Soft labels; rows sum to 1.
    weights : ndarray of shape (n,)
        Positive weights, before a multiplier.

    Raises
    ------
    ShapeError
        If lengths differ.
    """

    embeddings: Embeddings
    targets: Proba
    weights: Floats

    def __post_init__(self) -> None:
        if not len(self.embeddings) == len(self.targets) == len(self.weights):
            raise ShapeError(
                f"got {len(self.embeddings)} embeddings, {len(self.targets)} targets and {len(self.weights)} weights; "
                "give one of each a row"
            )

    def __len__(self) -> int:
        return len(self.weights)


@dataclass(frozen=True)
class Verdict:
    """What may enter the training set, and with which factor on its weights; 0 keeps a source out."""

    sources: tuple[Source, ...]
    llm_weight: float
    pseudo_weight: float
    reason: str


@dataclass(frozen=True)
class _Fold:
    """Rows of one cross-validation fold and the head trained on what is already accepted."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    head: Floats


@dataclass(frozen=True)
class _Score:
    """Log loss and hits of each person-labelled row, when it was left out."""

    loss: Floats
    is_right: NDArray[np.bool_]
    folds: tuple[_Fold, ...]


@dataclass(frozen=True)
class Guard:
    """Compare training sets by cross-validation on people's labels only.

    A softmax head on the frozen embeddings stands in for the student. Folds are stratified over people's labels; a
    tested row is always a person's. Sources are added one after the other, first the LLM, then pseudo-labels, each
    with every factor of `multipliers`; the best factor stays if its mean paired gain in log loss is positive and at
    least `min_gain_se` standard errors, and its accuracy has not fallen by more than one standard error. So {human},
    {human + llm}, and either of the two with pseudo-labels are compared.

    A pseudo-label knows the tested row, because the student that gave it has seen that row. It is therefore
    given anew in each fold, by the head that has not. Predictions of each training set are compared at their own best
    temperature.

    With too few labels of people to compare (fewer than `min_human` or two a class) the LLM's accepted labels stay
    with the smallest factor, since the audit vouches for them, and pseudo-labels stay out, since nothing does.

    Parameters
    ----------
    n_folds : int
        At least 2.
    multipliers : tuple of float
        Factors on the weights of an added source.
    min_gain_se : float
        Standard errors that a source must gain.
    min_human : int
        Fewest labels of people for a comparison.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    n_folds: int = 5
    multipliers: tuple[float, ...] = (0.1, 0.3, 1.0)
    min_gain_se: float = 1.0
    min_human: int = 20

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise ConfigError(f"n_folds is {self.n_folds}; allowed is 2 or more; correct it")
        if not self.multipliers or min(self.multipliers) <= 0:
            raise ConfigError(f"multipliers is {self.multipliers}; give at least one, all of them positive")

    def choose(self, human: Rows, llm: Rows | None, pseudo: Rows | None, rng: np.random.Generator) -> Verdict:
        """Return which sources the student may learn from, with factors and the reason."""
        # Dozens of small fits: several threads gain nothing on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._choose(human, llm, pseudo, rng)

    def _choose(self, human: Rows, llm: Rows | None, pseudo: Rows | None, rng: np.random.Generator) -> Verdict:
        llm = llm if llm is not None and len(llm) else None
        pseudo = pseudo if pseudo is not None and len(pseudo) else None
        if llm is None and pseudo is None:
            return Verdict((Source.HUMAN,), 0.0, 0.0, "only people's labels are at hand")
        n_classes = len(np.unique(human.targets.argmax(axis=1)))
        if n_classes < 2 or len(human) < max(self.min_human, 2 * n_classes):
            return self._without_comparison(len(human), n_classes, has_llm=llm is not None)
        base = self._cross_validate(human, self._folds(human, rng))
        llm_weight, llm_reason, base = self._try(human, llm, base, name="LLM labels")
        kept = _scale(llm, llm_weight) if llm is not None and llm_weight else None
        pseudo_weight, pseudo_reason, _ = self._try(human, pseudo, base, name="pseudo-labels", kept=kept)
        weights = {Source.HUMAN: 1.0, Source.LLM: llm_weight, Source.PSEUDO: pseudo_weight}
        sources = tuple(source for source, weight in weights.items() if weight)
        reasons = "; ".join(reason for reason in (llm_reason, pseudo_reason) if reason)
        return Verdict(
            sources, llm_weight, pseudo_weight, f"cross-validated on {len(human)} labels of people: {reasons}"
        )

    def _without_comparison(self, n_human: int, n_classes: int, *, has_llm: bool) -> Verdict:
        weight = min(self.multipliers) if has_llm else 0.0
        sources = (Source.HUMAN, Source.LLM) if has_llm else (Source.HUMAN,)
        llm = f"accepted LLM labels stay with a factor of {weight:g}, " if has_llm else ""
        needed = max(self.min_human, 2 * n_classes)
        return Verdict(
            sources,
            weight,
            0.0,
            f"{n_human} labels of people over {n_classes} classes are too few to compare sources "
            f"(at least {needed} over 2 classes are needed): {llm}pseudo-labels stay out",
        )

    def _folds(self, human: Rows, rng: np.random.Generator) -> list[NDArray[np.intp]]:
        """Deal shuffled rows to folds class by class, going on where the last class ended."""
        shuffled = rng.permutation(len(human))
        dealt = shuffled[np.argsort(human.targets.argmax(axis=1)[shuffled], kind="stable")]
        return [np.sort(dealt[start :: self.n_folds]) for start in range(self.n_folds)]

    def _cross_validate(self, human: Rows, tests: list[NDArray[np.intp]]) -> _Score:
        folds = []
        for test in tests:
            train = np.setdiff1d(np.arange(len(human)), test)
            head = fit_head(human.embeddings[train], human.targets[train], human.weights[train])
            folds.append(_Fold(train, test, head))
        return _score(human, tuple(folds))

    def _try(
        self, human: Rows, added: Rows | None, base: _Score, *, name: str, kept: Rows | None = None
    ) -> tuple[float, str, _Score]:
        """Return the factor of the added source (0: out), the reason and the score to beat from here on."""
        if added is None:
            return 0.0, "", base
        is_own = name == "pseudo-labels"
        trials = {
            factor: _with_added(human, _scale(added, factor), base, kept=kept, is_own=is_own)
            for factor in self.multipliers
        }
        gains = {factor: base.loss - trial.loss for factor, trial in trials.items()}
        best = max(gains, key=lambda factor: float(gains[factor].mean()))
        gain, gain_se = _mean_and_error(gains[best])
        change, change_se = _mean_and_error(trials[best].is_right.astype(np.float64) - base.is_right)
        figures = (
            f"log loss changes by {-gain:+.3f} (standard error {gain_se:.3f}), accuracy by {change:+.3f} "
            f"at their best factor {best:g}"
        )
        if gain > 0 and gain >= self.min_gain_se * gain_se and change >= -change_se:
            return best, f"{name} stay: {figures}", trials[best]
        return 0.0, f"{name} stay out, no clear gain: {figures}", base


def _scale(rows: Rows, factor: float) -> Rows:
    return Rows(rows.embeddings, rows.targets, rows.weights * factor)


def _with_added(human: Rows, added: Rows, base: _Score, *, kept: Rows | None, is_own: bool) -> _Score:
    folds = []
    for fold in base.folds:
        targets = added.targets
        if is_own:
            targets = np.eye(human.targets.shape[1])[predict_head(fold.head, added.embeddings).argmax(axis=1)]
        parts = [Rows(human.embeddings[fold.train], human.targets[fold.train], human.weights[fold.train])]
        parts += [kept] if kept is not None else []
        parts += [Rows(added.embeddings, targets, added.weights)]
        head = fit_head(
            np.concatenate([part.embeddings for part in parts]),
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.weights for part in parts]),
            start=fold.head,
        )
        folds.append(_Fold(fold.train, fold.test, head))
    return _score(human, tuple(folds))


def _score(human: Rows, folds: tuple[_Fold, ...]) -> _Score:
    truth = human.targets.argmax(axis=1)
    proba = np.zeros(human.targets.shape)
    for fold in folds:
        proba[fold.test] = predict_head(fold.head, human.embeddings[fold.test])
    # More rows sharpen a regularised head whatever they say; each arm gets its own temperature, so that only
    # what it knows is compared.
    losses = [_log_loss(proba, truth, temperature) for temperature in _TEMPERATURES]
    return _Score(min(losses, key=lambda loss: float(loss.mean())), proba.argmax(axis=1) == truth, folds)


def _log_loss(proba: Proba, truth: NDArray[np.intp], temperature: float) -> Floats:
    logits = np.log(np.maximum(proba, 1e-12)) / temperature
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    given = odds[np.arange(len(truth)), truth] / odds.sum(axis=1)
    return np.asarray(-np.log(np.maximum(given, _CLIP)), dtype=np.float64)


def _mean_and_error(values: Floats) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
