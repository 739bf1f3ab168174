"""A fine-tuned encoder with a linear head: the default student."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model

from llm_al.errors import StudentError
from llm_al.protocols import FittedStudent
from llm_al.students._assembly import read_assembly
from llm_al.students._batches import tokenise
from llm_al.students._folder import Header, new_folder, read_header, write_header
from llm_al.students._head_start import set_head
from llm_al.students._material import Material, bounded, rows_of
from llm_al.students._network import Network, freeze
from llm_al.students._pooling import MEAN, MEAN_AND_FIRST, needs_first
from llm_al.students._prediction import predict_features, predict_logits
from llm_al.students._ranges import check_settings
from llm_al.students._self_training import OwnLabels, n_steps_after, with_own_labels
from llm_al.students._threads import threads
from llm_al.students.calibration import fit_temperature, out_of_fold, scaled_proba
from llm_al.students.lora import merged, wants_lora, with_adapters
from llm_al.students.training import Recipe, fine_tune, seeded, with_others
from llm_al.types import Embeddings, Proba, TrainingSet
from llm_al.weights import resolve

__all__ = ["FittedTransformer", "Transformer"]

_log = logging.getLogger(__name__)
_KIND = "transformer"
_TENSORS = "model.safetensors"
# Keys of the header: where the report looks for a reason, and what the pooling `auto` came to.
_VERDICT, _CHOSEN = "verdict", "chosen_pooling"


@dataclass(frozen=True)
class Transformer:
    """Fine-tune an encoder: pooling over tokens, unit length, times `scale`, linear head.

    Parameters
    ----------
    model : str
        Encoder: a hub name, a local folder, or ``offline``.
    epochs, batch_size, encoder_lr, head_lr, layer_decay, warmup, weight_decay, max_grad_norm, min_steps, max_steps,
    label_smoothing, class_weight, min_human_share, stop_loss, patience
        See `training.Recipe`.
    pooling : str
        What of a text the head sees: ``mean`` over its tokens, ``mean+first`` with the state of its first token beside
        it, or ``auto``: the latter where people's labels ask for it, as with questions (see `_pooling.helps_first`).
    scale : float
        Length of the features that the head sees.
    max_tokens : int
        Longer texts are cut.
    n_frozen_layers : int or None
        Encoder layers, from the input, that are left as they are; None leaves a third of them. On held-out rows of
        trec6 (two seeds, 110 and 130 labels) two of six gave .895, none .892, three .886, and a step takes a quarter
        less. Token embeddings stay fixed: a few labels touch few tokens, and the optimiser saves half its work.
    max_batch_tokens : int
        Padded tokens of one prediction batch on the CPU; sixteen times as many on an accelerator.
    temperature : float
        Divides the logits: fine-tuning on few labels makes a network surer than it is right. The default was
        measured on rows of trec6 that the student had not seen, after 30 and 100 labels (best 1.5 to 2.0);
        other data may want another one.
    n_folds : int
        From 2 on, `temperature` is only the starting point, and the student is trained more times to measure it on
        held-out folds.
    n_fold_fits : int or None
        Folds that are held out at most; None takes all `n_folds`. One of five costs 0.8 of a training and measures on
        a fifth of the labels.
    max_other_rows : int
        Rows that nobody labelled (LLM and pseudo-labels) in one training, drawn at random; with any of
        them, training takes twice the steps that people's rows alone would.
    own_start : float
        In (0, 1]: share of its steps that a student which trains itself spends on labels alone before. What follows
        takes the rest of them, or one pass over labels and own labels where that is longer.
    start : str
        What `fit_from` begins at: "fresh" at the encoder's own weights, "warm" at those of the last student. On
        held-out rows of trec6 fresh was better: mean from 30 to 130 labels .814 and .834 (two seeds) against .811 and
        .816, with 130 labels .868 and .882 against .851 and .862.
    head_start : str
        What the head begins at: "zeros", or "linear" for a logistic regression on the encoder's own features, with
        label descriptions for classes without examples.
    precision : str
        "auto" computes in bfloat16 where the device has instructions for it; "fp32" or "bf16" insist.
    compile : bool
        Pass the encoder through torch.compile: a minute at the start, for large pools.
    n_threads : int or None
        Bound on CPU threads while this student trains or predicts; None leaves torch as it is.
    lora : "auto" or bool
        Train low-rank matrices instead of the encoder; "auto" does so above 300 million parameters. They are added
        into the weights at the end.
    lora_rank : int
    lora_lr : float
        Peak learning rate of those matrices, in place of `encoder_lr`.
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
    layer_decay: float = 1.0
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    pooling: str = "auto"
    scale: float = 8.0
    min_steps: int = 0
    max_steps: int = 4000
    label_smoothing: float = 0.0
    class_weight: float = 0.0
    min_human_share: float = 0.25
    stop_loss: float = 0.0
    patience: int = 0
    max_tokens: int = 128
    n_frozen_layers: int | None = None
    max_batch_tokens: int = 2048
    temperature: float = 1.7
    n_folds: int = 0
    n_fold_fits: int | None = None
    max_other_rows: int = 1000
    own_start: float = 0.6
    start: str = "fresh"
    head_start: str = "zeros"
    precision: str = "auto"
    compile: bool = False
    n_threads: int | None = None
    lora: bool | str = "auto"
    lora_rank: int = 16
    lora_lr: float = 1e-3
    device: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def has_own_encoder(self) -> bool:
        """Whether what it trains changes its encoder, so that frozen vectors know less than that does."""
        return True

    @property
    def recipe(self) -> Recipe:
        """How the network is trained."""
        return Recipe(**{f.name: getattr(self, f.name) for f in fields(Recipe) if hasattr(self, f.name)})

    @property
    def wants_previous(self) -> bool:
        """Whether `fit_from` makes use of an earlier student."""
        return self.start == "warm"

    def fit(self, training: TrainingSet, *, labels: Sequence[str], seed: int) -> "FittedTransformer":
        """Train from the encoder's own weights.

        Parameters
        ----------
        training : TrainingSet
            n >= 1 examples; `embeddings` are not used. With `unlabelled` texts it trains itself on these afterwards.
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
        return self._fit_calibrated(training, labels, seed, None)

    def fit_from(
        self, previous: FittedStudent, training: TrainingSet, *, labels: Sequence[str], seed: int
    ) -> "FittedTransformer":
        """Train from the weights of an earlier student, which stays as it is.

        With ``start="fresh"``, and for a student of another kind, encoder or label list, this is `fit`.
        """
        return self._fit_calibrated(training, labels, seed, previous if self._goes_on(previous, labels) else None)

    def _goes_on(self, previous: FittedStudent, labels: Sequence[str]) -> bool:
        if not self.wants_previous or not isinstance(previous, FittedTransformer):
            return False
        is_same_network = (previous.student.model, previous.student.scale) == (self.model, self.scale)
        return is_same_network and previous.labels == tuple(labels)

    def _fit_calibrated(
        self, training: TrainingSet, labels: Sequence[str], seed: int, previous: Any
    ) -> "FittedTransformer":
        if len(training) == 0:
            raise StudentError("the transformer got no example to train on; label at least one")
        training = bounded(training, self.max_other_rows, np.random.default_rng(seed))
        with threads(self.n_threads):
            fitted = self._fit(training, labels, seed, previous)
            if self.n_folds < 2 or len(training) < 2:
                return fitted
            return replace(fitted, temperature=self._measured_temperature(training, labels, seed))

    def _fit(
        self, training: TrainingSet, labels: Sequence[str], seed: int, previous: "FittedTransformer | None"
    ) -> "FittedTransformer":
        fitted = self._begun(training, labels, self.pooling if previous is None else previous.network.pooling)
        if previous is not None:
            fitted.network.load_state_dict(previous.network.state_dict())
        if self.head_start == "linear" and previous is None:
            self._start_head(fitted, training)
        if not _wants_itself(training):
            self._train(fitted, training, seed)
            return fitted
        return replace(fitted, own=self._train_itself(fitted, training, seed))

    def _begun(self, training: TrainingSet, labels: Sequence[str], pooling: str) -> "FittedTransformer":
        """Return a student at the encoder's own weights, whose pooling is chosen where it is ``auto``."""
        parts = read_assembly(resolve(self.model), self.max_tokens)

        def begun(pooling: str, *, compile: bool) -> FittedTransformer:
            network = parts.network(replace(self, compile=compile), len(labels), pooling)
            return FittedTransformer(network, parts.tokenizer, tuple(labels), self, parts.max_tokens, self.temperature)

        if pooling == "auto":
            # A look at people's few texts is not worth a compilation.
            seen = begun(MEAN_AND_FIRST, compile=False).features
            pooling = MEAN_AND_FIRST if needs_first(seen, training) else MEAN
            _log.info("transformer pools by %s", pooling)
        return begun(pooling, compile=self.compile)

    def _train_itself(self, fitted: "FittedTransformer", training: TrainingSet, seed: int) -> OwnLabels:
        """Train on the labels for a while, then on them and on what the network holds of unlabelled texts."""
        planned = with_others(self.recipe, training).n_steps(len(training))
        n_first = max(1, round(self.own_start * planned))
        self._lasting(n_first)._train(fitted, training, seed)
        features = fitted.features(training.unlabelled)
        logits = fitted.logits_of(features)
        given, own = with_own_labels(training, features, logits, temperature=self.temperature, seed=seed)
        n_more = n_steps_after(planned - n_first, len(given), self.batch_size)
        self._lasting(min(n_more, self.max_steps))._train(fitted, given, seed)
        return own

    def _lasting(self, n: int) -> "Transformer":
        return replace(self, min_steps=n, max_steps=n)

    def _start_head(self, fitted: "FittedTransformer", training: TrainingSet) -> None:
        features = fitted.features(training.texts)
        set_head(fitted.network, features, training.targets, training.weights, training.label_embeddings)

    def _train(self, fitted: "FittedTransformer", training: TrainingSet, seed: int) -> None:
        network, recipe = fitted.network, self.recipe
        freeze(network.encoder, self.n_frozen_layers)
        is_adapted = wants_lora(network.encoder, self.lora)
        if is_adapted:
            with seeded(seed, network.device):
                network.encoder = with_adapters(network.encoder, self.lora_rank)
            recipe = replace(recipe, encoder_lr=self.lora_lr)
        material = Material(
            tokenise(fitted.tokenizer, training.texts, fitted.max_tokens),
            training.targets,
            training.weights,
            pad_id=fitted.pad_id,
            is_human=training.is_human,
            mixup=training.mixup,
        )
        fine_tune(network, material, recipe=with_others(recipe, material), seed=seed)
        if is_adapted:
            network.encoder = merged(network.encoder)
        network.forget_copies()

    def _measured_temperature(self, training: TrainingSet, labels: Sequence[str], seed: int) -> float:
        def fit_predict(fit_on: NDArray[np.intp], held_out: NDArray[np.intp]) -> NDArray[np.float64]:
            return self._fit(rows_of(training, fit_on), labels, seed, None).predict_logits(
                [training.texts[i] for i in held_out]
            )

        rng = np.random.default_rng(seed)
        logits = out_of_fold(fit_predict, training.targets, n_folds=self.n_folds, rng=rng, n_fits=self.n_fold_fits)
        # The student's own doubt is measured, not that of soft targets about their annotators.
        likeliest = np.eye(len(labels))[training.targets.argmax(axis=1)]
        seen = ~np.isnan(logits[:, 0])
        return fit_temperature(logits[seen], likeliest[seen], training.weights[seen], expected=self.temperature)


def _wants_itself(training: TrainingSet) -> bool:
    return bool(len(training.unlabelled)) and training.choose_own is not None


@dataclass(frozen=True, eq=False)
class FittedTransformer:
    """A fine-tuned encoder with its tokeniser, labels and temperature."""

    network: Network
    tokenizer: Any
    labels: tuple[str, ...]
    student: Transformer
    max_tokens: int
    temperature: float = 1.0
    own: OwnLabels | None = None
    """What it trained itself on; None where it learned from labels alone."""

    @property
    def has_own_encoder(self) -> bool:
        """Whether it changed its encoder, so that frozen vectors know less than it does."""
        return True

    @property
    def pad_id(self) -> int:
        """The token that fills rows."""
        return int(self.tokenizer.pad_token_id or 0)

    @property
    def reason(self) -> str:
        """What it decided by itself, for the report; empty where there was nothing to decide."""
        seen = "" if self.network.pooling == MEAN else "sees the first token of a text beside the mean over its tokens"
        return "; ".join(part for part in (seen, "" if self.own is None else self.own.reason) if part)

    def predict_logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return logits before the temperature, shape (n, c)."""
        return self._computed(predict_logits, texts)

    def logits_of(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits before the temperature that the head gives to `features`, shape (n, c)."""
        return self.network.logits_of(features)

    def features(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the unit vectors that the head sees, shape (n, d)."""
        return self._computed(predict_features, texts)

    def _computed(self, compute: Callable[..., NDArray[np.float64]], texts: Sequence[str]) -> NDArray[np.float64]:
        factor = 1 if self.network.device.type == "cpu" else 16
        with threads(self.student.n_threads):
            return compute(
                self.network,
                tokenise(self.tokenizer, texts, self.max_tokens),
                pad_id=self.pad_id,
                max_batch_tokens=self.student.max_batch_tokens * factor,
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
            own = {} if self.own is None else asdict(self.own)
            told = {_VERDICT: {**own, "reason": self.reason}, _CHOSEN: self.network.pooling}
            write_header(fresh, Header(_KIND, self.labels, self.temperature, {**asdict(self.student), **told}))
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
        settings = dict(header.settings)
        # Students that were saved before there was a choice pool by the mean.
        told, pooling = settings.pop(_VERDICT, {}), settings.pop(_CHOSEN, MEAN)
        student = Transformer(**settings)
        parts = read_assembly(folder, student.max_tokens, has_weights=False)
        network = parts.network(student, len(header.labels), pooling)
        try:
            load_model(network, folder / _TENSORS)
        except (OSError, SafetensorError, RuntimeError) as exc:
            raise StudentError(f"{folder / _TENSORS} is missing or damaged ({exc}); train the student again") from exc
        network.eval()
        own = OwnLabels.read(told)
        return cls(network, parts.tokenizer, header.labels, student, parts.max_tokens, header.temperature, own)
