"""SetFit: an encoder tuned on pairs of texts, with a logistic head on top."""

import logging
import random
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset, disable_progress_bars, enable_progress_bars, is_progress_bar_enabled
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from setfit import SetFitModel, Trainer, TrainingArguments
from transformers import PrinterCallback, ProgressCallback

from llm_al.errors import ConfigError, StudentError
from llm_al.students._folder import Header, new_folder, read_arrays, read_header, write_arrays, write_header
from llm_al.students._linear import Linear, fit_linear
from llm_al.students._network import choose_device, without_bars
from llm_al.students._sentences import encode, load_sentence_encoder
from llm_al.students.calibration import scaled_proba
from llm_al.students.training import seeded
from llm_al.types import Embeddings, Proba, TrainingSet
from llm_al.weights import resolve

__all__ = ["FittedSetFit", "SetFit"]

_KIND = "setfit"
_TENSORS = "model.safetensors"
_ENCODER = "encoder"


@dataclass(frozen=True)
class SetFit:
    """Tune a sentence encoder so that texts of one label lie together, then fit a logistic head [1]_.

    Parameters
    ----------
    model : str
        Sentence encoder: a hub name, a local folder, or ``offline``.
    n_iterations : int
        Positive and as many negative pairs drawn for each example; 0 leaves the encoder as it is. The library's
        default is not to count but to draw as many as its larger kind has, which is in the square of the examples.
    epochs : int
        Passes over the pairs; 1 is also the library's default.
    batch_size : int
        Pairs a step; 16 as in the library.
    learning_rate : float
        Of the encoder, with a warm-up over the first tenth of the steps; 2e-5 as in the library.
    max_pair_rows : int
        Examples that enter pairs, at most: people's first, then those of the greatest weight. The library lists every
        pair before it draws, and four thousand examples have eight million.
    C : float
        Inverse strength of the head's L2 penalty; the library's head has 1 and knows no weights.
    max_tokens : int
        Longer texts are cut; the library cuts at the encoder's own limit.
    temperature : float
        Divides the logits of the head.
    device : str or None
        None takes CUDA where there is one.

    Notes
    -----
    Pairs know neither soft labels nor weights: each example enters them once, under its likeliest label. The
    head then learns from the soft labels and weights themselves, which is not in [1]_. An example is also paired with
    itself, so a class with one example has a positive pair. The loss is that of the library, the squared error of the
    cosine.

    References
    ----------
    .. [1] Tunstall et al. (2022). Efficient few-shot learning without prompts. arXiv:2209.11055.
    """

    model: str
    n_iterations: int = 5
    epochs: int = 1
    batch_size: int = 16
    learning_rate: float = 2e-5
    max_pair_rows: int = 1000
    C: float = 10.0
    max_tokens: int = 128
    temperature: float = 1.0
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_pair_rows", "max_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"setfit {name} is {getattr(self, name)}; it must be at least 1")
        for name in ("learning_rate", "C", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"setfit {name} is {getattr(self, name)}; it must be above 0")

    @property
    def has_own_encoder(self) -> bool:
        """Whether what it trains changes its encoder, so that frozen vectors know less than that does."""
        return True

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedSetFit":
        """Train from the encoder's own weights.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples; `embeddings` are not used. With one label only there are no pairs to tell apart,
            and the encoder stays as it is.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the pairs and their order.

        Raises
        ------
        StudentError
            If there is no example.
        ConfigError, MissingExtraError
            If the encoder cannot be found.
        """
        if len(training) == 0:
            raise StudentError("setfit got no example to train on; label at least one")
        body = load_sentence_encoder(resolve(self.model), max_tokens=self.max_tokens, device=self.device)
        rows = _paired_rows(training, self.max_pair_rows, np.random.default_rng(seed))
        classes = training.targets[rows].argmax(axis=1)
        if self.n_iterations > 0 and len(np.unique(classes)) > 1:
            with _undisturbed(seed, self.device):
                self._tune(body, [training.texts[i] for i in rows], [int(index) for index in classes], seed)
        vectors = encode(body, training.texts).astype(np.float64)
        head = fit_linear(vectors, training.targets, training.weights, C=self.C)
        return FittedSetFit(body, head, tuple(labels), self, self.temperature)

    def _tune(self, body: SentenceTransformer, texts: list[str], classes: list[int], seed: int) -> None:
        """Train the encoder in place with the library's own trainer."""
        with tempfile.TemporaryDirectory(prefix="llm_al-setfit-") as folder:
            arguments = TrainingArguments(
                output_dir=folder,
                batch_size=self.batch_size,
                num_epochs=self.epochs,
                num_iterations=self.n_iterations,
                body_learning_rate=self.learning_rate,
                seed=seed,
                report_to="none",
                save_strategy="no",
                logging_strategy="no",
                show_progress_bar=False,
            )
            data = Dataset.from_dict({"text": texts, "label": classes})
            trainer = Trainer(model=SetFitModel(model_body=body), args=arguments, train_dataset=data)
            inner: Any = trainer.st_trainer
            for callback in (ProgressCallback, PrinterCallback):
                inner.remove_callback(callback)
            inner.args.dataloader_pin_memory = False
            trainer.train_embeddings(texts, classes, args=arguments)
        body.eval()


def _paired_rows(training: TrainingSet, limit: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Return the rows that enter pairs, in order: people's before others, heavy before light, ties by lot."""
    n = len(training)
    if n <= limit:
        return np.arange(n)
    is_human = np.ones(n, dtype=np.bool_) if training.is_human is None else training.is_human
    return np.sort(np.lexsort((rng.random(n), -training.weights, ~is_human))[:limit])


@contextmanager
def _undisturbed(seed: int, device: str | None) -> Iterator[None]:
    """Keep the trainer from changing the caller's random states, log levels and progress bars."""
    states, logger = (random.getstate(), np.random.get_state()), logging.getLogger("setfit")  # noqa: NPY002
    level, has_bars = logger.level, is_progress_bar_enabled()
    logger.setLevel(logging.WARNING)
    disable_progress_bars()
    try:
        with seeded(seed, choose_device(device)), without_bars(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
    finally:
        logger.setLevel(level)
        if has_bars:
            enable_progress_bars()
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002


@dataclass(frozen=True, eq=False)
class FittedSetFit:
    """A tuned sentence encoder with a logistic head."""

    body: SentenceTransformer
    head: Linear
    labels: tuple[str, ...]
    student: SetFit
    temperature: float = 1.0

    @property
    def has_own_encoder(self) -> bool:
        """Whether it changed its encoder, so that frozen vectors know less than it does."""
        return True

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return calibrated probabilities, shape (n, c). `embeddings` are those of another encoder, so of no use."""
        del embeddings
        if len(texts) == 0:
            return np.zeros((0, len(self.labels)))
        return scaled_proba(self.head.logits(encode(self.body, texts)), self.temperature)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[i] for i in self.predict_proba(texts).argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Write the encoder and the head; nothing outside the folder is needed to load them.

        Raises
        ------
        StudentError
            If `folder` exists and holds something else.
        StorageFullError
            If the disk is full; an older student in `folder` is kept.
        """
        with new_folder(folder) as fresh:
            write_header(fresh, Header(_KIND, self.labels, self.temperature, asdict(self.student)))
            write_arrays(fresh / _TENSORS, self.head.arrays())
            with without_bars():
                self.body.save_pretrained(str(fresh / _ENCODER), create_model_card=False)

    @classmethod
    def load(cls, folder: Path) -> "FittedSetFit":
        """Read a saved student.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        """
        header = read_header(folder)
        student = SetFit(**header.settings)
        head = Linear.from_arrays(read_arrays(Path(folder) / _TENSORS))
        encoder = str(Path(folder) / _ENCODER)
        body = load_sentence_encoder(encoder, max_tokens=student.max_tokens, device=student.device)
        return cls(body, head, header.labels, student, header.temperature)
