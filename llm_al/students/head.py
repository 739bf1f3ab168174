"""Logistic regression on frozen sentence embeddings: trains in milliseconds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from threadpoolctl import threadpool_limits

from llm_al.errors import ConfigError, StudentError
from llm_al.students._folder import Header, new_folder, read_arrays, read_header, write_arrays, write_header
from llm_al.students._linear import Linear, cross_fitted_temperature, fit_linear
from llm_al.students._sentences import encode, load_sentence_encoder
from llm_al.students.calibration import scaled_proba
from llm_al.types import Embeddings, Proba, TrainingSet
from llm_al.weights import resolve

__all__ = ["FittedHead", "Head"]

_KIND = "head"
_TENSORS = "model.safetensors"


@dataclass(frozen=True)
class Head:
    """Fit a logistic regression on the vectors of a fixed encoder.

    Parameters
    ----------
    model : str
        The encoder: a hub name, a local folder, or ``offline``. It is loaded only when vectors are not handed
        in, so it must be the one that made them. A saved head keeps the name, not the weights.
    C : float
        Inverse strength of the L2 penalty.
    n_folds : int
        Folds of the temperature's cross-fitting; 0 leaves the temperature at 1.
    max_tokens : int
        Longer texts are cut.
    device : str or None
        Where the encoder runs. None takes CUDA where there is one.
    """

    model: str
    C: float = 10.0
    n_folds: int = 5
    max_tokens: int = 256
    device: str | None = None

    def __post_init__(self) -> None:
        if not self.C > 0:
            raise ConfigError(f"head C is {self.C}; it must be above 0")
        if self.n_folds < 0 or self.n_folds == 1:
            raise ConfigError(f"head n_folds is {self.n_folds}; give 0 (no calibration) or at least 2")

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedHead":
        """Fit on vectors of the training set, encoding its texts where there are none.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples. Classes without examples share a probability of ``m / (n + c)``.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the folds of the calibration; the fit itself is not random.

        Raises
        ------
        StudentError
            If there is no example.
        ConfigError, MissingExtraError
            If the encoder is needed and cannot be found.
        """
        if len(training) == 0:
            raise StudentError("the head got no example to train on; label at least one")
        embeddings = training.embeddings if training.embeddings is not None else self._encoded(training.texts)
        vectors = np.asarray(embeddings, dtype=np.float64)
        data = (vectors, training.targets, training.weights)
        rng = np.random.default_rng(seed)
        # Small fits: several threads gain little on an idle machine and lose tenfold on a busy one.
        with threadpool_limits(limits=1, user_api="blas"):
            temperature = cross_fitted_temperature(*data, C=self.C, n_folds=self.n_folds, rng=rng)
            linear = fit_linear(*data, C=self.C)
        return FittedHead(linear, tuple(labels), self, temperature)

    def _encoded(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return encode(self.load_encoder(), texts)

    def load_encoder(self) -> SentenceTransformer:
        """Return the encoder that `model` names."""
        return load_sentence_encoder(resolve(self.model), max_tokens=self.max_tokens, device=self.device)


@dataclass(frozen=True, eq=False)
class FittedHead:
    """A linear classifier on vectors, with the name of the encoder that makes them."""

    linear: Linear
    labels: tuple[str, ...]
    student: Head
    temperature: float = 1.0

    @cached_property
    def encoder(self) -> SentenceTransformer:
        """The sentence encoder, loaded when first asked for."""
        return self.student.load_encoder()

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return calibrated probabilities, shape (n, c); texts are encoded unless their vectors are given.

        Raises
        ------
        ShapeError
            If the vectors have another width than those of the training set.
        """
        if len(texts) == 0:
            return np.zeros((0, len(self.labels)))
        vectors = embeddings if embeddings is not None else encode(self.encoder, texts)
        return scaled_proba(self.linear.logits(vectors), self.temperature)

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
            write_header(fresh, Header(_KIND, self.labels, self.temperature, asdict(self.student)))
            write_arrays(fresh / _TENSORS, self.linear.arrays())

    @classmethod
    def load(cls, folder: Path) -> "FittedHead":
        """Read a saved head; its encoder is looked for when a text is predicted.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        """
        header = read_header(folder)
        linear = Linear.from_arrays(read_arrays(Path(folder) / _TENSORS))
        return cls(linear, header.labels, Head(**header.settings), header.temperature)
