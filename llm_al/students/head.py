"""A linear classifier on frozen sentence embeddings: trains in milliseconds, and predicts from label names alone."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError, StudentError
from llm_al.students._catch_all import CatchAll, enough_for
from llm_al.students._cross_fit import human_rows
from llm_al.students._folder import Header, new_folder, read_arrays, read_header, write_arrays, write_header
from llm_al.students._head_part import HeadPart, arrays_of, parts_from
from llm_al.students._linear import Linear, fit_linear, penalty_for
from llm_al.students._material import rows_of
from llm_al.students._mixture import Mixture, fit_mixture, mixed
from llm_al.students._prototypes import Rows, fit_prototypes, with_names
from llm_al.students._recall import Recall
from llm_al.students._sentences import encode, encode_views, load_sentence_encoder
from llm_al.students.calibration import fit_temperature, out_of_fold, pooled
from llm_al.types import Embeddings, Proba, TrainingSet
from llm_al.views import FIRST, view_of, views_for
from llm_al.weights import resolve

__all__ = ["FittedHead", "Head"]

_KIND = "head"
_TENSORS = "model.safetensors"


@dataclass(frozen=True)
class Head:
    """Fit a linear classifier on the vectors of a fixed encoder, with the labels' names as a prior.

    Parameters
    ----------
    model : str
        The encoder: a hub name, a local folder, or ``offline``. It is loaded only when vectors are not handed
        in, so it must be the one that made them. A saved head keeps the name, not the weights.
    kind : {'mixed', 'logistic', 'prototype'}
        Logistic regression, the nearest class mean, or both with their logits mixed, in shares that held-out folds
        measure. The mean is better with few labels, the regression with many, and both together than either: see
        Notes.
    C : float or None
        Inverse strength of the L2 penalty of the regression. None lets it fall from 100 at up to five labels a class
        to 10 at fifty.
    name_weight : float
        Weight of a label's name, in labels of a person; it enters as one more example of its class. 0 leaves names
        out.
    n_neighbours : int
        Nearest rows of the training set that are listened to beside the classifier, once it holds rows that nobody
        labelled (pseudo-labels): those know the shape of classes that no line cuts out. 0 does without.
    neighbour_share : float
        What they count, in [0, 1).
    max_recalled : int
        Most rows that are kept for it, drawn at random; a saved head grows by 2 (d + c) bytes a row.
    n_folds : int
        Folds of the cross-fitting that measures shares and temperature on people's rows; 0 leaves them at one half
        and at 1.
    max_tokens : int
        Longer texts are cut.
    device : str or None
        Where the encoder runs. None takes CUDA where there is one.
    layers : bool
        Whether it may learn on more than the encoder's own vectors: on the average of the encoder's upper layers as
        well, or on the state of the first token instead, where people's labels prefer those (`llm_al.views.views_for`).
        On two views it is a pool of two classifiers in equal shares.

    Notes
    -----
    Texts of a catch-all label (`TrainingSet.catch_all`) have no shape that pseudo-labels could show: those give such
    texts to whatever they are near, and are sure of it. So a head without pseudo-labels says how a text's odds stand
    between that label and the likeliest other one.

    Accuracy on rows held out of the train splits of agnews, trec6 and subj with 30 labels at cluster centres, mean of
    three seeds: regression with C = 10 and without names .73, .46, .81; mixed, without names .80, .54, .83; with
    names .81, .54, .83. With 130 labels .83, .67, .87; .85, .69, .86; .85, .69, .87. banking77, mean of two seeds,
    at 77, 154, 308 and 847 labels: .54, .68, .81, .87 before; .58, .73, .82, .87 mixed; .67, .76, .83, .87 with names;
    names alone .60.
    """

    model: str
    kind: Literal["mixed", "logistic", "prototype"] = "mixed"
    C: float | None = None
    name_weight: float = 1.0
    n_neighbours: int = 10
    neighbour_share: float = 0.5
    max_recalled: int = 20000
    n_folds: int = 5
    max_tokens: int = 256
    device: str | None = None
    layers: bool = True

    def __post_init__(self) -> None:
        if self.kind not in ("mixed", "logistic", "prototype"):
            raise ConfigError(f"head kind is {self.kind!r}; choose from: logistic, mixed, prototype")
        if self.C is not None and not self.C > 0:
            raise ConfigError(f"head C is {self.C}; it must be above 0")
        if not self.name_weight >= 0:
            raise ConfigError(f"head name_weight is {self.name_weight}; give 0 (names are not used) or more")
        if self.n_neighbours < 0 or self.max_recalled < 1:
            raise ConfigError(
                f"head n_neighbours is {self.n_neighbours} and max_recalled is {self.max_recalled}; "
                "the first must be at least 0, the second at least 1"
            )
        if not 0.0 <= self.neighbour_share < 1.0:
            raise ConfigError(f"head neighbour_share is {self.neighbour_share}; it must be in [0, 1)")
        if self.n_folds < 0 or self.n_folds == 1:
            raise ConfigError(f"head n_folds is {self.n_folds}; give 0 (no calibration) or at least 2")

    @property
    def has_own_encoder(self) -> bool:
        """Whether what it trains changes its encoder, so that frozen vectors know less than that does."""
        return False

    @property
    def learns_from_names(self) -> bool:
        """Whether it takes a training set without examples."""
        return self.name_weight > 0

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedHead":
        """Fit on vectors of the training set, encoding its texts where there are none.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples, or none where it has `label_embeddings`. Without those, classes without examples share a
            probability of ``m / (n + c)``.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the folds of the calibration; the fit itself is not random.

        Raises
        ------
        StudentError
            If there is neither an example nor a label's vector.
        ShapeError
            If the labels' vectors are of another encoder, another number of labels or fewer views.
        ConfigError, MissingExtraError
            If the encoder is needed and cannot be found.
        """
        names = training.label_embeddings if self.learns_from_names else None
        if len(training) == 0 and names is None:
            raise StudentError("the head got no example to train on; label at least one")
        vectors = self._vectors(training)
        # Small fits: several threads gain little on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            views = self._views(vectors, training)
            parts = tuple(self._part(view, vectors, names, training, seed) for view in views)
            catch_all = self._catch_all(views, vectors, names, training, seed)
        return FittedHead(parts, tuple(labels), self, catch_all)

    def _catch_all(
        self,
        views: Sequence[int],
        vectors: Embeddings,
        names: Embeddings | None,
        training: TrainingSet,
        seed: int,
    ) -> CatchAll | None:
        """Return what speaks for the catch-all label where there are pseudo-labels: a head without them."""
        if training.catch_all is None or training.is_pseudo is None or not training.is_pseudo.any():
            return None
        told = np.flatnonzero(~training.is_pseudo)
        if not enough_for(training.catch_all, training.targets[told]):
            return None
        rest = rows_of(training, told)
        parts = (self._part(view, vectors[told], names, rest, seed) for view in views)
        return CatchAll(training.catch_all, tuple(parts))

    def _part(
        self, view: int, vectors: Embeddings, names: Embeddings | None, training: TrainingSet, seed: int
    ) -> HeadPart:
        names = None if names is None else view_of(names, view)
        rows = Rows(view_of(vectors, view).astype(np.float64), training.targets, training.weights)
        of_people = rows if training.is_human is None else rows.at(np.flatnonzero(training.is_human))
        rng = np.random.default_rng(seed)
        linear, temperature = self._fit(rows, of_people, names, rng)
        recall = self._recall(rows, rng) if len(of_people.vectors) < len(rows.vectors) else None
        return HeadPart(linear, temperature, recall, view)

    def _views(self, vectors: Embeddings, training: TrainingSet) -> tuple[int, ...]:
        people = human_rows(training)
        return views_for(vectors[people], training.targets[people], training.view) if self.layers else (FIRST,)

    def _recall(self, rows: Rows, rng: np.random.Generator) -> Recall | None:
        if not self.n_neighbours or not self.neighbour_share:
            return None
        kept = np.arange(len(rows.vectors))
        if len(kept) > self.max_recalled:
            kept = np.sort(rng.choice(kept, self.max_recalled, replace=False))
        vectors, targets = rows.vectors[kept].astype(np.float32), rows.targets[kept]
        return Recall.of(vectors, targets, k=self.n_neighbours, share=self.neighbour_share)

    def _fit(
        self, rows: Rows, of_people: Rows, names: Embeddings | None, rng: np.random.Generator
    ) -> tuple[Linear, float]:
        """Return the classifier, and its temperature by people's rows."""
        can_test = self.n_folds >= 2 and len(of_people.vectors) >= 2
        if self.kind != "mixed":
            return self._alone(rows, names), self._temperature(of_people, names, rng) if can_test else 1.0

        def both(part: Rows) -> tuple[Linear, Linear]:
            joined = with_names(part, names, self.name_weight)
            return self._regression(joined, part), fit_prototypes(joined)

        mixture = fit_mixture(both, of_people, n_folds=self.n_folds, rng=rng) if can_test else Mixture()
        return mixed(*both(rows), mixture.share), mixture.temperature

    def _alone(self, rows: Rows, names: Embeddings | None) -> Linear:
        joined = with_names(rows, names, self.name_weight)
        return fit_prototypes(joined) if self.kind == "prototype" else self._regression(joined, rows)

    def _regression(self, joined: Rows, rows: Rows) -> Linear:
        strength = penalty_for(float(rows.weights.sum()), rows.targets.shape[1]) if self.C is None else self.C
        return fit_linear(joined.vectors, joined.targets, joined.weights, C=strength)

    def _temperature(self, rows: Rows, names: Embeddings | None, rng: np.random.Generator) -> float:
        """Return the temperature of logits from folds not seen."""

        def fit_predict(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float64]:
            return self._alone(rows.at(fit_on), names).logits(rows.vectors[held_out])

        # A soft target holds the doubt about the annotators; the student's own doubt is what is measured here.
        likeliest = np.eye(rows.targets.shape[1])[rows.targets.argmax(axis=1)]
        logits = out_of_fold(fit_predict, rows.targets, n_folds=self.n_folds, rng=rng)
        return fit_temperature(logits, likeliest, rows.weights)

    def _vectors(self, training: TrainingSet) -> Embeddings:
        if training.embeddings is not None:
            return training.embeddings
        if len(training) == 0 and training.label_embeddings is not None:
            return training.label_embeddings[:0]
        encoder = self.load_encoder()
        # Names of one view only leave no choice.
        is_single = training.label_embeddings is not None and training.label_embeddings.ndim == 2
        make = encode if is_single or not self.layers else encode_views
        return make(encoder, training.texts)

    def load_encoder(self) -> SentenceTransformer:
        """Return the encoder that `model` names, as it came."""
        return load_sentence_encoder(resolve(self.model), max_tokens=self.max_tokens, device=self.device)


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A linear classifier on vectors, with the name of the encoder that makes them."""

    parts: tuple[HeadPart, ...]
    """One for each view that it stands on; they are pooled in equal shares."""
    labels: tuple[str, ...]
    student: Head
    catch_all: CatchAll | None = None
    """What speaks for the label of everything else, where there is one and pseudo-labels were learned from."""

    @property
    def view(self) -> int:
        """The view that people's labels prefer."""
        return self.parts[0].view

    @cached_property
    def encoder(self) -> SentenceTransformer:
        """The sentence encoder, loaded when first asked for."""
        return self.student.load_encoder()

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return calibrated probabilities, shape (n, c); texts are encoded unless their vectors are given.

        Raises
        ------
        ShapeError
            If the vectors have another width than those of the training set, or not the view that it learned on.
        """
        if len(texts) == 0:
            return np.zeros((0, len(self.labels)))
        if embeddings is None:
            make = encode if self.view == FIRST else encode_views
            embeddings = make(self.encoder, texts)
        proba = pooled(*(part.predict_proba(embeddings) for part in self.parts))
        return proba if self.catch_all is None else self.catch_all.corrected(proba, embeddings)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[i] for i in self.predict_proba(texts).argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Write the classifier and the name of its encoder.

        Raises
        ------
        StudentError
            If `folder` exists and holds something else.
        StorageFullError
            If the disk is full; an older student in `folder` is kept.
        """
        with new_folder(folder) as fresh:
            write_header(fresh, Header(_KIND, self.labels, self.parts[0].temperature, asdict(self.student)))
            catch_all = {} if self.catch_all is None else self.catch_all.arrays()
            write_arrays(fresh / _TENSORS, {**arrays_of(self.parts), **catch_all})

    @classmethod
    def load(cls, folder: Path) -> "FittedHead":
        """Read a saved head; its encoder is looked for when a text is predicted.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        """
        header = read_header(folder)
        arrays, student = read_arrays(Path(folder) / _TENSORS), Head(**header.settings)
        k, share = student.n_neighbours, student.neighbour_share
        parts = parts_from(arrays, header.temperature, k=k, share=share)
        return cls(parts, header.labels, student, CatchAll.from_arrays(arrays, k=k, share=share))
