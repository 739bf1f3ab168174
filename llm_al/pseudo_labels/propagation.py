"""Propagation: what the labels say about the whole pool, checked on the labels themselves."""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError
from llm_al.pool import PoolView
from llm_al.pseudo_labels._choice import Choice, Chosen, Without, check, entropy, nothing, sub_pool
from llm_al.pseudo_labels._smoothing import walk
from llm_al.pseudo_labels._teachers import HEAD_ALONE, Teachers
from llm_al.pseudo_labels._teachers import Choice as TeacherChoice
from llm_al.pseudo_labels.soft import sharpened
from llm_al.types import Embeddings, Positions, Proba
from llm_al.views import are_fewer

__all__ = ["Propagation"]

_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Propagation:
    """Teach the student what the labels, the shape of the pool and the last student say together.

    Three teachers build on each other. A head is fitted to the labels known by now. Its predictions are multiplied
    with those of class prototypes which the unlabelled rows help to place (refined by expectation and maximisation,
    like a mixture with some labelled rows [1]_). These are smoothed over a graph of near rows, in which known labels
    stay fixed [2]_ [3]_. Whether rows that lie near each other share a label depends on the task: news topics do,
    question types hardly. So each way, with or without prototypes and with each amount of smoothing, is tried by
    cross-validation on the known labels, and the one with the least log loss is taken. Where none is clearly better
    than the head alone there is nothing to teach, and no row is taken. For a student that was taught before, one is
    enough that is not clearly worse: labels that it asks for because it doubts them speak against what taught it. (A
    loop of `blend` on trec6 had one round without pseudo-labels, at 60 labels, and fell from .928 to .912 in it.)

    Where the pool is seen in two shapes (`PoolView.beside`), each has a best teacher, and the mean of both teaches; one
    whose log loss is worse by two standard errors is not heard. On held-out rows of agnews with 70 to 130 labels the
    encoder's own vectors teach .874 of the pool rightly, the average of its layers .855, and both .876; on subj the
    average .912 and own vectors .866, which are mostly not heard.

    Labels are the teacher's alone. A student that learned from its own labels confirms itself when it gives the next
    ones; the teacher has seen only labels that are known. The last student has a vote all the same: rows on which it
    differs are left out. For a student on the frozen vectors that costs a little; one that has outgrown the encoder
    would learn mistakes from it that it does not make.

    Every other row of a random sub-pool is taken, with a sharpened soft target and the weight
    ``weight * (1 - entropy / log c)``: rows that the teacher is sure of teach little by themselves, doubtful ones teach
    little by their weight.

    Parameters
    ----------
    alphas : tuple of float
        Amounts of smoothing that are tried, in (0, 1); none is tried always.
    min_gain_se : float
        Standard errors, paired over labels, by which the log loss of the head has to be beaten.
    kept_loss_se : float
        Standard errors that log loss may lose against the head where the last student learned from pseudo-labels.
    n_neighbours : int
        Of each row in the graph.
    power : float
        Edges weigh their cosine to this power.
    sharpness : float
        Positive; how fast the odds of a prototype fall with the cosine.
    agreement : bool
        Whether the last student has a vote, where there is one.
    temperature : float
        Positive; below 1 sharpens targets.
    weight : float
        Positive; of a row without doubt, where a person's label weighs 1.
    n_folds : int
        At least 2. With fewer labels than this there are no pseudo-labels.
    min_labels_per_class : float
        Nor with fewer for each class seen: a class of one label cannot be tested.
    n_sample : int
        Size of the random sub-pool; the graph costs its square.

    Raises
    ------
    ConfigError
        If a setting is out of range.

    References
    ----------
    .. [1] Nigam, McCallum, Thrun & Mitchell (2000). Text Classification from Labeled and Unlabeled Documents using EM.
           Machine Learning 39.
    .. [2] Zhou, Bousquet, Lal, Weston & Schoelkopf (2004). Learning with Local and Global Consistency. NIPS 16.
    .. [3] Iscen, Tolias, Avrithis & Chum (2019). Label Propagation for Deep Semi-supervised Learning. CVPR.
    """

    alphas: tuple[float, ...] = (0.5, 0.8)
    min_gain_se: float = 1.0
    kept_loss_se: float = 1.0
    n_neighbours: int = 15
    power: float = 3.0
    sharpness: float = 15.0
    agreement: bool = True
    temperature: float = 0.5
    weight: float = 1.0
    n_folds: int = 5
    min_labels_per_class: float = 2.0
    n_sample: int = 8192

    def __post_init__(self) -> None:
        check(
            self, min_gain_se=0, kept_loss_se=0, n_neighbours=1, power=0, n_folds=2, min_labels_per_class=0, n_sample=2
        )
        # Settings files hold lists.
        object.__setattr__(self, "alphas", tuple(self.alphas))
        if not all(0 < alpha < 1 for alpha in self.alphas):
            raise ConfigError(f"alphas is {self.alphas}; each must be more than 0 and less than 1; correct them")
        for name in ("sharpness", "temperature", "weight"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; allowed is more than 0; correct it")

    def pseudo_label(self, view: PoolView, rng: np.random.Generator) -> Choice:
        """Return rows (m,) in ascending order, soft targets (m, c) and positive weights (m,).

        m is 0 with too few labels or labels of one class only. A student is not needed.
        """
        return self.choose(view, rng).plain

    def choose(self, view: PoolView, rng: np.random.Generator) -> Chosen:
        """Return the same, with the targets that the same teacher would give if some labels were not known."""
        known = np.flatnonzero(view.is_labeled)
        n_seen = len(np.unique(view.labels[known]))
        if len(known) < max(self.n_folds, self.min_labels_per_class * n_seen) or n_seen < 2:
            return Chosen(*nothing(view))
        rows = sub_pool(view, self.n_sample, rng)
        if len(rows) < 2:
            return Chosen(*nothing(view))
        teach = self._teacher(view, known, rows, rng)
        if teach is None:
            return Chosen(*nothing(view))
        taught = teach(np.zeros(0, dtype=np.intp))
        certainty = 1.0 - entropy(taught)
        is_taken = certainty > 1e-6
        if self.agreement and view.proba is not None:
            is_taken &= taught.argmax(axis=1) == view.proba[rows].argmax(axis=1)
        every = Chosen(
            rows, sharpened(taught, self.temperature), self.weight * certainty, self._sharpened_without(teach)
        )
        return every.at(is_taken)

    def _sharpened_without(self, teach: Without) -> Without:
        return lambda unknown: sharpened(teach(unknown), self.temperature)

    def _teacher(self, view: PoolView, known: Positions, rows: Positions, rng: np.random.Generator) -> Without | None:
        """Return what teaches `rows`, the mean over the shapes that are heard; None where each is a head alone."""
        shapes = [view.embeddings] if view.beside is None else [view.embeddings, view.beside]
        each = [self._best(view, shape, known, rows, rng) for shape in shapes]
        best = min(each, key=lambda shaped: float(shaped.choice.losses.mean()))
        heard = [shaped for shaped in each if shaped is best or not best.is_clearly_better_than(shaped)]
        if all(shaped.choice.way == HEAD_ALONE for shaped in heard):
            return None
        return lambda unknown: np.mean([shaped.taught(unknown) for shaped in heard], axis=0)

    def _best(
        self, view: PoolView, shape: Embeddings, known: Positions, rows: Positions, rng: np.random.Generator
    ) -> "_Shaped":
        points = np.asarray(shape[np.concatenate([known, rows])], dtype=np.float32)
        one_hot = np.eye(view.n_classes, dtype=np.float32)[view.labels[known]]
        steps = walk(points, self.n_neighbours, self.power)
        teachers = Teachers(points, one_hot, steps, self.alphas, self.sharpness)
        needed = -self.kept_loss_se if view.is_self_trained else self.min_gain_se
        with threadpool_limits(limits=1, user_api="blas"):
            return _Shaped(known, teachers, teachers.best(self.n_folds, rng, min_gain_se=needed))


@dataclass(frozen=True)
class _Shaped:
    """The best teacher of one shape of the pool, of which the first rows are `known`."""

    known: Positions
    teachers: Teachers
    choice: TeacherChoice

    def taught(self, unknown: Positions) -> Proba:
        """Return calibrated predictions of the rows without a label, as if some labels were not known."""
        train = np.flatnonzero(~np.isin(self.known, unknown))
        with threadpool_limits(limits=1, user_api="blas"):
            return self.teachers.taught(self.choice, train)[len(self.known) :]

    def is_clearly_better_than(self, other: "_Shaped") -> bool:
        """Whether it says less wrong of labels left out than another shape does."""
        return are_fewer(self.choice.losses, other.choice.losses, _STANDARD_ERRORS)
