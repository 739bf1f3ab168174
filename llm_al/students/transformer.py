"""A fine-tuned encoder with a linear head: the default student."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from llm_al.errors import ConfigError, StudentError
from llm_al.students._batches import tokenise
from llm_al.students._folder import Header, new_folder, read_header, write_header
from llm_al.students._network import Network, choose_device, load_encoder, load_tokenizer, longest_input
from llm_al.students.calibration import fit_temperature, out_of_fold, scaled_proba
from llm_al.students.training import Recipe, fine_tune, predict_logits
from llm_al.types import Embeddings, Proba, TrainingSet
from llm_al.weights import resolve

__all__ = ["FittedTransformer", "Transformer"]

_KIND = "transformer"
_TENSORS = "model.safetensors"


@dataclass(frozen=True)
class Transformer:
    """Fine-tune an encoder: mean over tokens, unit length, times `scale`, linear head.

    Parameters
    ----------
    model : str
        Encoder: a hub name, a local folder, or ``offline``.
    epochs, batch_size, encoder_lr, head_lr, warmup, min_steps, max_steps
        See `training.Recipe`.
    scale : float
        Length of the features that the head sees.
    max_tokens : int
        Longer texts are cut.
    n_frozen_layers : int
        Encoder layers, from the input, that are left as they are. Token embeddings stay fixed in any case:
        a few hundred labels touch few tokens, and the optimiser saves half its work.
    max_batch_tokens : int
        Padded tokens of one prediction batch on the CPU; sixteen times as many on an accelerator.
    temperature : float
        Divides the logits: fine-tuning on few labels makes a network surer than it is right. The default was
        measured on rows of trec6 that the student had not seen, after 30 and 100 labels (best 1.5 to 2.0);
        other data may want another one.
    n_folds : int
        From 2 on, `temperature` is only the starting point, and the student is trained `n_folds` more times to
        measure it on held-out folds.
    device : str or None
        None takes CUDA where there is one.

    Notes
    -----
    A head cross-fitted on the fine-tuned features would be free, and useless: the features have seen the
    labels of every fold.
    """

    model: str
    epochs: int = 15
    batch_size: int = 16
    encoder_lr: float = 1e-4
    head_lr: float = 5e-3
    warmup: float = 0.1
    scale: float = 8.0
    min_steps: int = 0
    max_steps: int = 4000
    max_tokens: int = 128
    n_frozen_layers: int = 0
    max_batch_tokens: int = 2048
    temperature: float = 1.7
    n_folds: int = 0
    device: str | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_steps", "max_tokens", "max_batch_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"transformer {name} is {getattr(self, name)}; it must be at least 1")
        for name in ("encoder_lr", "head_lr", "scale", "temperature"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"transformer {name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"transformer warmup is {self.warmup}; it is a share of the steps, in [0, 1)")

    @property
    def recipe(self) -> Recipe:
        """How the network is trained."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe) if hasattr(self, f.name)})

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedTransformer":
        """Train from the encoder's own weights.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples; `embeddings` are not used.
        labels : sequence of str, length c
            In the order of the columns of the targets.
        seed : int
            Decides the order of examples and dropout.

        Raises
        ------
        StudentError
            If there is no example, or training diverges at every learning rate.
        ConfigError, MissingExtraError
            If the encoder cannot be found.
        """
        if len(training) == 0:
            raise StudentError("the transformer got no example to train on; label at least one")
        fitted = self._fit(training, labels, seed)
        if self.n_folds < 2 or len(training) < 2:
            return fitted
        return replace(fitted, temperature=self._measured_temperature(training, labels, seed))

    def _fit(self, training: TrainingSet, labels: Sequence[str], seed: int) -> "FittedTransformer":
        folder, device = resolve(self.model), choose_device(self.device)
        encoder, config = load_encoder(folder)
        tokenizer = load_tokenizer(folder)
        max_tokens = longest_input(config, tokenizer, self.max_tokens)
        network = Network(encoder, config.hidden_size, len(labels), self.scale).to(device)
        _freeze(network, self.n_frozen_layers)
        fine_tune(
            network,
            tokenise(tokenizer, training.texts, max_tokens),
            targets=training.targets,
            weights=training.weights,
            recipe=self.recipe,
            seed=seed,
            pad_id=tokenizer.pad_token_id or 0,
        )
        return FittedTransformer(network, tokenizer, tuple(labels), self, max_tokens, self.temperature)

    def _measured_temperature(self, training: TrainingSet, labels: Sequence[str], seed: int) -> float:
        def fit_predict(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float64]:
            part = TrainingSet([training.texts[i] for i in fit_on], training.targets[fit_on], training.weights[fit_on])
            return self._fit(part, labels, seed).predict_logits([training.texts[i] for i in held_out])

        rng = np.random.default_rng(seed)
        logits = out_of_fold(fit_predict, training.targets, n_folds=self.n_folds, rng=rng)
        # The student's own doubt is measured, not that of soft targets about their annotators.
        likeliest = np.eye(len(labels))[training.targets.argmax(axis=1)]
        return fit_temperature(logits, likeliest, training.weights, expected=self.temperature)


def _freeze(network: Network, n_layers: int) -> None:
    """Stop gradients into the token embeddings and the first layers, where the encoder names them so."""
    frozen: list[Any] = [getattr(network.encoder, "embeddings", None)]
    stack: Any = getattr(network.encoder, "encoder", network.encoder)
    layers: Any = getattr(stack, "layer", getattr(stack, "layers", None))
    frozen += list(layers[:n_layers]) if layers is not None else []
    for module in frozen:
        if module is not None:
            module.requires_grad_(False)


@dataclass(frozen=True, eq=False)
class FittedTransformer:
    """A fine-tuned encoder with its tokeniser, labels and temperature."""

    network: Network
    tokenizer: Any
    labels: tuple[str, ...]
    student: Transformer
    max_tokens: int
    temperature: float = 1.0

    def predict_logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return logits before the temperature, shape (n, c)."""
        device = self.network.head.weight.device
        return predict_logits(
            self.network,
            tokenise(self.tokenizer, texts, self.max_tokens),
            pad_id=self.tokenizer.pad_token_id or 0,
            max_batch_tokens=self.student.max_batch_tokens * (1 if device.type == "cpu" else 16),
        )

    def predict_proba(self, texts: Sequence[str], *, embeddings: Embeddings | None = None) -> Proba:
        """Return calibrated probabilities, shape (n, c). `embeddings` are of no use to this student."""
        del embeddings
        return scaled_proba(self.predict_logits(texts), self.temperature)

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the most probable label of each text."""
        return [self.labels[i] for i in self.predict_logits(texts).argmax(axis=1)]

    def save(self, folder: Path) -> None:
        """Write weights, tokeniser, shape and labels; nothing outside the folder is needed to load them.

        Raises
        ------
        StudentError
            If `folder` exists and holds something else.
        StorageFullError
            If the disk is full; an older student in `folder` is kept.
        """
        with new_folder(folder) as fresh:
            write_header(fresh, Header(_KIND, self.labels, self.temperature, asdict(self.student)))
            # Encoders that tie tensors together are written once and tied again on loading.
            save_model(self.network, str(fresh / _TENSORS))
            encoder: Any = self.network.encoder
            encoder.config.save_pretrained(fresh)
            self.tokenizer.save_pretrained(fresh)

    @classmethod
    def load(cls, folder: Path) -> "FittedTransformer":
        """Read a saved student.

        Raises
        ------
        StudentError
            If a part is missing or damaged.
        """
        folder, header = Path(folder), read_header(folder)
        student = Transformer(**header.settings)
        encoder, config = load_encoder(folder, has_weights=False)
        network = Network(encoder, config.hidden_size, len(header.labels), student.scale)
        try:
            load_model(network, folder / _TENSORS)
        except (OSError, SafetensorError, RuntimeError) as exc:
            raise StudentError(f"{folder / _TENSORS} is missing or damaged ({exc}); train the student again") from exc
        network.to(choose_device(student.device)).eval()
        tokenizer = load_tokenizer(folder)
        max_tokens = longest_input(config, tokenizer, student.max_tokens)
        return cls(network, tokenizer, header.labels, student, max_tokens, header.temperature)
