"""Our side of `label_efficiency.py`: the package's own parts, as a project's loop puts them together."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from _curve import Protocol, Run
from _curve_votes import Replay, mix_with_votes
from _place import Place
from numpy.typing import NDArray

from llm_al import registry
from llm_al.corpus import Corpus
from llm_al.distillation.settings import DistilSettings
from llm_al.protocols import FittedStudent, Strategy, Student
from llm_al.pseudo_labels.caps import Capped
from llm_al.pseudo_labels.guard import Guard
from llm_al.pseudo_labels.llm_rows import LLMRows
from llm_al.students.distilled import ensemble_proba, small_student, soft_training_set
from llm_al.supervision import Mixture, Supervision
from llm_al.types import Label, LabelScheme, Positions, Proba, Source, TrainingSet

Options = Mapping[str, Mapping[str, Any]]
"""Constructor fields by the name of the part."""


@dataclass(frozen=True)
class Recipe:
    """A learner of ours.

    Parameters
    ----------
    student, strategy, self_training, cold_start : str
        Names in the registry.
    replay : Replay or None
        Recorded answers of LLMs.
    subpool : int or None
        Unlabelled rows, drawn anew each round, that are predicted, asked about and learned from.
    distil : int or None
        An ensemble teaches one more student so many unlabelled rows, as `llm-al distil` does when a project ends; the
        point is that student's, and the loop goes on without it.
    distil_at : tuple of int
        Numbers of labels at which it does; none of them means every point.
    catch_all : str or None
        The label of everything else, where the learner is told of it.
    options : mapping
        Constructor fields of a part, by its name.
    """

    student: str
    strategy: str
    self_training: str
    cold_start: str = "typical"
    replay: Replay | None = None
    subpool: int | None = None
    distil: int | None = None
    distil_at: tuple[int, ...] = ()
    catch_all: str | None = None
    options: Options = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the learner is called in the results."""
        parts = [self.student, self.strategy, self.self_training, *([self.replay.name] if self.replay else [])]
        if self.catch_all:
            parts.append(f"catch-all {self.catch_all}")
        if self.distil:
            parts.append(f"distilled at {', '.join(map(str, self.distil_at)) or 'each point'}")
        return f"llm_al {', '.join(parts)}"

    def settings(self) -> dict[str, Any]:
        """Return what decides the result beside the name."""
        parts = (self.student, self.self_training, *self.strategy.split("+"))
        used = {name: dict(self.options[name]) for name in parts if name in self.options}
        distil = {"distil": self.distil, "distil_at": list(self.distil_at)} if self.distil else {}
        return {"cold_start": self.cold_start, "subpool": self.subpool, **distil, "options": used}

    @property
    def plain(self) -> "Recipe":
        """The same learner without distillation."""
        return replace(self, distil=None, distil_at=())

    def is_distilled_at(self, n_labels: int) -> bool:
        """Whether the point after so many labels is a distilled student's."""
        return bool(self.distil) and (not self.distil_at or n_labels in self.distil_at)

    def make_student(self, folder: str) -> Student:
        """Build the student on an encoder."""
        made: Student = registry.make(
            "student", self.student, **{"model": folder, **self.options.get(self.student, {})}
        )
        return made

    def make_strategy(self) -> Strategy:
        """Build the strategy."""
        return registry.make_strategy(self.strategy, cold_start=self.cold_start)

    def make_supervision(self) -> Supervision:
        """Build what mixes the sources, with its guard."""
        labeler = registry.make("pseudo_labeler", self.self_training, **self.options.get(self.self_training, {}))
        return Supervision(Capped(labeler), Guard(), LLMRows())


@dataclass(frozen=True)
class State:
    """What a round knows: some rows of the pool, the labels of people, and the last student's view of them.

    Parameters
    ----------
    rows : ndarray of shape (m,)
        Pool rows that this round looks at, ascending.
    proba : ndarray of shape (m, c) or None
    """

    rows: Positions
    proba: Proba | None = None


class Learner:
    """A perfect simulated human answers, a student learns; round by round.

    Each round mixes people's labels with what the guard lets in of LLM votes and pseudo-labels, trains, predicts the
    pool and chooses what is asked next.
    """

    def __init__(self, place: Place, recipe: Recipe, run: Run) -> None:
        if recipe.catch_all is not None:
            place = replace(place, catch_all=place.task.labels.index(recipe.catch_all))
        self.place, self.recipe, self.run = place, recipe, run
        self.student = recipe.make_student(place.folder)
        self.strategy = recipe.make_strategy()
        self.supervision = recipe.make_supervision()
        self.labelled = np.zeros(len(place.task.texts), dtype=np.bool_)
        self.fitted: FittedStudent | None = None
        self.state = State(np.arange(len(place.task.texts)))
        self.sources: tuple[Source, ...] = ()
        self.standing_view: int | None = None
        self._step = 0

    def learn(self, rows: Positions) -> None:
        """Take in the labels of some rows and train."""
        self.labelled[rows] = True
        if self.fitted is None:
            self.state = State(self._rows())
        rng = np.random.default_rng([self.run.seed, self._step, 1])
        with self.run.timed("mix"):
            training, mixture = self._training(rng)
        self.sources, self.standing_view = mixture.summary.sources, mixture.summary.view
        self._note(mixture)
        self._taught = training
        with self.run.timed("fit"):
            self.fitted = self._fit(training)

    def ask(self, k: int) -> Positions:
        """Predict the pool and return k rows whose labels are wanted."""
        self._step += 1
        self.state = State(self._rows())
        with self.run.timed("predict"):
            self.state = replace(self.state, proba=self._predict(self.state.rows))
        with self.run.timed("select"):
            here = self._here()
            is_open = ~self.labelled[self.state.rows]
            view = here.view(self._labels(), self.state.proba, is_open=is_open, standing=self.standing_view)
            picked = self.strategy.query(view, k, np.random.default_rng([self.run.seed, self._step]))[0]
        return self.state.rows[picked]

    def after(self, rows: Positions) -> "Learner":
        """Return what the learner would be with the labels of some rows; it stays as it is itself."""
        other, run = copy(self), self.run
        other.labelled, other.run = self.labelled.copy(), Run(run.dataset, run.protocol, run.learner, run.seed)
        other.learn(rows)
        return other

    def test(self, student: FittedStudent | None = None) -> NDArray[np.intp]:
        """Return the class indices of the test split, by the loop's own student unless another is given."""
        task = self.place.task
        return (student or self._own).predict_proba(task.test_texts, embeddings=self.place.test_vectors).argmax(axis=1)

    def distilled(self, n_rows: int, run: Run) -> FittedStudent:
        """Return a student that learned what an ensemble, the loop's own student in it, says of unlabelled rows.

        What it takes is noted in `run`.
        """
        task, settings = self.place.task, DistilSettings()
        rng = np.random.default_rng([self.run.seed, self._step, 3])
        others, known = np.flatnonzero(~self.labelled), np.flatnonzero(self.labelled)
        drawn = np.sort(rng.choice(others, min(n_rows, len(others)), replace=False))
        human, texts = self._of_people(known), [task.texts[int(row)] for row in drawn]
        with run.timed("distil"):
            seeds = np.random.SeedSequence([self.run.seed, self._step]).generate_state(settings.n_teachers - 1)
            more = [self.student.fit(self._taught, labels=task.labels, seed=int(seed)) for seed in seeds]
            soft = ensemble_proba([self._own, *more], texts, self.place.vectors[drawn])
            training = soft_training_set(human, texts, soft, settings.human_weight)
            small = small_student(settings.student, self.place.folder, settings.options)
            return small.fit(training, labels=task.labels, seed=self.run.seed)

    def _of_people(self, rows: Positions) -> TrainingSet:
        task, vectors = self.place.task, self.place.vectors[rows]
        targets = np.eye(len(task.labels))[task.gold[rows]]
        return TrainingSet([task.texts[int(row)] for row in rows], targets, np.ones(len(rows)), vectors)

    @property
    def _own(self) -> FittedStudent:
        assert self.fitted is not None
        return self.fitted

    def _here(self) -> Place:
        return self.place.at(self.state.rows)

    def _rows(self) -> Positions:
        """Return all labelled rows and a draw of the others."""
        others = np.flatnonzero(~self.labelled)
        n = min(self.recipe.subpool or len(others), len(others))
        if n < len(others):
            others = np.random.default_rng([self.run.seed, self._step, 2]).choice(others, n, replace=False)
        return np.sort(np.concatenate([np.flatnonzero(self.labelled), others]))

    def _labels(self) -> NDArray[np.int64]:
        rows = self.state.rows
        return np.where(self.labelled[rows], self.place.task.gold[rows], -1)

    def _training(self, rng: np.random.Generator) -> tuple[TrainingSet, Mixture]:
        here = self._here()
        labels = self._labels()
        is_outgrown = bool(getattr(self.student, "has_own_encoder", getattr(self.fitted, "has_own_encoder", False)))
        view = here.view(labels, self.state.proba, is_open=labels < 0, standing=self.standing_view)
        view = replace(view, is_outgrown=is_outgrown)
        votes = self.recipe.replay.at(self.state.rows) if self.recipe.replay else None
        mixture = mix_with_votes(self.supervision, view, votes, rng, self.sources)
        return mixture.training_set(_corpus(here)), mixture

    def _note(self, mixture: Mixture) -> None:
        """Keep what the guard said, and how many of the pseudo-labels are right."""
        n_labels, n_pseudo = int(self.labelled.sum()), mixture.summary.n_pseudo
        self.run.notes[n_labels] = f"{'+'.join(map(str, mixture.summary.sources))}: {mixture.summary.reason}"
        if n_pseudo and Source.PSEUDO in mixture.summary.sources:
            rows = self.state.rows[mixture.positions[-n_pseudo:]]
            is_right = mixture.targets[-n_pseudo:].argmax(axis=1) == self.place.task.gold[rows]
            self.run.pseudo_precision[n_labels] = float(is_right.mean())
        believed = mixture.summary.pseudo_precision
        if n_pseudo and believed is not None:
            self.run.pseudo_estimated[n_labels] = float(believed)

    def _fit(self, training: TrainingSet) -> FittedStudent:
        student: Any = self.student
        options = {"labels": self.place.task.labels, "seed": self.run.seed}
        if self.fitted is not None and getattr(student, "wants_previous", False):
            warm: FittedStudent = student.fit_from(self.fitted, training, **options)
            return warm
        fresh: FittedStudent = student.fit(training, **options)
        return fresh

    def _predict(self, rows: Positions) -> Proba:
        texts = [self.place.task.texts[int(row)] for row in rows]
        return self._own.predict_proba(texts, embeddings=self.place.vectors[rows])


def _corpus(place: Place) -> Corpus:
    ids = [str(i) for i in range(len(place.task.texts))]
    labels = place.task.labels
    catch_all = None if place.catch_all is None else labels[place.catch_all]
    scheme = LabelScheme(tuple(Label(name) for name in labels), catch_all=catch_all)
    vectors, groups = place.vectors, place.groups
    return Corpus(scheme, ids, place.task.texts, vectors, groups, label_vectors=place.label_vectors)


@dataclass
class _Distilled:
    """The curve of a loop whose students are distilled at some points, beside the loop's own."""

    recipe: Recipe
    run: Run

    def score(self, learner: Learner, n_labels: int, predicted: NDArray[np.intp], *, is_between: bool) -> None:
        if self.recipe.distil and self.recipe.is_distilled_at(n_labels):
            predicted = learner.test(learner.distilled(self.recipe.distil, self.run))
        self.run.score(n_labels, predicted, learner.place.task.test_gold, is_between=is_between)

    def finish(self, own: Run) -> None:
        """Take over what the loop noted."""
        self.run.seconds = {**own.seconds, **self.run.seconds}
        self.run.notes, self.run.usd, self.run.alone = own.notes, own.usd, own.alone
        self.run.pseudo_precision, self.run.pseudo_estimated = own.pseudo_precision, own.pseudo_estimated


def run_ours(
    place: Place, budget: Protocol, recipe: Recipe, *, first: Positions, run: Run, distilled: Run | None = None
) -> Run:
    """Fill in the curve of a recipe, from an initial set on; that of its distilled students too, where it has some.

    `run` is the loop's own, `distilled` that of the recipe with distillation.
    """
    learner, small = Learner(place, recipe, run), None if distilled is None else _Distilled(recipe, distilled)
    learner.learn(first)
    for n_labels, following in zip(budget.sizes, [*budget.sizes[1:], None], strict=True):
        if n_labels in budget.points or n_labels in budget.between:
            is_between = n_labels in budget.between
            with run.timed("test"):
                predicted = learner.test()
            run.score(n_labels, predicted, place.task.test_gold, is_between=is_between)
            if small is not None:
                small.score(learner, n_labels, predicted, is_between=is_between)
        if following is None:
            continue
        asked = learner.ask(following - n_labels)
        for n_within in budget.within(n_labels, following):
            predicted = learner.after(asked[: n_within - n_labels]).test()
            run.score(n_within, predicted, place.task.test_gold, is_between=True)
        learner.learn(asked)
    if recipe.replay is not None:
        run.usd, run.alone = recipe.replay.usd, recipe.replay.alone
    if small is not None:
        small.finish(run)
    return run
