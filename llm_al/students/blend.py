"""A fine-tuned encoder and a head on frozen vectors, whose opinions are pooled."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from llm_al.errors import ConfigError, StudentError
from llm_al.protocols import FittedStudent, Student
from llm_al.students._cross_fit import cross_fitted, human_rows, temperature_of, uncalibrated
from llm_al.students._folder import Header, new_folder, read_header, write_header
from llm_al.students._material import rows_of
from llm_al.students._parts import make_part
from llm_al.students._tuned import Tuned, read_tuned, told, weights_of, with_earlier, write_said, write_tuned
from llm_al.students.calibration import logits_from, pooled, scaled_proba
from llm_al.students.distilled import soft_training_set
from llm_al.students.head import FittedHead, Head
from llm_al.students.transformer import Transformer
from llm_al.types import Embeddings, Proba, TrainingSet
from llm_al.views import FIRST

__all__ = ["Blend", "FittedBlend", "Share"]

_log = logging.getLogger(__name__)
_KIND = "blend"
_PARTS = {"head": Head, "transformer": Transformer}
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEAST = 1e-3
_TAUGHT = "; the head taught an encoder what it holds of texts without a label"
_LEAST_KNOWN = 0.75
_LEAST_OF = {
    "n_folds": 2,
    "min_labels": 0,
    "min_labels_per_class": 0,
    "recheck_growth": 1,
    "n_earlier": 0,
    "taught_epochs": 0,
    "taught_to_per_class": 0,
}


@dataclass(frozen=True)
class Share:
    """What the fine-tuned part counts beside the head.

    Parameters
    ----------
    value : float
        In [0, 1].
    reason : str
        One sentence for the log and the report.
    n_labels : int
        Labels of people at the time of the test; 0 where nothing was tested.
    temperature : float or None
        Of the fine-tuned part, from the predictions of the test.
    """

    value: float
    reason: str
    n_labels: int = 0
    temperature: float | None = None


@dataclass(frozen=True)
class Blend:
    """Train both a fine-tuned encoder and a head on frozen vectors, and pool their opinions.

    The two see different things: the head has the encoder as it came and, by pseudo-labels, the shape of the pool; the
    fine-tuned encoder has what people's labels say of the task. Where both are good their mistakes differ, and the
    weighted geometric mean of their probabilities (a logarithmic opinion pool [1]_) is better than either; where one
    knows nothing its share goes to 0. Shares are measured by cross-fitting both on people's labels: the one with the
    least ``log loss summed over labels + ((share - prior_share) / prior_sd)^2 / 2`` is taken. The prior matters, since
    labels that were asked for because a student doubted them are no fair test of that student: on subj the head, whose
    accuracy on the pool is .91, is right on .62 of the 130 labels that its own margins chose.

    The fine-tuned part learns from people's labels and, where there are texts without a label
    (`TrainingSet.unlabelled`), trains itself on these. While labels are few there is a second encoder that learns what
    the head holds of the same texts, as soft labels (distillation [2]_). It knows what both know, so that it counts
    twice of what the other does. None is taught where the head stands on the encoder's own vectors: its features begin
    there, and it would only repeat what it was taught.

    Parameters
    ----------
    model : str
        Encoder of both: a hub name, a local folder, or ``offline``. Vectors that are handed in must be its own.
    options : mapping of str to mapping
        Constructor fields of ``head`` and ``transformer``.
    n_folds : int
        Of the cross-fitting; at least 2.
    min_labels, min_labels_per_class : float
        With fewer labels of people than either allows, the head is alone.
    prior_share, prior_sd : float
        Where the share of the fine-tuned part is thought to lie, in [0, 1], and how far off. The latter is positive.
    recheck_growth : float
        With `fit_from`, the shares of an earlier round hold until there are this many times as many labels as at
        their test; 1 tests in every round.
    n_earlier : int
        Fine-tuned encoders of the rounds before, of either kind, that `fit_from` keeps beside the new one, as long as
        they learned from three quarters of today's labels. They are paid for, and where single ones jump from round to
        round their geometric mean does not. Each takes as much disk as the new one, and as much time to predict texts
        that it has not read before in the same process. 0 keeps none.
    taught_epochs : int
        Passes over people's rows and those that the head teaches. 0 teaches nothing: then there is only the encoder
        that trains itself, as a `transformer` does.
    taught_to_per_class : float
        Up to so many labels of people a class the head teaches. With very many of them the fine-tuned part learns more
        from people than from the head, and two opinions are better than one that both share. Looked at on held-out
        rows up to 65 a class.
    human_weight : float
        Of a label of a person beside those of the head, which weigh 1. Positive.
    device : str or None
        Of both. None takes CUDA where there is one.

    Raises
    ------
    ConfigError
        If a setting is out of range or unknown.

    Notes
    -----
    Held-out rows of subj's train split, labels chosen with a head, one seed, accuracy of the fine-tuned encoder, the
    head and both in equal shares: .893, .891 and .906 with 30 labels, .868, .899 and .906 with 50, .893, .906 and .925
    with 130. On trec6, where the head is weak, equal shares lose: .797, .551 and .744 with 50 labels, .857, .695 and
    .848 with 130; with the prior the share there is .75, for .783 and .862. banking77: .781, .788 and .798 with 231
    labels, .836, .824 and .847 with 385.

    What an encoder counts that was taught, and one that trained itself, beside a head's 1 for each of its views, by the
    mean of label sets on held-out rows. trec6, six sets of 60 and 130 labels, one view: the head .874, 2 : 0 with the
    head unheard .882, 2 : 1 .886, and .888 with two that trained themselves in place of one. subj, eight sets of 60 to
    130, two views: the head .922, 2 : 0 .925, 2 : 1 .924 (.925 with two). banking77 with 385 labels, own vectors, two
    sets: the head .828, with one that trained itself .848, with one that was taught besides .844.

    References
    ----------
    .. [1] Genest & Zidek (1986). Combining probability distributions: a critique and an annotated bibliography.
           Statistical Science 1.
    .. [2] Hinton, Vinyals & Dean (2015). Distilling the knowledge in a neural network. arXiv:1503.02531.
    """

    model: str
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    n_folds: int = 3
    min_labels: int = 20
    min_labels_per_class: float = 3.0
    prior_share: float = 0.5
    prior_sd: float = 0.1
    recheck_growth: float = 1.5
    n_earlier: int = 2
    taught_epochs: int = 2
    taught_to_per_class: float = 100.0
    human_weight: float = 4.0
    device: str | None = None

    def __post_init__(self) -> None:
        unknown = sorted(set(self.options) - set(_PARTS))
        if unknown:
            raise ConfigError(f"blend has options for {unknown[0]!r}; give them for: {', '.join(sorted(_PARTS))}")
        for name, least in _LEAST_OF.items():
            if not getattr(self, name) >= least:
                raise ConfigError(f"blend {name} is {getattr(self, name)}; it must be at least {least}")
        if not 0.0 <= self.prior_share <= 1.0:
            raise ConfigError(f"blend prior_share is {self.prior_share}; it must be in [0, 1]")
        if not self.prior_sd > 0.0:
            raise ConfigError(f"blend prior_sd is {self.prior_sd}; it must be above 0")
        if not self.human_weight > 0.0:
            raise ConfigError(f"blend human_weight is {self.human_weight}; it must be above 0")
        for name in _PARTS:
            self._part(name)

    @property
    def has_own_encoder(self) -> bool:
        """False: frozen vectors are a part of it, so that what they teach is of use."""
        return False

    @property
    def learns_from_names(self) -> bool:
        """Whether it takes a training set without examples."""
        return bool(self._part("head").learns_from_names)

    @property
    def wants_previous(self) -> bool:
        """Whether `fit_from` makes use of an earlier student: its shares, or its fine-tuned encoder."""
        return self.recheck_growth > 1 or self.n_earlier > 0

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedBlend":
        """Measure the shares and train what has one.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples, or none where the head learns from names.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the folds, and is handed to both.

        Raises
        ------
        StudentError
            If there is nothing to learn from, or training diverges.
        ConfigError, MissingExtraError
            If the encoder cannot be found.
        """
        return self._fit(self._measured(training, labels, seed), training, labels, seed)

    def fit_from(
        self, previous: FittedStudent, training: TrainingSet, *, labels: Sequence[str], seed: int
    ) -> "FittedBlend":
        """Train as `fit` does, with the shares of an earlier student where they still hold, and its encoders."""
        if not (isinstance(previous, FittedBlend) and previous.labels == tuple(labels) and previous.student == self):
            return self.fit(training, labels=labels, seed=seed)
        n, share = len(human_rows(training)), previous.share
        holds = share.n_labels and n < self.recheck_growth * share.n_labels
        fitted = self._fit(share if holds else self._measured(training, labels, seed), training, labels, seed)
        if not fitted.tuned:
            return fitted
        return replace(fitted, tuned=with_earlier(fitted.tuned, previous.tuned, self.n_earlier, _LEAST_KNOWN))

    def _fit(self, share: Share, training: TrainingSet, labels: Sequence[str], seed: int) -> "FittedBlend":
        head: FittedHead = self._part("head").fit(training, labels=labels, seed=seed)
        if share.value == 0:
            return FittedBlend(head, (), share, self)
        human = rows_of(training, human_rows(training), keeps_unlabelled=True)
        lessons = {False: (self._alone(share), human)}
        if head.view != FIRST and self._teaches(human, len(labels)):
            lessons = {True: self._taught(head, human), **lessons}
        tuned = [
            Tuned(recipe.fit(given, labels=labels, seed=seed), len(human), is_taught)
            for is_taught, (recipe, given) in lessons.items()
        ]
        return FittedBlend(head, tuple(tuned), share, self)

    def _teaches(self, human: TrainingSet, n_classes: int) -> bool:
        has_texts = len(human.unlabelled) > 0 and human.unlabelled_embeddings is not None
        return has_texts and self.taught_epochs > 0 and len(human) <= self.taught_to_per_class * n_classes

    def _alone(self, share: Share) -> Student:
        recipe: Any = self._part("transformer")
        if share.temperature is None:
            return cast(Student, recipe)
        return cast(Student, replace(uncalibrated(recipe), temperature=share.temperature))

    def _taught(self, head: FittedStudent, human: TrainingSet) -> tuple[Student, TrainingSet]:
        soft = head.predict_proba(human.unlabelled, embeddings=human.unlabelled_embeddings)
        # What it learns to say is calibrated already.
        recipe = replace(uncalibrated(self._part("transformer")), epochs=self.taught_epochs, temperature=1.0)
        return recipe, soft_training_set(human, human.unlabelled, soft, self.human_weight)

    def _measured(self, training: TrainingSet, labels: Sequence[str], seed: int) -> Share:
        human = rows_of(training, human_rows(training))
        n, needed = len(human), max(2, self.min_labels, self.min_labels_per_class * len(labels))
        if n < needed:
            share = Share(0.0, f"head alone: {n} labels of people are no test ({needed:g} are)")
        elif len(np.unique(human.targets.argmax(axis=1))) < 2:
            share = Share(0.0, "head alone: people's labels are all of one class")
        else:
            share = self._tested(human, labels, seed)
        _log.info("student %s", share.reason)
        return share

    def _tested(self, human: TrainingSet, labels: Sequence[str], seed: int) -> Share:
        recipe = uncalibrated(self._part("transformer"))
        told = {
            name: cross_fitted(part, human, labels, n_folds=self.n_folds, seed=seed)
            for name, part in (("head", self._part("head")), ("transformer", recipe))
        }
        temperature = temperature_of(recipe.temperature, told["transformer"], human)
        tuned = scaled_proba(recipe.temperature * logits_from(told["transformer"]), temperature)
        losses = {
            value: _log_loss(pooled(told["head"], tuned, shares=(1.0 - value, value)), human) for value in _SHARES
        }
        best = min(losses, key=lambda value: len(human) * losses[value] + self._improbability(value))
        figures = ", ".join(f"{value:g}: {loss:.3f}" for value, loss in losses.items())
        reason = (
            f"blend: the fine-tuned encoder counts {best:g} of 1 (log loss on {len(human)} labels by share {figures})"
        )
        return Share(best, reason, len(human), temperature)

    def _improbability(self, share: float) -> float:
        """In nats, of a share before it is tested."""
        return 0.5 * ((share - self.prior_share) / self.prior_sd) ** 2

    def _part(self, name: str) -> Any:
        return make_part(self, _KIND, name, _PARTS[name])


def _log_loss(proba: Proba, human: TrainingSet) -> float:
    truth = human.targets.argmax(axis=1)
    return float(-np.log(np.maximum(proba[np.arange(len(truth)), truth], _LEAST)).mean())


@dataclass(frozen=True, eq=False)
class FittedBlend:
    """A head, fine-tuned encoders of this round and of those before, and what they count."""

    head: FittedHead
    tuned: tuple[Tuned, ...]
    share: Share
    student: Blend

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the columns."""
        return self.head.labels

    @property
    def is_taught(self) -> bool:
        """Whether one of the encoders has learned what the head holds of the pool."""
        return any(one.is_taught for one in self.tuned)

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return pooled probabilities, shape (n, c); without vectors the head encodes the texts once more."""
        if not self.tuned:
            return self.head.predict_proba(texts, embeddings=embeddings)
        opinions = [one.predict_proba(texts) for one in self.tuned]
        weights = [self.share.value * weight for weight in weights_of(self.tuned)]
        if self.share.value < 1:
            opinions.append(self.head.predict_proba(texts, embeddings=embeddings))
            weights.append((1.0 - self.share.value) * len(self.head.parts))
        return pooled(*opinions, shares=[weight / sum(weights) for weight in weights])

    def _told(self) -> Share:
        """Return the share as the report tells of it."""
        measured = self.share.reason.removesuffix(_TAUGHT)
        return replace(self.share, reason=measured + _TAUGHT * self.is_taught)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[i] for i in self.predict_proba(texts).argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Write both parts and the share.

        Raises
        ------
        StudentError
            If `folder` exists and holds something else.
        StorageFullError
            If the disk is full; an older student in `folder` is kept.
        """
        with new_folder(folder) as fresh:
            settings = {"student": asdict(self.student), "verdict": asdict(self._told()), **told(self.tuned)}
            write_header(fresh, Header(_KIND, self.labels, 1.0, settings))
            self.head.save(fresh / "head")
            write_tuned(fresh, self.tuned)

    def remember(self, folder: Path) -> None:
        """Add what the encoders have said of texts to the saved student in `folder`, so that it reads no text again."""
        write_said(Path(folder), self.tuned)

    @classmethod
    def load(cls, folder: Path) -> "FittedBlend":
        """Read a saved student.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        """
        folder, header = Path(folder), read_header(folder)
        try:
            share, student = Share(**header.settings["verdict"]), Blend(**header.settings["student"])
        except (KeyError, TypeError) as exc:
            raise StudentError(f"{folder} holds no share that can be read ({exc}); train the student again") from exc
        n_labels = header.settings.get("n_labels", [share.n_labels] if share.value > 0 else [])
        tuned = read_tuned(folder, header.settings, n_labels)
        return cls(FittedHead.load(folder / "head"), tuned, share, student)
