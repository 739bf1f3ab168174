"""Keep a source of labels out of the training set when people's labels say that it hurts."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError
from llm_al.pseudo_labels._comparison import Rows, Score, alone, is_taught, mean_and_error, with_added
from llm_al.pseudo_labels._folds import deal
from llm_al.pseudo_labels._head import predict_head
from llm_al.types import Embeddings, Source

__all__ = ["Guard", "Rows", "Verdict"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What may enter the training set, and with which factor on its weights; 0 keeps a source out."""

    sources: tuple[Source, ...]
    llm_weight: float
    pseudo_weight: float
    reason: str


@dataclass(frozen=True)
class _Bar:
    """Standard errors by which log loss must at least gain, and accuracy at most may fall."""

    gain: float
    fall: float


@dataclass(frozen=True)
class _Known:
    """What every comparison needs: people's rows, the folds' scores, which rows count, and a bonus in nats."""

    human: Rows
    counts: NDArray[np.bool_]
    base: Score
    bar: _Bar
    bonus: float = 0.0


@dataclass(frozen=True)
class Guard:
    """Compare training sets by cross-validation on people's labels only.

    A softmax head on the frozen embeddings, with the labels' names for a prior where there are any, stands in for the
    student. Folds are stratified over people's labels; a tested row is always a person's. Sources are added one after
    the other, first the LLM, then pseudo-labels, each with every factor of `multipliers`: so {human}, {human + llm},
    and either of the two with pseudo-labels are compared. Predictions of each training set are compared at their own
    best temperature.

    Which factor: the one with the largest ``sum of gains in log loss - (log(factor / prior_factor) / prior_sd)^2 / 2``.
    With few labels of people this stays near `prior_factor`, with many the labels decide. Whether at all: LLM labels
    stay if their mean paired gain is at least `min_gain_se` standard errors, and accuracy has not fallen by more than
    one. Their sum of gains gets ``prior_gain * (2 - labels a class)`` nats, at most `prior_gain` and at least 0: below
    two labels a class other labels help unless the evidence speaks against it. They may have come in without a test,
    so that they have to pass it each time.

    Pseudo-labels only need a gain that is not negative: propagation, which gives them by default, has passed a test of
    its own, and the labels that people give in a loop, the doubtful ones, understate what they do for the pool.
    (banking77, held-out rows, two seeds: with one standard error to pass they stayed out up to 385 labels, where they
    give .841 against .828.) Those that were let in the round before stay until they lose a standard error: a verdict
    near the border would else flip from round to round, and take the student with it (agnews, 70 labels: .88 fell to
    .80 for one round). Accuracy may fall by two standard errors: at one, chance kept them out of rounds in which their
    log loss had gained four (subj, 110 labels: .913 fell to .903 for one round).

    A row counts only if the other folds have an example of its class: where every class has one label, a test on it
    would ask what nobody can know without it, and speak for any source. With fewer than `min_human` such rows nothing
    can be compared: then the LLM's labels stay with `prior_factor`, since an audit or their noise matrices vouch for
    them, and pseudo-labels stay out, since nothing does.

    No label may know the row that it is tested on. A source whose labels depend on people's is given anew in each
    fold, by `Rows.without`, as those of propagation are; pseudo-labels that cannot be are given by the head of the
    fold, which is why the student learns only from those that a head of the known labels gives too
    (`llm_al.pseudo_labels.witness`).

    Parameters
    ----------
    n_folds : int
        At least 2.
    multipliers : tuple of float
        Factors on the weights of an added source.
    min_gain_se : float
        Standard errors that LLM labels must gain.
    pseudo_gain_se : float
        Standard errors that pseudo-labels must gain to be let in.
    max_fall_se : float
        Standard errors by which pseudo-labels may cost accuracy, where log loss gains.
    kept_loss_se : float
        Standard errors of log loss that pseudo-labels in use may cost before they are put out.
    min_human : int
        Fewest labels of people for a comparison.
    prior_factor, prior_sd : float
        Where the factor is thought to lie, and how far off on a natural logarithm. Both positive.
    prior_gain : float
        In nats; 0 or more.
    max_added : int
        Of a larger source so many rows are drawn for the comparison, which weigh as much as all.

    Raises
    ------
    ConfigError
        If a setting is out of range.
    """

    n_folds: int = 5
    multipliers: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0)
    min_gain_se: float = 1.0
    pseudo_gain_se: float = 0.0
    max_fall_se: float = 2.0
    kept_loss_se: float = 1.0
    min_human: int = 20
    prior_factor: float = 0.3
    prior_sd: float = 1.5
    prior_gain: float = 3.0
    max_added: int = 1500

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise ConfigError(f"n_folds is {self.n_folds}; allowed is 2 or more; correct it")
        if not self.multipliers or min(self.multipliers) <= 0:
            raise ConfigError(f"multipliers is {self.multipliers}; give at least one, all of them positive")
        for name in ("prior_factor", "prior_sd", "max_added"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is more than 0; correct it")
        for name in ("prior_gain", "min_gain_se", "pseudo_gain_se", "max_fall_se", "kept_loss_se"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is 0 or more; correct it")

    def choose(
        self,
        human: Rows,
        llm: Rows | None,
        pseudo: Rows | None,
        rng: np.random.Generator,
        *,
        names: Embeddings | None = None,
        in_use: Collection[Source] = (),
    ) -> Verdict:
        """Return which sources the student may learn from, with factors and the reason.

        Parameters
        ----------
        human, llm, pseudo : Rows
        rng : Generator
            Deals the folds.
        names : ndarray of shape (c, d), optional
            Vectors of the labels' names, where the student learns from them.
        in_use : collection of Source
            What the student of the round before learned from.
        """
        # Dozens of small fits: several threads gain nothing on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._choose(human, _none_if_empty(llm), _none_if_empty(pseudo), rng, names, in_use)

    def _choose(
        self,
        human: Rows,
        llm: Rows | None,
        pseudo: Rows | None,
        rng: np.random.Generator,
        names: Embeddings | None,
        in_use: Collection[Source],
    ) -> Verdict:
        if llm is None and pseudo is None:
            return Verdict((Source.HUMAN,), 0.0, 0.0, "only people's labels are at hand")
        n_classes = len(np.unique(human.targets.argmax(axis=1)))
        tests = deal(human.targets.argmax(axis=1), self.n_folds, rng)
        counts = is_taught(human, tests)
        if n_classes < 2 or counts.sum() < self.min_human:
            return self._without_comparison(int(counts.sum()), n_classes, has_llm=llm is not None)
        per_class = len(human) / human.targets.shape[1]
        bonus = self.prior_gain * float(np.clip(2.0 - per_class, 0.0, 1.0))
        known = _Known(human, counts, alone(human, tests, names), _Bar(self.min_gain_se, 1.0), bonus)
        llm_weight, llm_reason, base = self._try(known, llm, rng, name="LLM labels")
        needed = -self.kept_loss_se if Source.PSEUDO in in_use else self.pseudo_gain_se
        known = _Known(human, counts, base, _Bar(needed, self.max_fall_se))
        pseudo_weight, pseudo_reason, _ = self._try(known, pseudo, rng, name="pseudo-labels")
        weights = {Source.HUMAN: 1.0, Source.LLM: llm_weight, Source.PSEUDO: pseudo_weight}
        sources = tuple(source for source, weight in weights.items() if weight)
        reasons = "; ".join(reason for reason in (llm_reason, pseudo_reason) if reason)
        return Verdict(
            sources, llm_weight, pseudo_weight, f"cross-validated on {counts.sum()} labels of people: {reasons}"
        )

    def _without_comparison(self, n_counted: int, n_classes: int, *, has_llm: bool) -> Verdict:
        weight = min(self.multipliers, key=lambda factor: abs(np.log(factor / self.prior_factor))) if has_llm else 0.0
        sources = (Source.HUMAN, Source.LLM) if has_llm else (Source.HUMAN,)
        llm = f"LLM labels stay with a factor of {weight:g}, " if has_llm else ""
        return Verdict(
            sources,
            weight,
            0.0,
            f"{n_counted} labels of people have another of their class, over {n_classes} classes; these are too few "
            f"to compare sources (at least {self.min_human} over 2 classes are needed): "
            f"{llm}pseudo-labels stay out",
        )

    def _try(
        self, known: _Known, added: Rows | None, rng: np.random.Generator, *, name: str
    ) -> tuple[float, str, Score]:
        """Return the factor of the added source (0: out), the reason and the score to beat from here on."""
        base, counts = known.base, known.counts
        if added is None:
            return 0.0, "", base
        trials = self._trials(known, added, rng, is_own=name == "pseudo-labels")
        gains = {factor: (base.loss - trial.loss)[counts] for factor, trial in trials.items()}
        best = max(gains, key=lambda factor: float(gains[factor].sum()) + self._log_prior(factor))
        gain, gain_se = mean_and_error(gains[best])
        change = trials[best].is_right.astype(np.float64) - base.is_right
        more, more_se = mean_and_error(change[counts])
        figures = (
            f"log loss changes by {-gain:+.3f} (standard error {gain_se:.3f}), accuracy by {more:+.3f} "
            f"at their best factor {best:g}"
        )
        favoured = gain + known.bonus / counts.sum()
        if favoured >= known.bar.gain * gain_se and more >= -known.bar.fall * more_se:
            return best, f"{name} stay: {figures}", trials[best]
        return 0.0, f"{name} stay out, no clear gain: {figures}", base

    def _trials(self, known: _Known, added: Rows, rng: np.random.Generator, *, is_own: bool) -> dict[float, Score]:
        """Return the score of every factor, from the smallest up, each fit starting where the last one ended."""
        parts = [part.drawn(self.max_added, rng) for part in _anew(known, added, is_own=is_own)]
        trials, starts = {}, [fold.head for fold in known.base.folds]
        for factor in sorted(self.multipliers):
            scaled = [part.times(factor) for part in parts]
            trials[factor] = with_added(known.human, scaled, known.base, starts)
            starts = [fold.head for fold in trials[factor].folds]
        return trials

    def _log_prior(self, factor: float) -> float:
        return -0.5 * float((np.log(factor / self.prior_factor) / self.prior_sd) ** 2)


def _none_if_empty(rows: Rows | None) -> Rows | None:
    return rows if rows is not None and len(rows) else None


def _anew(known: _Known, added: Rows, *, is_own: bool) -> list[Rows]:
    """Return the source's rows for each fold, as they would be without the labels that it tests."""
    if added.without is not None:
        return [added.without(fold.test) for fold in known.base.folds]
    if not is_own:
        return [added] * len(known.base.folds)
    classes = np.eye(known.human.targets.shape[1])
    guessed = [predict_head(fold.head, added.embeddings).argmax(axis=1) for fold in known.base.folds]
    return [Rows(added.embeddings, classes[labels], added.weights) for labels in guessed]
